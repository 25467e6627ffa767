//! Files of images that are hard links to others.

use iib_pipeline::ImageContent;

use crate::image::{Image, Layer};
use crate::index_copies::content;
use crate::samples::{CONFIGS_LABEL, DATABASE_LABEL, bundle_files, csv_path, database, layer};
use crate::tar_file::TarFile;
use crate::world::World;

fn links(pairs: &[(&str, &str)]) -> Layer {
    let archive = pairs.iter();
    let archive = archive.fold(TarFile::default(), |archive, (path, target)| {
        archive.link(path, target)
    });
    Layer::of_tar(&archive.end())
}

fn bundle(layers: Vec<Layer>) -> Image {
    Image::new("amd64", layers).label(
        "operators.operatorframework.io.bundle.package.v1",
        "lantern",
    )
}

#[tokio::test]
async fn a_file_of_a_bundle_is_found_by_its_other_name_in_any_layer() {
    let world = World::new().await;
    let whole = bundle_files("lantern", "0.1.0");
    let path = csv_path("lantern");
    let mut rest = whole.clone();
    let csv = rest.remove(&path).unwrap();
    let base = Layer::of([("usr/csv.yaml", csv.as_slice()), ("usr/other.yaml", b"x")]);
    let spec = world
        .push("whole/lantern:v1", &bundle(vec![layer(&whole)]))
        .await;
    let (_held, expected) = content(&world, &spec).await;
    let ImageContent::Bundle(expected) = expected.unwrap() else {
        panic!("no bundle")
    };
    for (name, layers) in [
        (
            "below",
            vec![
                base.clone(),
                links(&[(&path, "usr/csv.yaml")]),
                layer(&rest),
            ],
        ),
        (
            "chain",
            vec![
                base.clone(),
                links(&[("usr/second.yaml", "/usr/csv.yaml")]),
                links(&[(&path, "./usr/second.yaml")]),
                layer(&rest),
            ],
        ),
    ] {
        let spec = world
            .push(&format!("linked/{name}:v1"), &bundle(layers))
            .await;
        let (_held, found) = content(&world, &spec).await;
        let ImageContent::Bundle(found) = found.unwrap() else {
            panic!("no bundle")
        };
        assert_eq!(found, expected, "{name}");
        world.completes(world.add(&spec).await).await;
    }
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_refused_by_name() {
    let world = World::new().await;
    let rest = layer(&bundle_files("lantern", "0.1.0"));
    let gone = Layer::of([("usr/.wh.x", &b""[..])]);
    let there = Layer::of([("usr/x", &b"x"[..])]);
    let link = || links(&[("manifests/more.yaml", "usr/x")]);
    for (name, layers) in [
        ("missing", vec![rest.clone(), link()]),
        ("later", vec![rest.clone(), link(), there.clone()]),
        ("removed", vec![rest.clone(), there, gone, link()]),
        (
            "itself",
            vec![
                rest.clone(),
                links(&[("manifests/more.yaml", "manifests/more.yaml")]),
            ],
        ),
        (
            "circle",
            vec![
                rest,
                links(&[
                    ("usr/a", "usr/b"),
                    ("usr/b", "usr/a"),
                    ("manifests/more.yaml", "usr/a"),
                ]),
            ],
        ),
    ] {
        let spec = world.push(&format!("bad/{name}:v1"), &bundle(layers)).await;
        let parts = ["`manifests/more.yaml` is a hard link to a file that is not there"];
        world.fails_saying(world.add(&spec).await, &parts).await;
    }
}

#[tokio::test]
async fn databases_and_catalogs_are_found_by_their_other_names() {
    let world = World::new().await;
    let bytes = database(&[]);
    let image = Image::new(
        "amd64",
        vec![
            Layer::of([("usr/index.db", bytes.as_slice())]),
            links(&[("/database/index.db", "/usr/index.db")]),
        ],
    );
    let index = image.label(DATABASE_LABEL, "/database/index.db");
    let spec = world.push("linked/index:v1", &index).await;
    let (_held, found) = content(&world, &spec).await;
    let ImageContent::Database(copy) = found.unwrap() else {
        panic!("no database")
    };
    assert_eq!(std::fs::read(copy.database()).unwrap(), bytes);

    let file = |path: &'static str, text: &'static str| (path, text.as_bytes());
    let lower = Layer::of([
        file("usr/a.json", "a"),
        file("configs/c/catalog.json", "old"),
    ]);
    let upper = TarFile::of([
        file("configs/b/catalog.json", "b"),
        file("configs/c/catalog.json", "new"),
    ])
    .link("configs/a/catalog.json", "usr/a.json")
    .link("configs/d/catalog.json", "configs/b/catalog.json")
    .end();
    let image = Image::new("amd64", vec![lower, Layer::of_tar(&upper)]);
    let spec = world
        .push("linked/catalog:v1", &image.label(CONFIGS_LABEL, "/configs"))
        .await;
    let (_held, found) = content(&world, &spec).await;
    let ImageContent::Catalog(folder) = found.unwrap() else {
        panic!("no catalog")
    };
    for (name, text) in [("a", "a"), ("b", "b"), ("c", "new"), ("d", "b")] {
        let path = folder.join(name).join("catalog.json");
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "{name}");
    }
    let image = Image::new(
        "amd64",
        vec![links(&[("configs/a/catalog.json", "usr/a.json")])],
    );
    let spec = world
        .push("bad/catalog:v1", &image.label(CONFIGS_LABEL, "/configs"))
        .await;
    let refused = content(&world, &spec).await.1.unwrap_err();
    assert!(
        refused
            .reason()
            .contains("hard link to a file that is not there"),
        "{refused:?}"
    );
}
