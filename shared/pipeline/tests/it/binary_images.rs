//! Binary images, and the rules about them.

use iib_oci::MediaType;
use iib_request::{AddRequest, Plan};

use crate::image::{Family, Image, Layer, document};
use crate::samples::{binary, database, index_image};
use crate::tar_file::zstd;
use crate::world::World;

async fn world_and_request() -> (World, AddRequest) {
    let world = World::new().await;
    let request = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    (world, request)
}

fn on(binary_image: &impl ToString, arches: &[&str], request: &AddRequest) -> AddRequest {
    AddRequest {
        binary_image: Some(binary_image.to_string()),
        add_arches: arches.iter().map(|arch| (*arch).to_owned()).collect(),
        ..request.clone()
    }
}

#[tokio::test]
async fn architectures_that_the_binary_image_lacks_are_listed() {
    let (world, request) = world_and_request().await;
    let both = world.push_binary(&["amd64", "arm64"]).await;
    assert_eq!(
        world
            .fails(on(&both, &["s390x", "amd64", "ppc64le"], &request))
            .await,
        "The binary image is not available for the following arches: ppc64le, s390x"
    );
    let lone = world.push("base/lone:v1", &binary("amd64")).await;
    assert_eq!(
        world.fails(on(&lone, &["arm64"], &request)).await,
        "The binary image is not available for the following arches: arm64"
    );
    assert_eq!(
        world.fails(on(&lone, &[], &request)).await,
        "No arches were provided to build the index image"
    );
    world.completes(on(&lone, &["amd64"], &request)).await;
}

#[tokio::test]
async fn binary_images_that_cannot_be_built_on_are_refused_by_name() {
    let (world, request) = world_and_request().await;
    let mut mute = binary("amd64");
    mute.config.as_object_mut().unwrap().remove("architecture");
    let wrong = binary("amd64").label("architecture", "s390x");
    let mut uneven = binary("amd64");
    uneven.config["rootfs"]["diff_ids"] = serde_json::json!([]);
    let mut triggers = binary("amd64");
    triggers.config["config"]["OnBuild"] = serde_json::json!(["RUN x"]);
    let mut not_text = binary("amd64");
    not_text.config["architecture"] = 64.into();
    let mut no_object = binary("amd64");
    no_object.config = serde_json::json!(["x"]);
    let bytes = zstd(b"whatever it holds, it is not looked at");
    let mut zstd = Image::new(
        "amd64",
        vec![Layer::stored(MediaType::OCI_LAYER_ZSTD, bytes)],
    );
    zstd = zstd.family(Family::Oci);
    for (name, image, says) in [
        ("mute", mute, vec!["architecture", "build the image again"]),
        (
            "wrong",
            wrong,
            vec!["`architecture` is `s390x`", "build it again"],
        ),
        (
            "uneven",
            uneven,
            vec!["lists 0 layers and its manifest 1", "push the image again"],
        ),
        (
            "triggers",
            triggers,
            vec!["ONBUILD", "use one without them"],
        ),
        (
            "not-text",
            not_text,
            vec!["`architecture`", "build the image again"],
        ),
        (
            "no-object",
            no_object,
            vec!["not a JSON object", "push the image again"],
        ),
        (
            "zstd",
            zstd,
            vec!["tar+zstd", "build on an image with gzip layers"],
        ),
    ] {
        let spec = world.push(&format!("base/{name}:v1"), &image).await;
        let pinned = format!("{}/base/{name}@sha256:", world.host);
        let parts: Vec<&str> = [pinned.as_str()].into_iter().chain(says).collect();
        world
            .fails_saying(on(&spec, &["amd64"], &request), &parts)
            .await;
    }
}

#[tokio::test]
async fn the_label_of_a_binary_image_may_use_either_name_of_its_architecture() {
    let (world, request) = world_and_request().await;
    for label in ["x86_64", "amd64"] {
        let image = binary("amd64").label("architecture", label);
        let spec = world.push("base/labelled:v1", &image).await;
        world.completes(on(&spec, &["amd64"], &request)).await;
    }
}

#[tokio::test]
async fn oci_gzip_layers_are_built_on() {
    let (world, request) = world_and_request().await;
    let mut image = binary("amd64").family(Family::Oci);
    image.layers[0].media_type = MediaType::OCI_LAYER_GZIP;
    let spec = world
        .push_list("base/oci:v1", Family::Oci, &[("amd64", image)])
        .await;
    let record = world.completes(on(&spec, &["amd64"], &request)).await;
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
}

#[tokio::test]
async fn of_a_list_for_several_systems_only_the_images_for_linux_are_built_on() {
    let (world, request) = world_and_request().await;
    let image = binary("amd64");
    world.push("base/mixed:linux", &image).await;
    let mut foreign = binary("amd64");
    foreign.config["os"] = "windows".into();
    world.push("base/mixed:foreign", &foreign).await;
    let entry = |image: &Image, os| {
        let manifest = image.manifest();
        serde_json::json!({
            "mediaType": manifest.media_type,
            "size": manifest.bytes.len(),
            "digest": manifest.digest(),
            "platform": {"architecture": "amd64", "os": os},
        })
    };
    let both = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::DOCKER_LIST,
        "manifests": [entry(&foreign, "windows"), entry(&image, "linux")],
    });
    let both = document(MediaType::DOCKER_LIST, &both);
    let spec = world.push_manifest("base/mixed:v1", &both).await;
    let record = world.completes(on(&spec, &["amd64"], &request)).await;
    let Some(Plan::Index(plan)) = record.plan else {
        panic!("no plan of an index: {:?}", record.plan)
    };
    let chosen = plan.bases.into_values().next().flatten().unwrap();
    assert_eq!(*chosen.digest(), image.manifest().digest());
}

#[tokio::test]
async fn a_scratch_folder_that_was_removed_is_made_again() {
    let (world, request) = world_and_request().await;
    std::fs::remove_dir_all(world.deps.scratch.path()).unwrap();
    world.completes(request).await;
}

#[tokio::test]
async fn scratch_is_used_only_where_the_settings_want_it() {
    let (mut world, request) = world_and_request().await;
    let index = world
        .push("index/empty:v1", &index_image(&database(&[])))
        .await;
    let with_index = AddRequest {
        from_index: Some(index.to_string()),
        ..request.clone()
    };
    assert_eq!(
        world.fails(on(&"scratch", &["amd64"], &request)).await,
        "The index image should not be binaryless for v4.5."
    );
    world.deps.work.binary_images =
        serde_json::from_str(r#"{"prod": {"v4.6": "scratch"}}"#).unwrap();
    assert_eq!(
        world.fails(with_index.clone()).await,
        "The index image must be built as a binaryless for v4.6."
    );
    let unnamed = AddRequest {
        binary_image: None,
        ..request
    };
    assert_eq!(
        world.fails(unnamed).await,
        "IIB does not have a configured binary_image for distribution_scope : prod and \
         ocp_version: v4.5. Please specify a binary_image value in the request."
    );
    let record = world
        .completes(AddRequest {
            binary_image: None,
            ..with_index
        })
        .await;
    assert_eq!(
        record.facts.binary_image_resolved.as_deref(),
        Some("scratch")
    );
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
}
