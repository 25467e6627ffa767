//! Indexes that are merged, and bundles that are deprecated.

use iib_oci::{Digest, PullSpec};
use iib_pipeline::intake::{IntakeDeps, diff};
use iib_request::{AddDeprecations, AddRequest, CreateEmptyIndex, MergeIndexImage, Record};

use crate::catalogs::Content;
use crate::samples::{self, VERSION_LABEL, index_image};
use crate::world::{World, told};

const PLATFORMS: &str = "com.redhat.openshift.versions";

/// Example bundles that say what platforms they are for, by digest.
async fn bundle(world: &World, operator: &str, version: &str, platforms: Option<&str>) -> PullSpec {
    let mut image = samples::bundle(operator, version);
    if let Some(platforms) = platforms {
        image = image.label(PLATFORMS, platforms);
    }
    let name = format!("bundles/{operator}:v{version}");
    let spec = world.push(&name, &image).await;
    spec.pin(image.manifest().digest()).to_pull_spec()
}

/// An index with a database of these bundles, for a platform.
async fn index(
    world: &World,
    name: &str,
    platform: &str,
    bundles: &[(&str, &str, &PullSpec)],
) -> String {
    let image = index_image(&samples::database(bundles)).label(VERSION_LABEL, platform);
    world
        .push(&format!("index/{name}:{platform}"), &image)
        .await
        .to_string()
}

struct Scene {
    world: World,
    lanterns: [PullSpec; 3],
    kettles: [PullSpec; 2],
    request: MergeIndexImage,
}

/// A source with a lantern and a target with the next ones and a kettle.
async fn scene(platforms: [Option<&str>; 3]) -> Scene {
    let world = World::new().await;
    let [first, second, third] = platforms;
    let lanterns = [
        bundle(&world, "lantern", "0.1.0", first).await,
        bundle(&world, "lantern", "0.2.0", second).await,
        bundle(&world, "lantern", "0.3.0", third).await,
    ];
    let kettles = [
        bundle(&world, "kettle", "1.0.0", Some("v4.5")).await,
        bundle(&world, "kettle", "1.1.0", Some("v4.5")).await,
    ];
    let source = [("lantern", "0.1.0", &lanterns[0])];
    let source = index(&world, "source", "v4.5", &source).await;
    let target = [
        ("lantern", "0.1.0", &lanterns[0]),
        ("lantern", "0.2.0", &lanterns[1]),
        ("lantern", "0.3.0", &lanterns[2]),
        ("kettle", "1.0.0", &kettles[0]),
    ];
    let target = index(&world, "target", "v4.6", &target).await;
    let request = MergeIndexImage {
        source_from_index: source,
        target_index: Some(target),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..MergeIndexImage::default()
    };
    Scene {
        world,
        lanterns,
        kettles,
        request,
    }
}

const ALL: [Option<&str>; 3] = [Some("v4.5"); 3];

#[tokio::test]
async fn what_the_target_has_comes_into_the_source() {
    let Scene { world, request, .. } = scene(ALL).await;
    let record = world
        .completes(MergeIndexImage {
            build_tags: vec!["merged".to_owned()],
            ..request
        })
        .await;
    assert_eq!(
        told(&record),
        [
            "Resolving the container images",
            "Building the index image for the following arches: amd64",
            "Getting bundles present in the index images",
            "Adding bundles missing in source index image",
            "Deprecating bundles in the deprecation list",
            "The index image was successfully cleaned and updated.",
        ]
    );
    let bundles = world.bundles(&record).await;
    let wanted = [
        "kettle.v1.0.0",
        "lantern.v0.1.0",
        "lantern.v0.2.0",
        "lantern.v0.3.0",
    ];
    assert_eq!(bundles, wanted);
    let config = world.config(&record).await;
    assert_eq!(config.labels()[VERSION_LABEL], "v4.6");
    let facts = &record.facts;
    assert_eq!(facts.from_index_resolved, None);
    assert!(facts.source_from_index_resolved.is_some() && facts.target_index_resolved.is_some());
    assert_eq!(facts.internal_index_image_copy, None);
    assert!(world.tags("iib-build").await.contains("merged"));
    let changes = diff_of(&world, &record).await;
    assert!(changes.contains("+ package kettle"), "{changes}");
}

/// The bundles of which a diff says that they are deprecated.
fn deprecated(changes: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in changes.lines().filter(|line| line.contains("deprecated")) {
        let mut words = line.split([' ', '/', ':', ',']);
        found.extend(words.find(|word| word.contains(".v")));
    }
    found
}

async fn diff_of(world: &World, record: &Record) -> String {
    let intake = IntakeDeps::from(world.deps.clone());
    diff(&intake, record.id).await.unwrap().to_string()
}

#[tokio::test]
async fn bundles_that_are_not_for_the_platform_are_deprecated() {
    // 0.2.0 is not for v4.6, so it ends the chain.
    let Scene { world, request, .. } = scene([Some("v4.5"), Some("=v4.5"), Some("v4.5")]).await;
    let record = world.completes(request.clone()).await;
    let changes = diff_of(&world, &record).await;
    assert_eq!(deprecated(&changes), ["lantern.v0.2.0"], "{changes}");
    let log = world.log(record.id).await;
    assert!(
        log.contains("is not for v4.6: its image has the label =v4.5"),
        "{log}"
    );

    // Without the label it fits where that is allowed, and asked for.
    let Scene {
        mut world, request, ..
    } = scene([None, None, None]).await;
    let unlabelled = MergeIndexImage {
        ignore_bundle_ocp_version: Some(true),
        ..request.clone()
    };
    // All lanterns are unfit, so the package goes.
    for refused in [&request, &unlabelled] {
        let record = world.completes(refused.clone()).await;
        assert_eq!(world.bundles(&record).await, ["kettle.v1.0.0"]);
    }
    let allowed = format!("{}/index/", world.host);
    world.deps.work.no_ocp_label_allow_list = vec![allowed];
    let record = world.completes(unlabelled).await;
    assert_eq!(world.bundles(&record).await.len(), 4);
    let record = world.completes(request).await;
    assert_eq!(world.bundles(&record).await, ["kettle.v1.0.0"]);
}

#[tokio::test]
async fn the_list_is_deprecated_whichever_index_it_is_in() {
    let Scene {
        world,
        lanterns,
        kettles,
        request,
    } = scene(ALL).await;
    // The first is in both; of one package the latest counts; one is in none.
    let listed = [&lanterns[0], &lanterns[1], &kettles[1]].map(ToString::to_string);
    let record = world
        .completes(MergeIndexImage {
            deprecation_list: listed.into(),
            ..request.clone()
        })
        .await;
    let changes = diff_of(&world, &record).await;
    assert_eq!(deprecated(&changes), ["lantern.v0.2.0"], "{changes}");
    let absent = world.spec("bundles/none:v1").to_string();
    let absent = MergeIndexImage {
        deprecation_list: vec![absent.clone()],
        ..request.clone()
    };
    world
        .fails_saying(absent, &["Failed to inspect docker://", "bundles/none:v1"])
        .await;
}

#[tokio::test]
async fn without_a_target_the_source_is_cleaned() {
    let Scene { world, request, .. } = scene(ALL).await;
    let alone = MergeIndexImage {
        source_from_index: request.target_index.clone().unwrap(),
        target_index: None,
        ..request
    };
    let record = world.completes(alone).await;
    assert_eq!(world.bundles(&record).await.len(), 4);
    assert_eq!(world.config(&record).await.labels()[VERSION_LABEL], "v4.6");
}

/// The same index with a catalog.
async fn as_catalog(world: &World, scope_of: &str, binary: &str, bundles: &[&PullSpec]) -> String {
    let empty = CreateEmptyIndex {
        from_index: scope_of.to_owned(),
        binary_image: Some(binary.to_owned()),
        output_fbc: Some(true),
        ..CreateEmptyIndex::default()
    };
    let empty = world.completes(empty).await;
    let add = AddRequest {
        bundles: bundles.iter().map(ToString::to_string).collect(),
        from_index: empty.facts.index_image.clone(),
        binary_image: Some(binary.to_owned()),
        ..AddRequest::default()
    };
    world.completes(add).await.facts.index_image.unwrap()
}

#[tokio::test]
async fn the_result_has_the_form_of_the_target() {
    let Scene {
        world,
        lanterns,
        kettles,
        request,
    } = scene(ALL).await;
    let (source, target) = (
        &request.source_from_index,
        request.target_index.as_ref().unwrap(),
    );
    let binary = request.binary_image.clone().unwrap();
    let target_catalog = as_catalog(
        &world,
        target,
        &binary,
        &[&lanterns[0], &lanterns[1], &kettles[0]],
    )
    .await;
    let source_catalog = as_catalog(&world, source, &binary, &[&lanterns[0]]).await;
    for from in [source, &source_catalog] {
        let record = world
            .completes(MergeIndexImage {
                source_from_index: from.clone(),
                target_index: Some(target_catalog.clone()),
                ..request.clone()
            })
            .await;
        let content = Content::of(&world, &record).await;
        assert_eq!(
            content.bundles(),
            ["kettle.v1.0.0", "lantern.v0.1.0", "lantern.v0.2.0"]
        );
        let changes = diff_of(&world, &record).await;
        assert!(changes.contains("+ package kettle"), "{changes}");
        assert!(!changes.contains("\n+ package lantern"), "{changes}");
    }
    let into_database = MergeIndexImage {
        source_from_index: source_catalog.clone(),
        ..request.clone()
    };
    let reason = world.fails(into_database).await;
    let said =
        "Cannot merge source File-Based Catalog index image into target SQLite index image. The ";
    assert!(reason.starts_with(said), "{reason}");
    let alone = MergeIndexImage {
        source_from_index: target_catalog,
        target_index: None,
        deprecation_list: vec![lanterns[1].to_string()],
        ..request
    };
    // Deprecating the head takes the package.
    let record = world.completes(alone).await;
    assert_eq!(
        Content::of(&world, &record).await.bundles(),
        ["kettle.v1.0.0"]
    );
}

#[tokio::test]
async fn indexes_that_cannot_be_merged_are_told() {
    let Scene {
        world,
        lanterns,
        request,
        ..
    } = scene(ALL).await;
    let tagged = world.spec("bundles/kettle:v1.0.0");
    let by_tag = index(&world, "tagged", "v4.6", &[("kettle", "1.0.0", &tagged)]).await;
    for (source, target, side) in [
        (&by_tag, request.target_index.as_ref().unwrap(), "source"),
        (&request.source_from_index, &by_tag, "target"),
    ] {
        let merge = MergeIndexImage {
            source_from_index: source.clone(),
            target_index: Some(target.clone()),
            ..request.clone()
        };
        let words = format!("in the {side} index image is not defined via digest");
        world.fails_saying(merge, &[tagged.as_str(), &words]).await;
    }
    let gone = world.spec("bundles/gone:v1").pin(Digest::of(b"nothing"));
    let of_gone = index(
        &world,
        "gone",
        "v4.6",
        &[("kettle", "1.0.0", &gone.to_pull_spec())],
    )
    .await;
    let merge = MergeIndexImage {
        target_index: Some(of_gone),
        ..request.clone()
    };
    world
        .fails_saying(
            merge,
            &["Failed to inspect docker://", "bundles/gone@sha256:"],
        )
        .await;
    let of_no_platform = index(
        &world,
        "odd",
        "latest",
        &[("lantern", "0.1.0", &lanterns[0])],
    )
    .await;
    let merge = MergeIndexImage {
        target_index: Some(of_no_platform),
        ..request
    };
    let reason = world.fails(merge).await;
    let said = "Invalid OCP version, \"latest\", specified in Index Image - The source_from_index read was ";
    assert!(reason.starts_with(said), "{reason}");
    assert!(
        reason.contains(", as it is now. The target_index read was "),
        "{reason}"
    );
}

#[tokio::test]
async fn bundles_of_a_list_are_deprecated_after_others_were_added() {
    let Scene {
        world,
        lanterns,
        kettles,
        request,
    } = scene(ALL).await;
    let (target, binary) = (request.target_index.unwrap(), request.binary_image.unwrap());
    let catalog = as_catalog(
        &world,
        &target,
        &binary,
        &[&lanterns[0], &lanterns[1], &lanterns[2], &kettles[0]],
    )
    .await;
    let add = |index: &str, list: &[&PullSpec]| AddRequest {
        bundles: vec![kettles[1].to_string()],
        from_index: Some(index.to_owned()),
        binary_image: Some(binary.clone()),
        deprecation_list: list.iter().map(ToString::to_string).collect(),
        ..AddRequest::default()
    };
    let in_catalog = world
        .completes(add(&catalog, &[&lanterns[1], &kettles[0]]))
        .await;
    let content = Content::of(&world, &in_catalog).await;
    // What is deprecated is in no catalog.
    let wanted = ["kettle.v1.1.0", "lantern.v0.1.0", "lantern.v0.3.0"];
    assert_eq!(content.bundles(), wanted);
    let in_database = world
        .completes(add(&target, &[&lanterns[1], &kettles[0]]))
        .await;
    let changes = diff_of(&world, &in_database).await;
    let wanted = ["kettle.v1.0.0", "lantern.v0.2.0"];
    assert_eq!(deprecated(&changes), wanted, "{changes}");
    // All heads of a package: it goes, in both forms.
    for index in [&catalog, &target] {
        let record = world.completes(add(index, &[&lanterns[2]])).await;
        let changes = diff_of(&world, &record).await;
        assert!(changes.contains("- package lantern"), "{changes}");
    }
    let absent = world.spec("bundles/none:v1");
    world
        .fails_saying(
            add(&target, &[&absent]),
            &["Failed to inspect docker://", absent.as_str()],
        )
        .await;
    let unknown = bundle(&world, "lantern", "0.2.0", Some("v4.4")).await;
    let record = world.completes(add(&catalog, &[&unknown])).await;
    let log = world.log(record.id).await;
    assert!(
        log.contains("of the deprecation list is not in the index and is passed over"),
        "{log}"
    );
}

#[tokio::test]
async fn what_a_catalog_says_of_bundles_that_go_goes_with_them() {
    let world = World::new().await;
    let binary = world.push_binary(&["amd64"]).await.to_string();
    let mut lanterns = Vec::new();
    for version in ["0.1.0", "0.2.0", "0.3.0"] {
        lanterns.push(world.push_bundle("lantern", version).await);
    }
    let first = world
        .completes(CreateEmptyIndex {
            from_index: {
                let empty = index_image(&samples::database(&[])).label(VERSION_LABEL, "v4.16");
                world.push("index/empty:v4.16", &empty).await.to_string()
            },
            output_fbc: Some(true),
            binary_image: Some(binary.clone()),
            ..CreateEmptyIndex::default()
        })
        .await;
    let result = |record: &Record| record.facts.index_image.clone();
    let both = AddRequest {
        bundles: lanterns[..2].iter().map(ToString::to_string).collect(),
        from_index: result(&first),
        binary_image: Some(binary.clone()),
        ..world.add(&lanterns[0]).await
    };
    let with_two = world.completes(both).await;
    let entry = |name: &str| {
        format!(
            r#"{{"reference": {{"schema": "olm.bundle", "name": "{name}"}}, "message": "old"}}"#
        )
    };
    let deprecations = format!(
        r#"{{"schema": "olm.deprecations", "package": "lantern", "entries": [{}, {}]}}"#,
        entry("lantern.v0.1.0"),
        entry("lantern.v0.2.0")
    );
    let said = world
        .completes(AddDeprecations {
            operator_package: "lantern".to_owned(),
            deprecation_schema: deprecations,
            from_index: result(&with_two).unwrap(),
            binary_image: Some(binary.clone()),
            ..AddDeprecations::default()
        })
        .await;
    let add = AddRequest {
        from_index: result(&said),
        binary_image: Some(binary),
        deprecation_list: vec![lanterns[1].to_string()],
        ..world.add(&lanterns[2]).await
    };
    let record = world.completes(add).await;
    let log = world.log(record.id).await;
    assert!(
        log.contains(
            "names the bundle \"lantern.v0.2.0\", which the package does not have: it is left out"
        ),
        "{log}"
    );
    let text = Content::of(&world, &record)
        .await
        .text("_operator-deprecations-content/lantern/lantern.json");
    assert!(
        text.contains("lantern.v0.1.0") && !text.contains("lantern.v0.2.0"),
        "{text}"
    );
}
