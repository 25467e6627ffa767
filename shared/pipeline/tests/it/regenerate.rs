//! Bundles are made anew, and looked behind.

use std::collections::BTreeMap;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use iib_oci::layer::{BundleLimits, BundleTree, LayerReader};
use iib_oci::{Digest, ImageFormat, MediaType, PullSpec};
use iib_pipeline::intake::{Document, IntakeDeps, IntakeError, Submission, diff, document, graph};
use iib_ports::Secret;
use iib_request::{Record, RecursiveRelatedBundles, RegenerateBundle, RequestId, State};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::Answer;
use serde_json::json;

use crate::image::{Family, Image, Layer};
use crate::samples::Files;
use crate::world::{World, told};

const BUNDLE_LABEL: &str = "com.redhat.delivery.operator.bundle";
const PINNED_LABEL: &str = "com.redhat.iib.pinned";
const PACKAGE_LABEL: &str = "operators.operatorframework.io.bundle.package.v1";
const CSV: &str = "manifests/oil.clusterserviceversion.yaml";

/// The files of a bundle whose CSV names these images, the first in its container; without images it has no CSV.
pub(crate) fn files(images: &[String]) -> Files {
    let variables = images.iter().skip(1).enumerate().map(|(number, image)| {
        format!(
            "                - {{name: RELATED_IMAGE_{number}, value: \"{image}\"}}  # keep me\n"
        )
    });
    let first = images.first().map_or("", String::as_str);
    let csv = format!(
        "# Written by hand.\nkind: ClusterServiceVersion\nmetadata:\n  name: oil.v1.0.0\nspec:\n  install:\n    spec:\n      deployments:\n      - name: oil\n        spec:\n          template:\n            spec:\n              containers:\n              - name: oil\n                image: {first}\n                env:\n                - {{name: PLAIN, value: x}}\n{}",
        variables.collect::<String>()
    );
    let annotations = "annotations:\n  operators.operatorframework.io.bundle.package.v1: oil\n";
    let mut files = Files::from([
        (
            "manifests/oil.crd.yaml".to_owned(),
            b"kind: CustomResourceDefinition\n".to_vec(),
        ),
        (
            "metadata/annotations.yaml".to_owned(),
            annotations.as_bytes().to_vec(),
        ),
    ]);
    if !images.is_empty() {
        files.insert(CSV.to_owned(), csv.into_bytes());
    }
    files
}

/// A bundle image that says it is one.
pub(crate) fn bundle(arch: &str, files: &Files) -> Image {
    let layer = Layer::of(
        files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice())),
    );
    Image::new(arch, vec![layer])
        .label(BUNDLE_LABEL, "true")
        .label(PACKAGE_LABEL, "oil")
}

/// Pushes an image that is no bundle.
pub(crate) async fn push_app(world: &World, name: &str) -> PullSpec {
    let layer = Layer::of([("app", name.as_bytes())]);
    world
        .push(&format!("apps/{name}"), &Image::new("amd64", vec![layer]))
        .await
}

fn names(images: &[&PullSpec]) -> Vec<String> {
    images.iter().map(ToString::to_string).collect()
}

fn anew(from: &PullSpec) -> RegenerateBundle {
    RegenerateBundle {
        from_bundle_image: from.to_string(),
        ..RegenerateBundle::default()
    }
}

fn behind(parent: &PullSpec) -> RecursiveRelatedBundles {
    RecursiveRelatedBundles {
        parent_bundle_image: parent.to_string(),
        ..RecursiveRelatedBundles::default()
    }
}

fn image_of(record: &Record) -> PullSpec {
    record.facts.bundle_image.clone().unwrap().parse().unwrap()
}

async fn digest_of(world: &World, spec: &PullSpec) -> String {
    let manifest = world.deps.registry.pull(spec).await.unwrap();
    manifest.digest().to_string()
}

/// The files of the bundle that a request made.
async fn files_of(world: &World, record: &Record) -> BTreeMap<String, String> {
    let image = record.facts.bundle_image.as_ref().unwrap();
    let layer = world.top_layer(&image.parse().unwrap()).await;
    let mut tree = BundleTree::new(BundleLimits::default());
    let mut reader = LayerReader::open(&layer[..], 1 << 20).unwrap();
    tree.apply(&mut reader).unwrap();
    let content = tree.finish();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let of = |folder: &'static str, files: Option<BTreeMap<String, Vec<u8>>>| {
        let files = files.unwrap_or_default().into_iter();
        files.map(move |(name, bytes)| (format!("{folder}/{name}"), text(bytes)))
    };
    of("manifests", content.manifests)
        .chain(of("metadata", content.metadata))
        .collect()
}

async fn related(world: &World, id: RequestId) -> Vec<String> {
    read_list(world, id, Document::RelatedBundles).await
}

async fn nested(world: &World, id: RequestId) -> Vec<String> {
    read_list(world, id, Document::NestedBundles).await
}

async fn read_list(world: &World, id: RequestId, which: Document) -> Vec<String> {
    let intake = IntakeDeps::from(world.deps.clone());
    let text = document(&intake, id, which).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn images_are_pinned_and_nothing_else_changes() {
    let world = World::new().await;
    let app = push_app(&world, "one:v1").await;
    let other = push_app(&world, "two:v1").await;
    let inner = world
        .push("bundles/inner:v1", &bundle("amd64", &files(&[])))
        .await;
    let before = files(&names(&[&app, &other, &inner]));
    let from = world
        .push("bundles/oil:v1", &bundle("amd64", &before))
        .await;
    let record = world.completes(anew(&from)).await;
    let resolved = from.pin(bundle("amd64", &before).manifest().digest());
    assert_eq!(
        record.facts.from_bundle_image_resolved,
        Some(resolved.to_string())
    );
    assert_eq!(
        told(&record),
        [
            "Resolving from_bundle_image",
            "Regenerating the bundle image for the following arches: amd64",
            "Creating the manifest list",
            "The request completed successfully",
        ]
    );
    let after = files_of(&world, &record).await;
    let mut expected = String::from_utf8(before[CSV].clone()).unwrap();
    let mut pinned = Vec::new();
    for image in [&app, &other, &inner] {
        let digest = digest_of(&world, image).await;
        let new = format!("{}@{digest}", image.as_str().rsplit_once(':').unwrap().0);
        expected = expected.replace(image.as_str(), &new);
        pinned.push(new);
    }
    // What the author wrote is as it was, to the byte; the list of images is new.
    assert!(after[CSV].starts_with(&expected), "{}", after[CSV]);
    let added = &after[CSV][expected.len()..];
    assert!(added.starts_with("  relatedImages:\n"), "{added}");
    for file in ["manifests/oil.crd.yaml", "metadata/annotations.yaml"] {
        assert_eq!(after[file].as_bytes(), before[file]);
    }
    assert_eq!(related(&world, record.id).await, pinned[2..]);
    let config = world.config_of(&image_of(&record)).await;
    let labels = config.labels().clone();
    assert_eq!(labels[PINNED_LABEL], "true");
    assert_eq!(labels[PACKAGE_LABEL], "oil");
    // What changed can be looked at.
    let intake = IntakeDeps::from(world.deps.clone());
    let shown = diff(&intake, record.id).await.unwrap().to_string();
    assert!(
        shown.starts_with(&format!("--- a/{CSV}\n+++ b/{CSV}\n@@ ")),
        "{shown}"
    );
    assert!(shown.contains(&format!(
        "-                image: {app}\n+                image: {}\n",
        pinned[0]
    )));
    let log = world.log(record.id).await;
    assert!(
        log.contains(&format!("+                image: {}", pinned[0])),
        "{log}"
    );
    let drawn = graph(&intake, record.id, None).await;
    assert!(
        matches!(drawn, Err(IntakeError::NoCatalog(..))),
        "{drawn:?}"
    );
    // The same again is the same image; and of what is pinned already nothing changes.
    let again = world.completes(anew(&from)).await;
    let digest = digest_of(&world, &image_of(&record)).await;
    assert_eq!(digest_of(&world, &image_of(&again)).await, digest);
    let third = world.completes(anew(&image_of(&record))).await;
    assert!(diff(&intake, third.id).await.unwrap().is_empty());
    assert_eq!(files_of(&world, &third).await, after);
}

#[tokio::test]
async fn every_architecture_of_a_bundle_gets_the_layer_in_either_family() {
    let world = World::new().await;
    let app = push_app(&world, "one:v1").await;
    let before = files(&names(&[&app]));
    let images = ["amd64", "s390x"].map(|arch| (arch, bundle(arch, &before)));
    for (family, format, list) in [
        (Family::Docker, ImageFormat::Docker, MediaType::DOCKER_LIST),
        (Family::Oci, ImageFormat::Docker, MediaType::DOCKER_LIST),
        (Family::Docker, ImageFormat::Oci, MediaType::OCI_INDEX),
    ] {
        let images = images
            .clone()
            .map(|(arch, image)| (arch, image.family(family)));
        let from = world.push_list("bundles/oil:v1", family, &images).await;
        let request = RegenerateBundle {
            output_format: Some(format),
            ..anew(&from)
        };
        let record = world.completes(request).await;
        assert_eq!(
            record.facts.arches,
            Some(vec!["amd64".to_owned(), "s390x".to_owned()])
        );
        let image: PullSpec = record.facts.bundle_image.clone().unwrap().parse().unwrap();
        let raw = world.deps.registry.pull(&image).await.unwrap();
        assert_eq!(raw.media_type.as_str(), list);
        let tags = world.tags(crate::world::OUTPUT).await;
        for arch in ["amd64", "s390x"] {
            assert!(tags.contains(&format!("{}-{arch}", record.id)), "{tags:?}");
        }
    }
}

#[tokio::test]
async fn an_organization_has_its_own_steps() {
    let mut world = World::new().await;
    let app = push_app(&world, "one:v1").await;
    let inner = world
        .push("bundles/inner:v1", &bundle("amd64", &files(&[])))
        .await;
    let newer = world
        .push("bundles/inner:v2", &bundle("amd64", &files(&[])))
        .await;
    let steps = json!({"acme": [
        {"type": "perform_bundle_replacements"},
        {"type": "resolve_image_pullspecs"},
        {"type": "package_name_suffix", "suffix": "-acme"},
        {"type": "registry_replacements", "replacements": {(world.host.clone()): "registry.example.com"}},
        {"type": "csv_annotations", "annotations": {"support": "https://example.com/{package_name}"}},
    ], "bare": [{"type": "resolve_image_pullspecs"}]});
    world.deps.work.organization_customizations = serde_json::from_value(steps).unwrap();
    let before = files(&names(&[&app, &inner]));
    let from = world
        .push("bundles/oil:v1", &bundle("amd64", &before))
        .await;
    let request = RegenerateBundle {
        organization: Some("acme".to_owned()),
        bundle_replacements: [(inner.to_string(), newer.to_string())].into(),
        ..anew(&from)
    };
    let record = world.completes(request.clone()).await;
    let after = files_of(&world, &record).await;
    let digest = digest_of(&world, &newer).await;
    let new = format!("registry.example.com/bundles/inner@{digest}");
    assert!(after[CSV].contains(&new), "{}", after[CSV]);
    assert!(
        after[CSV].contains("support: https://example.com/oil-acme"),
        "{}",
        after[CSV]
    );
    assert!(after["metadata/annotations.yaml"].contains(": oil-acme\n"));
    let config = world.config_of(&image_of(&record)).await;
    assert_eq!(config.labels()[PACKAGE_LABEL], "oil-acme");
    // Without a step that lists them there is no list.
    let intake = IntakeDeps::from(world.deps.clone());
    let missing = document(&intake, record.id, Document::RelatedBundles).await;
    assert!(
        matches!(missing, Err(IntakeError::NoDocument(_))),
        "{missing:?}"
    );
    // One that is not known gets what those without any get.
    let other = RegenerateBundle {
        organization: Some("other".to_owned()),
        ..anew(&from)
    };
    let record = world.completes(other).await;
    assert_eq!(related(&world, record.id).await.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_bundle_is_told_with_its_place() {
    let world = World::new().await;
    let app = push_app(&world, "one:v1").await;
    let good = files(&names(&[&app]));
    let with = |file: &str, text: &str| {
        let mut files = good.clone();
        files.insert(file.to_owned(), text.as_bytes().to_vec());
        files
    };
    let gone = [world.spec("apps/gone:v1"), world.spec("apps/gone:v2")];
    let conflicting = String::from_utf8(good[CSV].clone()).unwrap()
        + &format!(
            "                - {{name: RELATED_IMAGE_OIL, value: \"{}\"}}\n",
            world.spec("apps/one:v1").as_str().replace(":v1", "")
        );
    push_app(&world, "one:latest").await;
    let none = {
        let mut files = good.clone();
        files.remove("metadata/annotations.yaml");
        files
    };
    let missing = |image: &PullSpec| {
        format!("Failed to inspect docker://{image}. Make sure it exists and is accessible to IIB.")
    };
    let both = format!("{} {}", missing(&gone[0]), missing(&gone[1]));
    for (files, parts) in [
        (
            with("manifests/x.yaml", "a: 1\nb: [\n"),
            &[
                "The Operator Manifest is not in a valid YAML format: manifests/x.yaml: ",
                "line 2",
            ][..],
        ),
        (
            with("manifests/x.yaml", "a: 1\na: 2\n"),
            &["manifests/x.yaml", "line 2"],
        ),
        (
            with("manifests/x.yaml", "a:\n\tb: 2\n"),
            &["manifests/x.yaml", "line 2"],
        ),
        (
            with("manifests/x.yaml", "a: 1\n---\na: 2\n"),
            &["manifests/x.yaml", "line 2"],
        ),
        (
            with("manifests/deep/er/x.yaml", "a: 1\na: 2\n"),
            &["manifests/deep/er/x.yaml", "line 2"],
        ),
        (
            with("metadata/annotations.yaml", "annotations: []\n"),
            &["The value of metadata/annotations.yaml must be a dictionary"],
        ),
        (
            with("metadata/annotations.yaml", "a: 1\na: 2\n"),
            &["metadata/annotations.yaml is not valid YAML", "line 2"],
        ),
        (
            none,
            &["metadata/annotations.yaml does not exist in the bundle"],
        ),
        (
            with(CSV, &conflicting),
            &[
                "Found conflicts when setting relatedImages",
                "RELATED_IMAGE_OIL var",
            ],
        ),
        (files(&names(&[&app, &gone[0], &gone[1]])), &[&both]),
    ] {
        let from = world
            .push("bundles/wrong:v1", &bundle("amd64", &files))
            .await;
        world.fails_saying(anew(&from), parts).await;
    }
    // Why an image cannot be read is in the log.
    let from = world
        .push(
            "bundles/wrong:v1",
            &bundle("amd64", &files(&names(&gone.each_ref()))),
        )
        .await;
    let record = world.run(anew(&from)).await;
    let log = world.log(record.id).await;
    assert!(
        log.contains(&format!("{} cannot be read: ", gone[0])),
        "{log}"
    );
    world
        .fails_saying(anew(&gone[0]), &[&missing(&gone[0])])
        .await;
}

#[tokio::test]
async fn two_csvs_and_none_are_fine() {
    let world = World::new().await;
    let app = push_app(&world, "one:v1").await;
    let mut two = files(&names(&[&app]));
    two.insert("manifests/deep/second.yaml".to_owned(), two[CSV].clone());
    let from = world.push("bundles/two:v1", &bundle("amd64", &two)).await;
    let record = world.completes(anew(&from)).await;
    let intake = IntakeDeps::from(world.deps.clone());
    let shown = diff(&intake, record.id).await.unwrap().to_string();
    assert!(
        shown.contains("+++ b/manifests/deep/second.yaml"),
        "{shown}"
    );
    let mut none = two.clone();
    none.retain(|file, _| file.starts_with("metadata/") || file.ends_with(".crd.yaml"));
    let from = world.push("bundles/none:v1", &bundle("amd64", &none)).await;
    let record = world.completes(anew(&from)).await;
    assert_eq!(related(&world, record.id).await, Vec::<String>::new());
    // What has no manifests at all is no bundle.
    let digest: Digest = digest_of(&world, &app).await.parse().unwrap();
    let told = format!("the image {} is no bundle", app.pin(digest));
    world.fails_saying(anew(&app), &[&told]).await;
    world.fails_saying(behind(&app), &["is no bundle"]).await;
}

/// A tree: root names mid and a leaf, mid names both leaves, of which one is named twice in all.
pub(crate) async fn tree(world: &World) -> [PullSpec; 4] {
    let leaf = |name: &str| {
        let mut files = files(&[]);
        files.insert(
            "manifests/name.yaml".to_owned(),
            format!("name: {name}\n").into_bytes(),
        );
        bundle("amd64", &files)
    };
    let one = world.push("tree/one:v1", &leaf("one")).await;
    let two = world.push("tree/two:v1", &leaf("two")).await;
    let app = push_app(world, "one:v1").await;
    let mid = files(&names(&[&app, &one, &two]));
    let mid = world.push("tree/mid:v1", &bundle("amd64", &mid)).await;
    let root = files(&names(&[&app, &mid, &one]));
    let root = world.push("tree/root:v1", &bundle("amd64", &root)).await;
    [root, mid, one, two]
}

#[tokio::test]
async fn all_bundles_behind_a_bundle_are_listed_the_deepest_first() {
    let mut world = World::new().await;
    let [root, mid, one, two] = tree(&world).await;
    let record = world.completes(behind(&root)).await;
    let parent = root.pin(digest_of(&world, &root).await.parse::<Digest>().unwrap());
    assert_eq!(
        told(&record),
        [
            "Resolving parent_bundle_image",
            &format!("Finding recursive related bundles for the bundle: {root}"),
            "Writing recursive related bundles to a file",
            "The request completed successfully",
        ]
    );
    let expected = names(&[&two, &one, &one, &mid]);
    let listed = nested(&world, record.id).await;
    assert_eq!(listed[..4], expected[..]);
    assert_eq!(listed[4..], [parent.to_string()]);
    let intake = IntakeDeps::from(world.deps.clone());
    let shown = diff(&intake, record.id).await;
    assert!(
        matches!(shown, Err(IntakeError::NoCatalog(..))),
        "{shown:?}"
    );
    // One that pins first finds them by digest.
    let steps = json!({"acme": [{"type": "resolve_image_pullspecs"}, {"type": "related_bundles"}]});
    world.deps.work.organization_customizations = serde_json::from_value(steps).unwrap();
    let request = RecursiveRelatedBundles {
        organization: Some("acme".to_owned()),
        ..behind(&root)
    };
    let record = world.completes(request).await;
    for bundle in nested(&world, record.id).await {
        assert!(bundle.contains("@sha256:"), "{bundle}");
    }
    // Four are found; with as many the search is given up.
    world.deps.work.max_recursive_related_bundles = 4;
    let told = world.fails(behind(&root)).await;
    assert_eq!(
        told,
        "Max number of related bundles exceeded. Potential DOS attack!"
    );
    world.deps.work.max_recursive_related_bundles = 5;
    world.completes(behind(&root)).await;
}

#[tokio::test]
async fn each_image_is_asked_for_once_and_a_circle_ends() {
    let world = World::scripted().await;
    // A bundle that names itself by its tag.
    let round = world.spec("tree/round:v1");
    let round = world
        .push("tree/round:v1", &bundle("amd64", &files(&names(&[&round]))))
        .await;
    let told = world.fails(behind(&round)).await;
    assert_eq!(
        told,
        "Max number of related bundles exceeded. Potential DOS attack!"
    );
    let asked = |world: &World, image: &str| {
        let seen = world.script().seen().into_iter();
        let target = format!("/v2/{image}/manifests/v1");
        seen.filter(|seen| seen.method.as_str() == "GET" && seen.target == target)
            .count()
    };
    // To pin it, to read it, and to look at its label.
    assert!(
        asked(&world, "tree/round") <= 4,
        "{}",
        asked(&world, "tree/round")
    );
    let [root, ..] = tree(&world).await;
    world.completes(behind(&root)).await;
    assert_eq!(asked(&world, "apps/one"), 1);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_told_with_what_is_missing() {
    let mut world = World::scripted().await;
    world.deps.work.stage_timeout_seconds = 1;
    world.deps.work.max_attempts = 1;
    let there = push_app(&world, "there:v1").await;
    let silent = push_app(&world, "silent:v1").await;
    let oil = bundle("amd64", &files(&names(&[&there, &silent])));
    let from = world.push("bundles/oil:v1", &oil).await;
    let never = vec![Answer::Silence; 10];
    world
        .script()
        .on(Method::GET, "/apps/silent/manifests/", never);
    let told = format!("over before registries had told about 1 of 2 images: {silent}");
    world.fails_saying(anew(&from), &[&told]).await;
}

#[tokio::test]
async fn logins_that_come_with_a_request_are_used_and_shown_to_nobody() {
    let homes = [("ann:hunter2", "private"), ("service:own", "results")];
    let mut world = World::of_homes(&homes).await;
    world.deps.work.image_push_template = "{registry}/results/iib-build:{request_id}".to_owned();
    // The service itself may not read what is Ann's.
    world.log_in(&homes);
    let layer = Layer::of([("app", &b"app"[..])]);
    let app = world
        .push("private/app:v1", &Image::new("amd64", vec![layer]))
        .await;
    let oil = bundle("amd64", &files(&names(&[&app])));
    let from = world.push("private/oil:v1", &oil).await;
    world.log_in(&homes[1..]);
    let unread = world.run(anew(&from)).await;
    assert_eq!(unread.state(), State::Failed);
    for (password, works) in [("hunter2", true), ("hunter3", false)] {
        let login = BASE64.encode(format!("ann:{password}"));
        let scope = format!("{}/private", world.host);
        let auths = json!({"auths": {(scope): {"auth": login}}}).to_string();
        let submission = Submission {
            secrets: BTreeMap::from([("registry_auths", Secret::new(auths))]),
            ..anew(&from).into()
        };
        let id = world.submit(submission).await;
        world.run_queue().await;
        let record = world.record(id).await;
        let shown = [format!("{record:?}"), world.log(id).await];
        for text in shown {
            assert!(!text.contains(password) && !text.contains(&login), "{text}");
        }
        let told = record.state_reason();
        assert_eq!(record.state() == State::Complete, works, "{told}");
        world.assert_cleaned_up(id).await;
    }
}
