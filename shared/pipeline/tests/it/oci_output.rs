//! Results with the documents of OCI.

use std::collections::BTreeSet;

use iib_oci::{ImageFormat, MediaType, PullSpec, Reference, Repository};
use iib_request::{
    AddDeprecations, AddRequest, CreateEmptyIndex, FbcOperations, MergeIndexImage, Record, Request,
    RmRequest,
};
use serde_json::Value;

use crate::catalogs::{Content, catalog_image, deprecations, index_of, mixed, package};
use crate::image::{Family, Image, Layer};
use crate::samples::{VERSION_LABEL, binary};
use crate::tar_file::{TarFile, zstd};
use crate::world::World;

const OCI: Option<ImageFormat> = Some(ImageFormat::Oci);

async fn document(world: &World, at: &Repository, reference: &Reference) -> (String, Value) {
    let raw = world.deps.registry.manifest(at, reference).await.unwrap();
    let document: Value = serde_json::from_slice(&raw.bytes).unwrap();
    // The document says what it is, and so does the registry.
    assert_eq!(document["mediaType"], raw.media_type.as_str());
    (raw.media_type.to_string(), document)
}

/// Every media type below the result of a request.
async fn media_types(world: &World, record: &Record) -> BTreeSet<String> {
    let index: PullSpec = index_of(record).parse().unwrap();
    let at = index.repository();
    let (own, list) = document(world, at, index.reference()).await;
    let mut types = BTreeSet::from([own]);
    for entry in list["manifests"].as_array().unwrap() {
        let digest = entry["digest"].as_str().unwrap().parse().unwrap();
        let (own, manifest) = document(world, at, &Reference::Digest(digest)).await;
        assert_eq!(entry["mediaType"], own);
        let layers = manifest["layers"].as_array().unwrap().iter();
        let below = layers.chain([&manifest["config"]]);
        types.extend(below.map(|of| of["mediaType"].as_str().unwrap().to_owned()));
        types.insert(own);
    }
    types
}

/// What an OCI index on a base with gzip layers is made of.
fn all_oci() -> BTreeSet<String> {
    [
        MediaType::OCI_INDEX,
        MediaType::OCI_MANIFEST,
        MediaType::OCI_CONFIG,
        MediaType::OCI_LAYER_GZIP,
        MediaType::OCI_LAYER_ZSTD,
    ]
    .map(ToOwned::to_owned)
    .into()
}

fn all_docker() -> BTreeSet<String> {
    [
        MediaType::DOCKER_LIST,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_CONFIG,
        MediaType::DOCKER_LAYER,
    ]
    .map(ToOwned::to_owned)
    .into()
}

/// Asks for other documents than a request does.
fn in_format(request: &Request, format: Option<ImageFormat>) -> Request {
    let mut request = request.clone();
    let member = match &mut request {
        Request::Add(of) => &mut of.output_format,
        Request::Rm(of) => &mut of.output_format,
        Request::MergeIndexImage(of) => &mut of.output_format,
        Request::CreateEmptyIndex(of) => &mut of.output_format,
        Request::FbcOperations(of) => &mut of.output_format,
        Request::AddDeprecations(of) => &mut of.output_format,
        other => panic!("{other:?} makes no index"),
    };
    *member = format;
    request
}

/// A request of each kind that makes an index, of both forms where there are two.
async fn requests(world: &World) -> Vec<Request> {
    let (catalog, _) = mixed(world).await;
    let binary = Some(world.push_binary(&["amd64", "arm64"]).await.to_string());
    let database = index_of(&world.index_of_two().await);
    let empty = CreateEmptyIndex {
        from_index: database.clone(),
        binary_image: binary.clone(),
        output_fbc: Some(true),
        ..CreateEmptyIndex::default()
    };
    let empty = index_of(&world.completes(empty).await);
    let bundle = world.push_bundle("lantern", "0.2.0").await.to_string();
    let fragment = catalog_image(&[("new/catalog.json", &package("new", "1.0.0"))], None);
    let fragment = world.push("fragments/new:v1", &fragment).await.to_string();
    let mut requests: Vec<Request> = Vec::new();
    for index in [&catalog, &database] {
        requests.push(
            AddRequest {
                bundles: vec![bundle.clone()],
                from_index: Some(index.clone()),
                binary_image: binary.clone(),
                add_arches: vec!["arm64".to_owned()],
                ..AddRequest::default()
            }
            .into(),
        );
        requests.push(
            RmRequest {
                operators: vec!["kettle".to_owned()],
                from_index: index.clone(),
                binary_image: binary.clone(),
                ..RmRequest::default()
            }
            .into(),
        );
        requests.push(
            CreateEmptyIndex {
                from_index: index.clone(),
                binary_image: binary.clone(),
                output_fbc: Some(*index == catalog),
                ..CreateEmptyIndex::default()
            }
            .into(),
        );
        requests.push(
            MergeIndexImage {
                source_from_index: database.clone(),
                target_index: Some(match *index == catalog {
                    true => empty.clone(),
                    false => database.clone(),
                }),
                binary_image: binary.clone(),
                ..MergeIndexImage::default()
            }
            .into(),
        );
    }
    requests.push(
        FbcOperations {
            fbc_fragments: vec![fragment],
            from_index: catalog.clone(),
            binary_image: binary.clone(),
            ..FbcOperations::default()
        }
        .into(),
    );
    requests.push(
        AddDeprecations {
            operator_package: "lantern".to_owned(),
            deprecation_schema: deprecations("lantern", "use another one"),
            from_index: catalog,
            binary_image: binary,
            ..AddDeprecations::default()
        }
        .into(),
    );
    requests
}

#[tokio::test]
async fn every_kind_makes_an_oci_index_where_that_is_asked_for() {
    let mut world = World::new().await;
    for request in requests(&world).await {
        let name = request.name();
        let docker = world.completes(request.clone()).await;
        assert_eq!(media_types(&world, &docker).await, all_docker(), "{name}");
        let oci = world.completes(in_format(&request, OCI)).await;
        assert_eq!(media_types(&world, &oci).await, all_oci(), "{name}");
        let layer = |record: &Record| record.built.clone().unwrap().layers.remove(0);
        let (docker, oci) = (layer(&docker), layer(&oci));
        // The same archive, compressed in another way.
        assert_eq!(docker.diff_id, oci.diff_id, "{name}");
        assert_ne!(docker.layer.digest, oci.layer.digest, "{name}");

        // What the settings say counts where the request says nothing.
        world.deps.work.output_format = ImageFormat::Oci;
        let unasked = world.completes(request.clone()).await;
        assert_eq!(media_types(&world, &unasked).await, all_oci(), "{name}");
        assert_eq!(layer(&unasked).layer, oci.layer, "{name}");
        let asked = in_format(&request, Some(ImageFormat::Docker));
        let asked = world.completes(asked).await;
        assert_eq!(media_types(&world, &asked).await, all_docker(), "{name}");
        world.deps.work.output_format = ImageFormat::Docker;
    }
}

#[tokio::test]
async fn an_oci_index_of_ours_is_taken_by_every_kind() {
    let world = World::new().await;
    for request in requests(&world).await {
        let name = request.name();
        let plain = world.completes(request.clone()).await;
        // Its index again, and what it is merged with, as OCI images of ours.
        let mut of_oci = request.clone();
        let indexes = match &mut of_oci {
            Request::Add(of) => vec![of.from_index.as_mut().unwrap()],
            Request::Rm(of) => vec![&mut of.from_index],
            Request::MergeIndexImage(of) => {
                vec![&mut of.source_from_index, of.target_index.as_mut().unwrap()]
            }
            Request::CreateEmptyIndex(of) => vec![&mut of.from_index],
            Request::FbcOperations(of) => vec![&mut of.from_index],
            Request::AddDeprecations(of) => vec![&mut of.from_index],
            other => panic!("{other:?} makes no index"),
        };
        for index in indexes {
            // Nothing is added, so nothing but the documents changes.
            let same = AddRequest {
                from_index: Some(index.clone()),
                binary_image: Some(world.push_binary(&["amd64", "arm64"]).await.to_string()),
                output_format: OCI,
                ..AddRequest::default()
            };
            *index = index_of(&world.completes(same).await);
        }
        let again = world.completes(of_oci).await;
        // An index in one form says nothing about that of the next.
        assert_eq!(media_types(&world, &again).await, all_docker(), "{name}");
        let held = |record: &Record| record.built.clone().unwrap().layers.remove(0).diff_id;
        assert_eq!(held(&again), held(&plain), "{name}");
    }
}

#[tokio::test]
async fn layers_of_any_compression_are_built_on() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let archive = TarFile::of([("bin/opm", b"program".as_slice())]).end();
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    for (name, stored, family, fits) in [
        (
            "gzip",
            MediaType::DOCKER_LAYER,
            Family::Docker,
            MediaType::OCI_LAYER_GZIP,
        ),
        (
            "zstd",
            MediaType::OCI_LAYER_ZSTD,
            Family::Oci,
            MediaType::OCI_LAYER_ZSTD,
        ),
        (
            "tar",
            MediaType::OCI_LAYER,
            Family::Oci,
            MediaType::OCI_LAYER,
        ),
        (
            "docker-tar",
            MediaType::DOCKER_LAYER_TAR,
            Family::Docker,
            MediaType::OCI_LAYER,
        ),
        ("foreign", foreign, Family::Oci, ""),
    ] {
        let bytes = match name {
            "zstd" => zstd(&archive),
            "gzip" => crate::tar_file::gzip(&archive),
            _ => archive.clone(),
        };
        let mut image = binary("amd64").family(family);
        image.layers = vec![Layer::stored(stored, bytes.clone())];
        let base = world.push(&format!("base/{name}:v1"), &image).await;
        let request = AddRequest {
            binary_image: Some(base.to_string()),
            output_format: OCI,
            ..world.add(&bundle).await
        };
        if fits.is_empty() {
            let parts = ["OCI manifests cannot hold", "are in the registry"];
            world.fails_saying(request, &parts).await;
            continue;
        }
        if fits != MediaType::OCI_LAYER_GZIP {
            let docker = AddRequest {
                output_format: None,
                ..request.clone()
            };
            let parts = [
                "Docker manifests cannot hold",
                "set \"output_format\" to \"oci\"",
            ];
            world.fails_saying(docker, &parts).await;
        }
        let record = world.completes(request).await;
        assert!(media_types(&world, &record).await.contains(fits), "{name}");
        let index: PullSpec = index_of(&record).parse().unwrap();
        // The bytes stay what they are.
        let digest = iib_oci::Digest::of(&bytes);
        let there = world.deps.registry.has_blob(index.repository(), &digest);
        assert!(there.await.unwrap(), "{name}");
        assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
    }
}

#[tokio::test]
async fn an_oci_configuration_says_what_it_is_for() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let mut mute = binary("arm64");
    for field in ["architecture", "os"] {
        mute.config.as_object_mut().unwrap().remove(field);
    }
    let images = [("arm64", mute)];
    let base = world
        .push_list("base/mute:v1", Family::Docker, &images)
        .await;
    let request = AddRequest {
        binary_image: Some(base.to_string()),
        add_arches: vec!["arm64".to_owned()],
        output_format: OCI,
        ..world.add(&bundle).await
    };
    let record = world.completes(request.clone()).await;
    let config = world.config(&record).await;
    assert_eq!(
        (config.architecture(), config.os()),
        (Some("arm64"), Some("linux"))
    );
    // Those of Docker stay as today's service makes them.
    let docker = AddRequest {
        output_format: None,
        ..request
    };
    let config = world.config(&world.completes(docker).await).await;
    assert_eq!((config.architecture(), config.os()), (None, None));
}

#[tokio::test]
async fn the_place_of_an_index_is_taken_by_one_with_other_documents() {
    let world = World::new().await;
    let image = world.image_of_lantern().await;
    let index = world.push("index/overwritten:v1", &image).await;
    let bundle = world.push_bundle("lantern", "0.2.0").await;
    let request = AddRequest {
        from_index: Some(index.to_string()),
        overwrite_from_index: true,
        output_format: OCI,
        ..world.add(&bundle).await
    };
    let record = world.completes(request).await;
    assert_eq!(index_of(&record), index.to_string());
    assert_eq!(media_types(&world, &record).await, all_oci());
    let wanted = ["lantern.v0.1.0", "lantern.v0.2.0"];
    assert_eq!(world.bundles(&record).await, wanted);
}

/// Images as others make them for OCI: the same with the media types of OCI.
fn as_oci(mut image: Image) -> Image {
    for layer in &mut image.layers {
        layer.media_type = MediaType::OCI_LAYER_GZIP;
    }
    image.family(Family::Oci)
}

/// Today's service refuses them in several places; here they are taken everywhere, alone and in lists.
#[tokio::test]
async fn inputs_that_are_oci_images_are_taken_everywhere() {
    let world = World::new().await;
    for in_list in [false, true] {
        let push = async |name: &str, arches: &[&str], image: Image| {
            let name = format!("{name}-{in_list}:v1");
            let image = as_oci(image);
            if !in_list {
                return world.push(&name, &image).await.to_string();
            }
            let of = |arch: &str| {
                let mut image = image.clone();
                image.config["architecture"] = arch.into();
                image
            };
            let images: Vec<_> = arches.iter().map(|arch| (*arch, of(arch))).collect();
            world
                .push_list(&name, Family::Oci, &images)
                .await
                .to_string()
        };
        let arches: &[&str] = match in_list {
            true => &["arm64", "amd64"],
            false => &["amd64"],
        };
        let bundle = |version| crate::samples::bundle("lantern", version);
        let platforms = "com.redhat.openshift.versions";
        let first = bundle("0.1.0").label(platforms, "v4.5");
        let first = push("bundles/first", arches, first).await;
        let second = bundle("0.2.0").label(platforms, "v4.5");
        let second = push("bundles/second", arches, second).await;
        let binary = push("base/oci", arches, binary("amd64")).await;
        let database = crate::samples::database(&[]);
        let index = crate::samples::index_image(&database);
        let index = push("index/database", arches, index).await;
        let there: PullSpec = first.parse().unwrap();
        let behind = crate::samples::database(&[("lantern", "0.1.0", &there)]);
        let (a, lantern) = (package("a", "1.0.0"), package("lantern", "0.1.0"));
        let files = [("a/catalog.json", &*a), ("lantern/catalog.json", &*lantern)];
        let catalog = catalog_image(&files, Some(&behind));
        let catalog = push("index/catalog", arches, catalog).await;
        let fragment = catalog_image(&[("b/catalog.json", &package("b", "1.0.0"))], None);
        let fragment = push("fragments/b", arches, fragment).await;

        // Bundles, the index and the binary image, for every architecture of the index.
        let add = AddRequest {
            bundles: vec![first.clone()],
            from_index: Some(index.clone()),
            binary_image: Some(binary.clone()),
            ..AddRequest::default()
        };
        let one = world.completes(add.clone()).await;
        let mut found = one.facts.arches.clone().unwrap();
        found.sort();
        let mut wanted: Vec<_> = arches.iter().map(ToString::to_string).collect();
        wanted.sort();
        assert_eq!(found, wanted);
        assert_eq!(world.bundles(&one).await, ["lantern.v0.1.0"]);

        // A bundle to deprecate.
        let two = world
            .completes(AddRequest {
                bundles: vec![second.clone()],
                deprecation_list: vec![first.clone()],
                from_index: Some(index_of(&one)),
                ..add.clone()
            })
            .await;
        let bundles = world.bundles(&two).await;
        assert!(
            bundles.contains(&"lantern.v0.2.0".to_owned()),
            "{bundles:?}"
        );

        // Catalogs and fragments.
        let fbc = FbcOperations {
            fbc_fragments: vec![fragment],
            from_index: catalog.clone(),
            binary_image: Some(binary.clone()),
            ..FbcOperations::default()
        };
        let fbc = world.completes(fbc).await;
        let packages = Content::of(&world, &fbc).await.packages();
        assert_eq!(packages, ["a", "b", "lantern"]);

        // Both sides of a merge, and what is deprecated in it.
        let target = world.image_of_lantern().await;
        let target = target.label(VERSION_LABEL, "v4.6");
        let target = push("index/target", arches, target).await;
        let merge = MergeIndexImage {
            source_from_index: index.clone(),
            target_index: Some(target.clone()),
            deprecation_list: vec![first.clone()],
            binary_image: Some(binary.clone()),
            ..MergeIndexImage::default()
        };
        world.completes(merge).await;

        for request in [
            Request::from(RmRequest {
                operators: vec!["a".to_owned()],
                from_index: catalog.clone(),
                binary_image: Some(binary.clone()),
                ..RmRequest::default()
            }),
            CreateEmptyIndex {
                from_index: index.clone(),
                binary_image: Some(binary.clone()),
                ..CreateEmptyIndex::default()
            }
            .into(),
            AddDeprecations {
                operator_package: "lantern".to_owned(),
                deprecation_schema: deprecations("lantern", "use another one"),
                from_index: catalog.clone(),
                binary_image: Some(binary.clone()),
                ..AddDeprecations::default()
            }
            .into(),
        ] {
            world.completes(request).await;
        }
    }
}
