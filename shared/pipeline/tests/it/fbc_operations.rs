//! Fragments that are put into indexes with a file-based catalog.

use iib_indexdb::SqliteIndex;
use iib_oci::PullSpec;
use iib_ports::IndexDb as _;
use iib_request::{AddRequest, FbcOperations, Record};

use crate::catalogs::{Content, HIDDEN, catalog_image, index_of, layer_of, mixed, own, package};
use crate::image::{Image, Layer};
use crate::samples::{self, CONFIGS_LABEL, index_image};
use crate::world::{World, told};

#[tokio::test]
async fn fragments_take_the_place_of_what_was_there() {
    let mut world = World::new().await;
    let (index, binary) = mixed(&world).await;
    let lantern = package("lantern", "9.0.0") + &own("lantern");
    let fragment = catalog_image(&[("lantern/catalog.json", &lantern)], None);
    let first = world.push("fragments/lantern:v1", &fragment).await;
    let both = package("kettle", "2.0.0") + &package("lantern", "9.1.0");
    // Several packages in one file, and no label that says where the catalog is.
    let layer = Layer::of([("configs/all.json", both.as_bytes())]);
    let second = world
        .push("fragments/both:v1", &Image::new("amd64", vec![layer]))
        .await;
    let request = FbcOperations {
        fbc_fragments: [&first, &second].map(ToString::to_string).into(),
        from_index: index.clone(),
        binary_image: Some(binary),
        build_tags: vec!["next".to_owned()],
        ..FbcOperations::default()
    };
    let record = world.completes(request.clone()).await;
    let resolved = record.facts.fbc_fragments_resolved.clone().unwrap();
    let [earlier, later] = [0, 1].map(|at| &*resolved[at]);
    let repeated =
        format!("The package lantern is in {earlier} and in {later}, of which the latter counts");
    assert_eq!(
        told(&record),
        [
            "Resolving the fbc fragments",
            "Resolving the container images",
            "Building the index image for the following arches: amd64",
            "Extracting operator packages from 2 fbc fragment(s)",
            &repeated,
            "Adding package(s) ['lantern'] from fbc fragment 1/2 to from_index",
            "Adding package(s) ['kettle', 'lantern'] from fbc fragment 2/2 to from_index",
            "Creating the manifest list",
            "The 2 FBC fragment(s) were successfully added in the index image",
        ]
    );
    assert_eq!(record.facts.fbc_fragment_resolved, None);
    let content = Content::of(&world, &record).await;
    assert_eq!(
        content.bundles(),
        ["kettle.v2.0.0", "lantern.v9.1.0", "opted.v1.0.0"]
    );
    // Deprecations went with what they were about.
    assert!(!content.others().contains("olm.deprecations"));
    let log = world.log(record.id).await;
    assert!(log.contains(&repeated), "{log}");
    world.deps.work.one_fragment_per_package = true;
    let reason = world.fails(request.clone()).await;
    let wanted =
        format!("the package lantern is in the fbc_fragment {earlier} and in {later}, and this");
    assert!(reason.starts_with(&wanted), "{reason}");
    world.deps.work.one_fragment_per_package = false;
    let layer = layer_of(&world, &record).await;
    let hidden = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
    assert!(hidden.packages.is_empty());
    // Bundles cannot be added to what came in as a catalog: that would replace it. What this one replaces is not
    // there, which is not what is wrong.
    let bundle = world.push_bundle("lantern", "0.2.0").await;
    let add = AddRequest {
        bundles: vec![bundle.to_string()],
        from_index: Some(index_of(&record)),
        binary_image: request.binary_image.clone(),
        ..AddRequest::default()
    };
    world
        .fails_saying(
            add,
            &[
                "has the packages lantern as file-based catalogs",
                "fbc-operations",
            ],
        )
        .await;
    // Out of its own input, the same comes out again.
    let again = world.completes(request.clone()).await;
    let layer = |record: &Record| record.built.as_ref().unwrap().layers[0].layer.clone();
    assert_eq!(layer(&again), layer(&record));
    let single = FbcOperations {
        fbc_fragments: vec![first.to_string()],
        single: true,
        ..request
    };
    let single = world.completes(single).await;
    assert!(single.facts.fbc_fragment_resolved.is_some());
}

#[tokio::test]
async fn fragments_that_cannot_be_used_are_told() {
    let world = World::new().await;
    let (index, binary) = mixed(&world).await;
    let request = |fragment: &PullSpec| FbcOperations {
        fbc_fragments: vec![fragment.to_string()],
        from_index: index.clone(),
        binary_image: Some(binary.clone()),
        ..FbcOperations::default()
    };
    let twice = package("a", "1.0.0") + &package("a", "1.0.0");
    let outside = package("..", "1.0.0");
    let whiteout = package(".wh.a", "1.0.0");
    let stray = package("a", "1.0.0") + &own("b");
    let deep = format!(
        r#"{{"schema": "my.own", "v": {}{}}}"#,
        "[".repeat(40_000),
        "]".repeat(40_000)
    );
    for (name, files, parts) in [
        (
            "none",
            vec![("README.md/x.json", "")],
            &["No operator packages in fbc_fragment"][..],
        ),
        (
            "own",
            vec![("a/own.json", "{\"schema\": \"my.own\"}")],
            &["No operator packages in"],
        ),
        (
            "twice",
            vec![("a/catalog.json", twice.as_str())],
            &["the fbc_fragment", "duplicate package \"a\""],
        ),
        (
            "half",
            vec![(
                "a/catalog.json",
                "{\"schema\": \"olm.package\", \"name\": \"a\"}",
            )],
            &["the fbc_fragment", "default channel"],
        ),
        (
            "no-json",
            vec![("a/catalog.json", "{\"schema\": ")],
            &["the fbc_fragment", "a/catalog.json"],
        ),
        (
            "outside",
            vec![("a/catalog.json", outside.as_str())],
            &["has a package \"..\", whose name cannot be that of a folder"],
        ),
        (
            "whiteout",
            vec![("a/catalog.json", whiteout.as_str())],
            &["has a package \".wh.a\", whose name cannot be that of a folder"],
        ),
        (
            "stray",
            vec![("a/catalog.json", stray.as_str())],
            &["has objects of the packages b and not the packages themselves"],
        ),
        (
            "deep",
            vec![("a/catalog.json", deep.as_str())],
            &["a/catalog.json: line 1: exceeded max depth"],
        ),
    ] {
        let image = catalog_image(&files, None);
        let spec = world.push(&format!("fragments/{name}:v1"), &image).await;
        let named = format!("fragments/{name}@sha256:");
        world.fails_saying(request(&spec), parts).await;
        world.fails_saying(request(&spec), &[&named]).await;
    }
    let empty = Image::new("amd64", vec![Layer::of([("etc/os-release", &b""[..])])]);
    let spec = world.push("fragments/empty:v1", &empty).await;
    world
        .fails_saying(request(&spec), &["No operator packages in fbc_fragment"])
        .await;
    let everywhere = empty.label(CONFIGS_LABEL, "/");
    let spec = world.push("fragments/everywhere:v1", &everywhere).await;
    world
        .fails_saying(request(&spec), &["is `/`, which is no path in an image"])
        .await;
    let absent = world.spec("fragments/absent:v1");
    world
        .fails_saying(
            request(&absent),
            &["Failed to inspect docker://", absent.as_str()],
        )
        .await;
    // An index without a catalog takes none.
    let good = catalog_image(&[("a/catalog.json", &package("a", "1.0.0"))], None);
    let good = world.push("fragments/good:v1", &good).await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let database = samples::database(&[("lantern", "0.1.0", &lantern)]);
    let of_database = world
        .push("index/database:v4.6", &index_image(&database))
        .await;
    let into_database = FbcOperations {
        from_index: of_database.to_string(),
        ..request(&good)
    };
    let reason = world.fails(into_database).await;
    assert!(
        reason.starts_with("Index image ")
            && reason.contains(" does not contain file-based catalog. The index read was "),
        "{reason}"
    );
}
