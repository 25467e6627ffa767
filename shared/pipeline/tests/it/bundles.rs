//! Bundle images of all kinds.

use iib_oci::MediaType;
use iib_request::AddRequest;
use serde_json::json;

use crate::image::{Family, Image, Layer, document, list};
use crate::samples::{self, Files, bundle_files, bundle_image, csv_path};
use crate::tar_file::{TarFile, gzip, zstd};
use crate::world::{INDEX_LIMIT, World};

/// The files of a small bundle with one of them changed.
fn changed(path: &str, change: impl FnOnce(&str) -> String) -> Files {
    let mut files = bundle_files("lantern", "0.1.0");
    let text = String::from_utf8(files[path].clone()).unwrap();
    files.insert(path.to_owned(), change(&text).into_bytes());
    files
}

/// The files of a small bundle and one more.
fn with(path: &str, text: &str) -> Files {
    let mut files = bundle_files("lantern", "0.1.0");
    files.insert(path.to_owned(), text.as_bytes().to_vec());
    files
}

/// The files of a small bundle without those whose path begins like this.
fn without(prefix: &str) -> Files {
    let mut files = bundle_files("lantern", "0.1.0");
    files.retain(|path, _| !path.starts_with(prefix));
    files
}

#[tokio::test]
async fn a_file_that_is_passed_over_stands_in_the_log() {
    let world = World::scripted().await;
    let files = with("metadata/dependencies.yaml", "dependencies:\n- {type: a");
    let spec = world
        .push("odd/lantern:v1", &bundle_image("lantern", &files))
        .await;
    let record = world.completes(world.add(&spec).await).await;
    let log = world.log(record.id).await;
    let told = "metadata/dependencies.yaml: line 2: ";
    assert!(
        log.contains(told) && log.contains("; the file is passed over"),
        "{log}"
    );
}

#[tokio::test]
async fn files_that_are_no_bundle_are_refused_with_the_image_and_what_to_do() {
    let world = World::scripted().await;
    let csv = csv_path("lantern");
    let cases = [
        (
            "no-csv",
            without(&csv),
            vec!["no csv in bundle", "put the ClusterServiceVersion"],
        ),
        (
            "broken-yaml",
            changed(&csv, |text| {
                text.replace("metadata:", "metadata: [unclosed")
            }),
            vec![
                csv.as_str(),
                "line 4",
                "no csv in bundle",
                "correct the file",
            ],
        ),
        (
            "no-manifests",
            without("manifests/"),
            vec!["no bundle objects found", "into /manifests of the image"],
        ),
        (
            "no-metadata",
            without("metadata/"),
            vec!["open metadata", "into /metadata of the image"],
        ),
        (
            "no-annotations",
            changed("metadata/annotations.yaml", |_| "other: {}\n".to_owned()),
            vec![
                "Could not find annotations file",
                "into /metadata of the image",
            ],
        ),
        (
            "no-crd",
            without("manifests/lanterns.crd"),
            vec!["Lantern (lanterns)", "put every CRD the CSV owns"],
        ),
        (
            "number-version",
            changed(&csv, |text| text.replace("version: 0.1.0", "version: 1.5")),
            vec![
                "failed to derive properties",
                "write spec.version as a string",
            ],
        ),
        (
            "list-replaces",
            changed(&csv, |text| {
                text.replace("  maturity:", "  replaces: [a]\n  maturity:")
            }),
            vec![
                "failed to validate replaces",
                "correct the files of the bundle",
            ],
        ),
        (
            "no-name",
            changed(&csv, |text| text.replace("  name: lantern.v0.1.0\n", "")),
            vec!["csv name not found", "set metadata.name"],
        ),
        (
            "empty-time",
            changed(&csv, |text| {
                text.replace(
                    "  name: lantern.v0.1.0\n",
                    "  name: lantern.v0.1.0\n  creationTimestamp: ''\n",
                )
            }),
            vec![
                csv.as_str(),
                "metadata.creationTimestamp is \"\"",
                "RFC 3339",
            ],
        ),
        (
            "property-without-value",
            with(
                "metadata/properties.yaml",
                "properties: [{type: olm.maxOpenShiftVersion}]",
            ),
            vec![
                "metadata/properties.yaml: properties[0]",
                "\"olm.maxOpenShiftVersion\" and no value",
                "write properties and dependencies as {type, value}",
            ],
        ),
        (
            "dependency-of-the-wrong-shape",
            with(
                "metadata/dependencies.yaml",
                "dependencies: [{type: olm.gvk, value: {group: [a]}}]",
            ),
            vec!["metadata/dependencies.yaml: dependencies[0].value.group is a list"],
        ),
    ];
    for (name, files, says) in cases {
        let spec = world
            .push(&format!("bad/{name}:v1"), &bundle_image("lantern", &files))
            .await;
        let pinned = format!("{}/bad/{name}@sha256:", world.host);
        let parts: Vec<&str> = [
            "Failed to add the bundles to the index image: ",
            &pinned,
            "is not a usable bundle",
        ]
        .into_iter()
        .chain(says)
        .collect();
        world.fails_saying(world.add(&spec).await, &parts).await;
    }
}

#[tokio::test]
async fn layers_that_cannot_be_read_are_refused_with_the_image_and_what_to_do() {
    let world = World::scripted().await;
    let good = samples::layer(&bundle_files("lantern", "0.1.0"));
    let cut = good.bytes[..good.bytes.len() / 2].to_vec();
    let mut flipped = good.bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let escaping = |kind, path| Layer::of_tar(&TarFile::default().entry(kind, path, b"x").end());
    let zeros = vec![0; 4 * 1024 * 1024];
    let gzip_of = |bytes: &[u8]| Layer::stored(MediaType::DOCKER_LAYER, gzip(bytes));
    let cases = [
        (
            "declares-10-gib",
            Layer {
                stated_size: Some(10 << 30),
                ..good.clone()
            },
            vec!["2097152 bytes", "the limit"],
        ),
        (
            "file-declares-10-gib",
            Layer::of_tar(
                &TarFile::default()
                    .entry_that_says(7 << 30, b'0', "manifests/a.yaml", b"x")
                    .end(),
            ),
            vec!["`manifests/a.yaml` has 7516192768 bytes", "the limit of"],
        ),
        (
            "bomb",
            Layer::of([("usr/zeros", zeros.as_slice())]),
            vec!["unpacks to more than 2097152 bytes"],
        ),
        (
            "bomb-in-manifests",
            Layer::of([("manifests/zeros.yaml", zeros.as_slice())]),
            vec!["more than 2097152 bytes"],
        ),
        (
            "cut-gzip",
            Layer::stored(MediaType::DOCKER_LAYER, cut),
            vec!["ends early", "push the image again"],
        ),
        (
            "flipped-gzip",
            Layer::stored(MediaType::DOCKER_LAYER, flipped),
            vec!["gzip", "push the image again"],
        ),
        (
            "no-tar",
            gzip_of(&[b'x'; 2048]),
            vec!["tar archive is malformed", "push the image again"],
        ),
        (
            "html",
            Layer::stored(MediaType::DOCKER_LAYER, vec![b'<'; 600]),
            vec!["tar archive is malformed", "push the image again"],
        ),
        (
            "parent",
            escaping(b'0', "../../etc/passwd"),
            vec!["`../../etc/passwd`", "rebuild the image without it"],
        ),
        (
            "parent-inside",
            escaping(b'0', "manifests/../../x"),
            vec!["`manifests/../../x`", "rebuild the image without it"],
        ),
        (
            "absolute-parent",
            escaping(b'0', "/../etc/passwd"),
            vec!["`/../etc/passwd`", "rebuild the image without it"],
        ),
        (
            "device",
            escaping(b'3', "manifests/null"),
            vec![
                "`manifests/null` is a device",
                "rebuild the image without it",
            ],
        ),
        (
            "pipe",
            escaping(b'6', "manifests/pipe"),
            vec![
                "`manifests/pipe` is a named pipe",
                "rebuild the image without it",
            ],
        ),
        (
            "link",
            escaping(b'2', "manifests/csv.yaml"),
            vec!["`manifests/csv.yaml` is not a regular file", "rebuild"],
        ),
    ];
    for (name, layer, says) in cases {
        let image = Image::new("amd64", vec![layer]);
        let spec = world.push(&format!("bad/{name}:v1"), &image).await;
        let pinned = format!("{}/bad/{name}@sha256:", world.host);
        let parts: Vec<&str> = [pinned.as_str()].into_iter().chain(says).collect();
        world.fails_saying(world.add(&spec).await, &parts).await;
    }
}

#[tokio::test]
async fn manifests_that_are_no_image_are_refused_by_name() {
    let world = World::scripted().await;
    let image = samples::bundle("lantern", "0.1.0");
    let inner = list(Family::Docker, &[("amd64", &image.manifest())]);
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (name, manifest, says) in [
        (
            "empty-list",
            list(Family::Docker, &[]),
            "push the image again",
        ),
        (
            "only-attestations",
            list(Family::Oci, &[("unknown", &image.manifest())]),
            "push the image again",
        ),
        (
            "schema-1",
            document(schema_1, &json!({"schemaVersion": 1, "fsLayers": []})),
            "use Docker v2 schema 2 or OCI",
        ),
        (
            "no-manifest",
            document("text/html", &json!("hello")),
            "use Docker v2 schema 2 or OCI",
        ),
        (
            "no-layers",
            document(
                MediaType::DOCKER_MANIFEST,
                &json!({"schemaVersion": 2, "mediaType": MediaType::DOCKER_MANIFEST}),
            ),
            "push the image again",
        ),
    ] {
        let spec = world
            .push_manifest(&format!("bad/{name}:v1"), &manifest)
            .await;
        world
            .fails_saying(world.add(&spec).await, &[spec.as_str(), says])
            .await;
    }
    // A list in a list: the inner one is found under its digest.
    let nested = list(Family::Docker, &[("amd64", &inner)]);
    world.push_manifest("bad/nested:inner", &inner).await;
    let spec = world.push_manifest("bad/nested:v1", &nested).await;
    let pinned = format!("bad/nested@{}", inner.digest());
    world
        .fails_saying(
            world.add(&spec).await,
            &[&pinned, "manifest.list.v2+json", "use"],
        )
        .await;
    // A list whose image is not there.
    let hollow = list(Family::Docker, &[("amd64", &image.manifest())]);
    let spec = world.push_manifest("bad/hollow:v1", &hollow).await;
    let pinned = format!("bad/hollow@{}", image.manifest().digest());
    world
        .fails_saying(world.add(&spec).await, &["Failed to inspect", &pinned])
        .await;
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    use axum::http::Method;
    use iib_testkit::scripted_registry::Answer;

    let world = World::scripted().await;
    let image = samples::bundle("lantern", "0.1.0");
    let spec = world.push("bundles/lantern:v1", &image).await;
    let request = world.add(&spec).await;
    let digest = image.layers[0].digest();
    for answer in [Answer::Altered, Answer::Longer] {
        world
            .script()
            .on(Method::GET, &format!("/blobs/{digest}"), vec![answer; 9]);
        world
            .fails_saying(
                request.clone(),
                &[
                    "Failed to read a layer of the bundle",
                    digest.as_str(),
                    "has other content than it should",
                    "push the image again",
                ],
            )
            .await;
    }
}

#[tokio::test]
async fn every_form_of_a_bundle_image_that_registries_hold_works() {
    let world = World::new().await;
    let files = bundle_files("lantern", "0.1.0");
    let archive = TarFile::of(files.iter().map(|(path, bytes)| (path.as_str(), &**bytes))).end();
    let of = |media_type, bytes| {
        let mut layer = Layer::stored(media_type, bytes);
        layer.diff_id = iib_oci::Digest::of(&archive);
        Image::new("amd64", vec![layer])
    };
    let zstd = of(MediaType::OCI_LAYER_ZSTD, zstd(&archive)).family(Family::Oci);
    let plain = of(MediaType::OCI_LAYER, archive.clone()).family(Family::Oci);
    let oci = samples::bundle("lantern", "0.1.0").family(Family::Oci);
    // Each file in a layer of its own, and one that a later layer takes away.
    let mut split: Vec<Layer> = files
        .iter()
        .map(|(path, bytes)| Layer::of([(path.as_str(), &**bytes)]))
        .collect();
    split.insert(0, Layer::of([("manifests/bad.yaml", b"{".as_slice())]));
    split.push(Layer::of([("manifests/.wh.bad.yaml", b"".as_slice())]));
    let split = Image::new("amd64", split);
    let docker = samples::bundle("lantern", "0.1.0");
    let specs = [
        world.push("good/zstd:v1", &zstd).await,
        world.push("good/plain:v1", &plain).await,
        world.push("good/oci:v1", &oci).await,
        world.push("good/split:v1", &split).await,
        world
            .push_list("good/index:v1", Family::Oci, &[("amd64", oci)])
            .await,
        world
            .push_list("good/list:v1", Family::Docker, &[("s390x", docker)])
            .await,
    ];
    for spec in specs {
        let record = world.completes(world.add(&spec).await).await;
        assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"], "{spec}");
    }
}

#[tokio::test]
async fn bundles_that_are_too_large_together_are_refused_before_they_fill_the_memory() {
    let world = World::scripted().await;
    let mut request = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    request.bundles.clear();
    for n in 0..3 {
        // Each is within the limit of a bundle (2 MiB unpacked), all three are not.
        let mut files = bundle_files("lantern", "0.1.0");
        files.insert(
            "manifests/large.yaml".to_owned(),
            format!("a: {n}{}", "x".repeat(900 * 1024)).into_bytes(),
        );
        let image = bundle_image("lantern", &files);
        let spec = world.push(&format!("large/{n}:v1"), &image).await;
        request.bundles.push(spec.to_string());
    }
    world
        .fails_saying(request, &["2097152 bytes together", "several requests"])
        .await;
}

#[tokio::test]
async fn a_bundle_with_apis_that_were_removed_says_where_it_ends() {
    let world = World::new().await;
    let mut files = bundle_files("lantern", "0.1.0");
    let old = "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old}\n";
    files.insert("manifests/old.yaml".to_owned(), old.into());
    let old = bundle_image("lantern", &files);
    let old = world.push("bundles/old:v1", &old).await;
    let new = world.push_bundle("kettle", "1.0.0").await;
    let request = AddRequest {
        bundles: vec![old.to_string(), new.to_string()],
        ..world.add(&new).await
    };
    let record = world.completes(request).await;
    let folder = tempfile::tempdir().unwrap();
    let index = record.facts.index_image.as_deref().unwrap();
    let index = index.parse().unwrap();
    let copy =
        iib_pipeline::IndexCopy::fetch(&*world.deps.registry, &index, folder.path(), INDEX_LIMIT);
    let copy = copy.await.unwrap();
    let database = rusqlite::Connection::open(copy.database()).unwrap();
    let select = "SELECT group_concat(operatorbundle_name || ' ' || value) FROM properties
                  WHERE type = 'olm.maxOpenShiftVersion'";
    let found: String = database.query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "lantern.v0.1.0 4.8");
    let log = world.log(record.id).await;
    assert!(log.contains("uses APIs that platform 4.9 removed"), "{log}");
}
