//! Indexes that are changed without a request, and catalogs that are read.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use iib_oci::{ImageFormat, Pinned, PullSpec, Resolved};
use iib_pipeline::{
    ContentLimits, ImageContent, ImageError, IndexCopy, IndexError, InputError, NewIndex,
    StageError, fetch_content,
};
use iib_ports::Registry;
use iib_testkit::Pull as _;

use crate::image::{Image, Layer};
use crate::samples::{CONFIGS_LABEL, DATABASE, DATABASE_LABEL, database, index_image};
use crate::world::{INDEX_LIMIT, World};

async fn fetch(world: &World, index: &PullSpec, folder: &tempfile::TempDir) -> IndexCopy {
    let copy = IndexCopy::fetch(&*world.deps.registry, index, folder.path(), INDEX_LIMIT);
    copy.await.unwrap()
}

async fn push(world: &World, copy: &IndexCopy, to: &PullSpec) -> Result<Pinned, StageError> {
    push_as(ImageFormat::Docker, world, copy, to).await
}

async fn push_as(
    format: ImageFormat,
    world: &World,
    copy: &IndexCopy,
    to: &PullSpec,
) -> Result<Pinned, StageError> {
    let new = NewIndex {
        database: copy.database(),
        origin: Some(copy),
        binary_image: None,
        format,
    };
    new.push(&world.deps.registry, to).await
}

/// Digests of the layers of the only image in a list.
async fn layers(registry: &Arc<dyn Registry>, list: &Pinned) -> Vec<String> {
    let Resolved::List(list_of) = registry
        .pull(&list.to_pull_spec())
        .await
        .unwrap()
        .read()
        .unwrap()
    else {
        panic!("no list")
    };
    let [entry] = list_of.manifests.as_slice() else {
        panic!("{list_of:?}")
    };
    let image = Pinned::new(list.repository().clone(), entry.descriptor.digest.clone());
    let manifest = registry.pull(&image.to_pull_spec()).await.unwrap();
    let Resolved::Image(manifest) = manifest.read().unwrap() else {
        panic!("a list in a list")
    };
    let layers = manifest.layers.iter();
    layers.map(|layer| layer.digest.to_string()).collect()
}

#[tokio::test]
async fn a_foreign_layer_stays_and_one_of_ours_is_replaced() {
    let world = World::new().await;
    let empty = database(&[]);
    let one = database(&[("lantern", "0.1.0", &world.spec("examples/lantern:v1"))]);
    let index = world.push("foreign/index:v1", &index_image(&empty)).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &index, &folder).await;
    let target = world.spec("foreign/index:v2");
    let first = push(&world, &copy, &target).await.unwrap();
    let before = layers(&world.deps.registry, &first).await;
    assert_eq!(before.len(), 2);

    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &target, &folder).await;
    std::fs::write(copy.database(), one).unwrap();
    let second = push(&world, &copy, &target).await.unwrap();
    let after = layers(&world.deps.registry, &second).await;
    assert_eq!((after.len(), &after[0]), (2, &before[0]));
    assert_ne!(after[1], before[1]);

    // Pushed again, it is the same image.
    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &target, &folder).await;
    assert_eq!(push(&world, &copy, &target).await.unwrap(), second);

    // So it is with the documents of OCI, in which the layer is another one.
    let oci = ImageFormat::Oci;
    let third = push_as(oci, &world, &copy, &target).await.unwrap();
    let framed = layers(&world.deps.registry, &third).await;
    assert_eq!((framed.len(), &framed[0]), (2, &before[0]));
    assert_ne!(framed[1], after[1]);
    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &target, &folder).await;
    let again = push_as(oci, &world, &copy, &target).await.unwrap();
    assert_eq!(again, third);
}

#[tokio::test]
async fn a_tag_that_somebody_else_moved_is_left_alone() {
    let world = World::new().await;
    let index = world
        .push("moved/index:v1", &index_image(&database(&[])))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &index, &folder).await;
    let other = index_image(&database(&[])).label("other", "image");
    world.push("moved/index:v1", &other).await;
    let moved = push(&world, &copy, &index).await.unwrap_err();
    assert!(
        matches!(moved, StageError::Index(IndexError::Moved { .. })),
        "{moved:?}"
    );
    let now = world.deps.registry.pull(&index).await.unwrap();
    assert_eq!(now.digest(), other.manifest().digest());
    // Another tag has nothing to do with it.
    let elsewhere = world.spec("moved/index:v2");
    push(&world, &copy, &elsewhere).await.unwrap();
}

#[tokio::test]
async fn the_binary_image_needs_the_architectures_of_the_index() {
    let world = World::new().await;
    let index = world
        .push("arches/index:v1", &index_image(&database(&[])))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let copy = fetch(&world, &index, &folder).await;
    for (arches, fits) in [(&["arm64"][..], false), (&["amd64", "arm64"], true)] {
        let binary_image = world.push_binary(arches).await;
        let new = NewIndex {
            database: copy.database(),
            origin: Some(&copy),
            binary_image: Some(&binary_image),
            format: ImageFormat::Docker,
        };
        let target = world.spec("arches/index:v2");
        let pushed = new.push(&world.deps.registry, &target).await;
        match fits {
            // Those of the index, and no more.
            true => assert_eq!(
                layers(&world.deps.registry, &pushed.unwrap()).await.len(),
                2
            ),
            false => assert!(matches!(
                pushed.unwrap_err(),
                StageError::Input(InputError::MissingArches(_))
            )),
        }
    }
}

pub(crate) async fn content(
    world: &World,
    image: &PullSpec,
) -> (tempfile::TempDir, Result<ImageContent, StageError>) {
    let folder = tempfile::tempdir().unwrap();
    let limits = ContentLimits {
        index_bytes: INDEX_LIMIT,
        bundle_bytes: INDEX_LIMIT,
    };
    let found = fetch_content(&*world.deps.registry, image, folder.path(), limits).await;
    (folder, found)
}

#[tokio::test]
async fn a_catalog_is_read_from_all_layers_of_its_image() {
    let world = World::new().await;
    let file = |path: &'static str, text: &'static str| (path, text.as_bytes());
    let image = Image::new(
        "amd64",
        vec![
            Layer::of([
                file("configs/a/catalog.json", "old"),
                file("configs/b/catalog.json", "b"),
                file("configs/c/catalog.json", "gone"),
            ]),
            Layer::of([
                file("configs/a/catalog.json", "new"),
                file("configs/.wh.c", ""),
                file("bin/opm", "program"),
            ]),
        ],
    );
    let labelled = image.label(CONFIGS_LABEL, "/configs");
    let spec = world.push("catalogs/index:v1", &labelled).await;
    let (_held, found) = content(&world, &spec).await;
    let ImageContent::Catalog(folder) = found.unwrap() else {
        panic!("no catalog")
    };
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).ok();
    assert_eq!(read("a/catalog.json").as_deref(), Some("new"));
    assert_eq!(read("b/catalog.json").as_deref(), Some("b"));
    assert_eq!(read("c/catalog.json"), None);
    let mode = std::fs::metadata(folder.join("a/catalog.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o644);

    // The database comes first where an image has both.
    let both = labelled.clone().label(DATABASE_LABEL, "/database/index.db");
    let spec = world.push("catalogs/index:v2", &both).await;
    let refused = content(&world, &spec).await.1.unwrap_err();
    assert!(
        matches!(refused, StageError::Index(IndexError::NoDatabase { .. })),
        "{refused:?}"
    );
    for (label, wanted) in [("/nowhere", "no folder /nowhere"), ("/../x", "no folder")] {
        let image = Image::new("amd64", vec![Layer::of([file("configs/a", "")])]);
        let spec = world
            .push("catalogs/bad:v1", &image.label(CONFIGS_LABEL, label))
            .await;
        let refused = content(&world, &spec).await.1.unwrap_err();
        assert!(refused.to_string().contains(wanted), "{refused}");
    }
}

#[tokio::test]
async fn an_image_of_another_kind_is_named_with_the_labels_it_lacks() {
    let world = World::new().await;
    let image = Image::new("amd64", vec![Layer::of([(DATABASE, &b""[..])])]);
    let spec = world.push("unlabelled/image:v1", &image).await;
    let refused = content(&world, &spec).await.1.unwrap_err();
    assert!(
        matches!(&refused, StageError::Image(ImageError::UnknownKind(image)) if *image == spec.to_string())
    );
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let (_held, found) = content(&world, &bundle).await;
    assert!(matches!(found.unwrap(), ImageContent::Bundle(_)));
}
