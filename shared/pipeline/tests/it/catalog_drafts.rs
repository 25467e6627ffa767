//! Indexes with a file-based catalog that are changed without a request.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use iib_catalog_folder::write_cache;
use iib_fbc::{Deprecations, Filter, PackageFilter, ServeForm};
use iib_indexdb::SqliteIndex;
use iib_oci::{ImageFormat, Pinned, PullSpec};
use iib_pipeline::{CatalogDraft, CatalogEdit, Engine, IndexError, NamedFolder, StageError};
use iib_ports::IndexDb as _;
use iib_request::{AddDeprecations, AddRequest, FbcOperations, Record, RmRequest};
use iib_testkit::Pull as _;
use tempfile::TempDir;

use crate::catalogs::{HIDDEN, catalog_image, deprecations, index_of, mixed, own, package};
use crate::image::{Image, Layer};
use crate::samples::{self, CONFIGS_LABEL, DATABASE_LABEL};
use crate::world::World;

fn engine(world: &World) -> Engine {
    Engine {
        index_db: world.deps.index_db.clone(),
        catalogs: world.deps.catalogs.clone(),
        work: world.deps.work.clone(),
        unpacked: world.deps.unpacked.clone(),
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A draft of an image, and the folder it is in.
struct Sketch {
    draft: CatalogDraft,
    _folder: TempDir,
}

impl Sketch {
    async fn of(world: &World, index: &PullSpec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = &*world.deps.registry;
        let draft = CatalogDraft::of_image(engine(world), registry, index, folder.path());
        let (draft, _folder) = (draft.await.unwrap(), folder);
        Self { draft, _folder }
    }

    async fn push(&self, world: &World, to: &PullSpec) -> Result<Pinned, StageError> {
        self.push_onto(world, to, None).await
    }

    async fn push_onto(
        &self,
        world: &World,
        to: &PullSpec,
        binary_image: Option<&PullSpec>,
    ) -> Result<Pinned, StageError> {
        let (registry, format) = (&world.deps.registry, ImageFormat::Docker);
        self.draft.push(registry, to, binary_image, format).await
    }
}

/// Changes an index, and puts it under a tag.
async fn changed(world: &World, index: &PullSpec, edit: CatalogEdit, to: &PullSpec) -> Pinned {
    let mut sketch = Sketch::of(world, index).await;
    sketch.draft.change(edit).await.unwrap();
    sketch.push(world, to).await.unwrap()
}

/// Why an index cannot be changed so.
async fn refused(world: &World, index: &PullSpec, edit: CatalogEdit) -> String {
    let mut sketch = Sketch::of(world, index).await;
    sketch.draft.change(edit).await.unwrap_err().reason()
}

/// The files of the layer on top.
async fn top_layer(world: &World, image: &Pinned) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let layer = world.top_layer(&image.to_pull_spec()).await;
    tar::Archive::new(flate2::read::GzDecoder::new(&layer[..]))
        .unpack(folder.path())
        .unwrap();
    folder
}

/// An index of ours with several architectures, of a package in both, one in the catalog only, and
/// objects of other schemas.
async fn of_ours(world: &World) -> (PullSpec, String) {
    let (index, _) = mixed(world).await;
    let binary = world.push_binary(&["amd64", "arm64"]).await.to_string();
    let add = AddRequest {
        bundles: vec![world.push_bundle("lantern", "0.2.0").await.to_string()],
        from_index: Some(index),
        binary_image: Some(binary.clone()),
        add_arches: vec!["arm64".to_owned()],
        ..AddRequest::default()
    };
    let record = world.completes(add).await;
    (index_of(&record).parse().unwrap(), binary)
}

/// Changes an index as a request did, on what that was built on: it is the same image. On the layers of
/// the index it has the same layers, and is run alike; only its history is another.
async fn is_as(
    world: &World,
    (index, binary): (&PullSpec, &str),
    edit: CatalogEdit,
    record: &Record,
) -> Pinned {
    let target = world.spec("drafts/index:v1");
    let mut sketch = Sketch::of(world, index).await;
    sketch.draft.change(edit).await.unwrap();
    let (binary, wanted) = (binary.parse().unwrap(), result_of(record));
    let anew = sketch.push_onto(world, &target, Some(&binary)).await;
    assert_eq!(anew.unwrap().digest(), wanted.digest());
    let changed = sketch.push(world, &target).await.unwrap();
    let config = world.config_of(&changed.to_pull_spec()).await;
    let wanted = world.config_of(&wanted.to_pull_spec()).await;
    for part in ["config", "rootfs"] {
        assert_eq!(config.document()[part], wanted.document()[part]);
    }
    changed
}

fn result_of(record: &Record) -> Pinned {
    let resolved = record.facts.index_image_resolved.as_ref();
    resolved.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_command_makes_the_image_that_the_request_makes() {
    let world = World::new().await;
    let (index, binary) = of_ours(&world).await;
    let target = world.spec("drafts/index:v1");
    let rm = RmRequest {
        operators: vec!["lantern".to_owned()],
        from_index: index.to_string(),
        binary_image: Some(binary.clone()),
        ..RmRequest::default()
    };
    let record = world.completes(rm).await;
    let edit = CatalogEdit::Remove(set(&["lantern"]));
    let removed = is_as(&world, (&index, &binary), edit, &record).await;
    // So it is if all others are named.
    let edit = CatalogEdit::Keep(set(&["opted"]));
    assert_eq!(changed(&world, &index, edit, &target).await, removed);
    let layer = top_layer(&world, &removed).await;
    let hidden = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
    assert!(hidden.packages.is_empty());
    let yaml = fs::read_to_string(layer.path().join("configs/opted/index.yaml")).unwrap();
    assert!(yaml.starts_with("# words\n"), "{yaml}");

    let text = package("lantern", "9.0.0") + &own("lantern");
    let fragment = catalog_image(&[("lantern/catalog.json", &text)], None);
    let fragment = world.push("drafts/fragment:v1", &fragment).await;
    let fbc = FbcOperations {
        fbc_fragments: vec![fragment.to_string()],
        from_index: index.to_string(),
        binary_image: Some(binary.clone()),
        ..FbcOperations::default()
    };
    let record = world.completes(fbc).await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lantern")).unwrap();
    fs::write(folder.path().join("lantern/catalog.json"), text).unwrap();
    let edit = CatalogEdit::Merge(vec![NamedFolder {
        name: "fragment".to_owned(),
        folder: folder.path().to_owned(),
    }]);
    is_as(&world, (&index, &binary), edit, &record).await;

    let schema = deprecations("lantern", "use another one");
    let request = AddDeprecations {
        operator_package: "lantern".to_owned(),
        deprecation_schema: schema.clone(),
        from_index: index.to_string(),
        binary_image: Some(binary.clone()),
        ..AddDeprecations::default()
    };
    let record = world.completes(request).await;
    let edit = CatalogEdit::Deprecate(Deprecations::read(schema.as_bytes()).unwrap());
    is_as(&world, (&index, &binary), edit, &record).await;
}

#[tokio::test]
async fn what_is_below_in_a_foreign_image_is_not_seen_any_more() {
    let world = World::new().await;
    let (index, _) = mixed(&world).await;
    let index: PullSpec = index.parse().unwrap();
    let target = world.spec("foreign/catalog:v2");
    let remove = |package| CatalogEdit::Remove(set(&[package]));
    let first = changed(&world, &index, remove("opted"), &target).await;
    let layer = top_layer(&world, &first).await;
    for folder in ["configs", "tmp/cache"] {
        let mark = layer.path().join(folder).join(".wh..wh..opq");
        assert_eq!(fs::read(mark).unwrap(), b"", "{folder}");
    }
    assert!(!layer.path().join("configs/opted").exists());
    let again = refused(&world, &target, remove("opted")).await;
    assert!(
        again.starts_with(&format!(
            "{target} has no package opted: check its spelling"
        )),
        "{again}"
    );
    // The layer of ours goes, the foreign one stays and is hidden still.
    let second = changed(&world, &target, remove("lantern"), &target).await;
    let config = world.config_of(&second.to_pull_spec()).await;
    assert_eq!(config.diff_ids().len(), 2);
    let again = refused(&world, &target, remove("lantern")).await;
    assert!(again.contains("has no package lantern"), "{again}");
    let layer = top_layer(&world, &second).await;
    assert!(layer.path().join("configs/.wh..wh..opq").exists());
    cache_is_of_catalog(layer.path());
}

/// The cache in a layer is what is written of its catalog, the mark for layers below set aside.
fn cache_is_of_catalog(layer: &Path) {
    for folder in ["configs", "tmp/cache"] {
        drop(fs::remove_file(layer.join(folder).join(".wh..wh..opq")));
    }
    let fresh = layer.join("fresh");
    write_cache(&layer.join("configs"), &fresh, ServeForm::Opm126).unwrap();
    let read = |path: &str| fs::read(layer.join(path)).unwrap();
    assert_eq!(read("tmp/cache/digest"), read("fresh/digest"));
}

#[tokio::test]
async fn a_draft_that_changes_nothing_is_the_image_that_was_there() {
    let world = World::new().await;
    let (index, _) = of_ours(&world).await;
    let keep = || CatalogEdit::Keep(set(&["lantern", "opted"]));
    let target = world.spec("same/index:v1");
    let same = changed(&world, &index, keep(), &target).await;
    let was = world.deps.registry.pull(&index).await.unwrap();
    assert_eq!(*same.digest(), was.digest());
    // With the documents of OCI it is another one, and the same again.
    let mut digests = BTreeSet::new();
    for _ in 0..2 {
        let mut sketch = Sketch::of(&world, &target).await;
        sketch.draft.change(keep()).await.unwrap();
        let registry = &world.deps.registry;
        let oci = sketch.draft.push(registry, &target, None, ImageFormat::Oci);
        digests.insert(oci.await.unwrap().digest().to_string());
    }
    assert_eq!(digests.len(), 1);
    assert!(!digests.contains(was.digest().as_str()));
}

#[tokio::test]
async fn a_tag_that_somebody_else_moved_is_left_alone() {
    let world = World::new().await;
    let files = [
        ("a.json", &*package("a", "1.0.0")),
        ("b.json", &*package("b", "1.0.0")),
    ];
    let image = catalog_image(&files, None);
    let index = world.push("moved/catalog:v1", &image).await;
    let mut sketch = Sketch::of(&world, &index).await;
    let edit = CatalogEdit::Remove(set(&["a"]));
    sketch.draft.change(edit).await.unwrap();
    let other = catalog_image(&files, None).label("other", "image");
    world.push("moved/catalog:v1", &other).await;
    let moved = sketch.push(&world, &index).await.unwrap_err();
    assert!(
        matches!(moved, StageError::Index(IndexError::Moved { .. })),
        "{moved:?}"
    );
    let now = world.deps.registry.pull(&index).await.unwrap();
    assert_eq!(now.digest(), other.manifest().digest());
    let elsewhere = world.spec("moved/catalog:v2");
    sketch.push(&world, &elsewhere).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_changed_is_told_with_what_to_do() {
    let world = World::new().await;
    let files = [("a.json", &*package("a", "1.0.0"))];
    let index = world
        .push("odd/index:v1", &catalog_image(&files, None))
        .await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("none.json"), own("a")).unwrap();
    let fragment = |name: &str, folder: &Path| {
        CatalogEdit::Merge(vec![NamedFolder {
            name: name.to_owned(),
            folder: folder.to_owned(),
        }])
    };
    let silent = r#"{"schema": "olm.deprecations", "package": "a", "entries":
        [{"reference": {"schema": "olm.bundle", "name": "a.v2"}, "message": "old"}]}"#;
    for (edit, words) in [
        (
            CatalogEdit::Remove(set(&["b"])),
            "has no package b: check its spelling",
        ),
        (
            CatalogEdit::Keep(set(&["a", "b"])),
            "has no package b: check its spelling",
        ),
        (
            fragment("mine", folder.path()),
            "No operator packages in fbc_fragment mine",
        ),
        (
            CatalogEdit::Deprecate(Deprecations::read(silent.as_bytes()).unwrap()),
            "which the package does not have",
        ),
    ] {
        let reason = refused(&world, &index, edit).await;
        assert!(reason.contains(words), "{reason}");
    }
    let database = samples::index_image(&samples::database(&[]));
    let database = world.push("odd/database:v1", &database).await;
    let folder = tempfile::tempdir().unwrap();
    let draft = CatalogDraft::of_image(
        engine(&world),
        &*world.deps.registry,
        &database,
        folder.path(),
    );
    let reason = draft.await.err().unwrap().reason();
    assert!(reason.contains("use `iib index`, or write"), "{reason}");
}

#[tokio::test]
async fn a_catalog_is_where_the_label_of_its_image_says() {
    let world = World::new().await;
    let (a, b) = (package("a", "1.0.0"), package("b", "1.0.0"));
    let files = [
        ("srv/all/a.json", a.as_bytes()),
        ("srv/all/b.json", b.as_bytes()),
    ];
    let image = Image::new("amd64", vec![Layer::of(files)]).label(CONFIGS_LABEL, "/srv/all");
    let index = world.push("elsewhere/index:v1", &image).await;
    let target = world.spec("elsewhere/index:v2");
    let edit = || CatalogEdit::Remove(set(&["a"]));
    let changed = changed(&world, &index, edit(), &target).await;
    let layer = top_layer(&world, &changed).await;
    assert!(layer.path().join("srv/all/b.json").exists());
    assert!(layer.path().join("srv/all/.wh..wh..opq").exists());
    assert!(!layer.path().join("configs").exists());
    let gone = refused(&world, &target, edit()).await;
    assert!(gone.contains("has no package a"), "{gone}");
}

#[tokio::test]
async fn a_folder_becomes_an_image() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a.json"),
        package("a", "1.0.0") + &own("a"),
    )
    .unwrap();
    fs::write(folder.path().join("b.json"), package("b", "1.0.0")).unwrap();
    let named = NamedFolder {
        name: "catalog".to_owned(),
        folder: folder.path().to_owned(),
    };
    let binary = world.push_binary(&["amd64", "arm64"]).await;
    for (binary_image, layers) in [(None, 1), (Some(&binary), 2)] {
        let scratch = tempfile::tempdir().unwrap();
        let registry = &world.deps.registry;
        let engine = engine(&world);
        let draft =
            CatalogDraft::of_folder(engine, &**registry, &named, binary_image, scratch.path());
        let mut draft = draft.await.unwrap();
        draft
            .change(CatalogEdit::Remove(set(&["b"])))
            .await
            .unwrap();
        let target = world.spec("made/index:v1");
        let pushed = draft.push(registry, &target, binary_image, ImageFormat::Docker);
        let pushed = pushed.await.unwrap();
        let config = world.config_of(&pushed.to_pull_spec()).await;
        assert_eq!(config.labels()[CONFIGS_LABEL], "/configs");
        assert_eq!(config.diff_ids().len(), layers);
        let layer = top_layer(&world, &pushed).await;
        let text = fs::read_to_string(layer.path().join("configs/a.json")).unwrap();
        assert!(text.ends_with(&own("a")), "{text}");
        cache_is_of_catalog(layer.path());
    }
    assert!(folder.path().join("b.json").exists());
}

#[tokio::test]
async fn the_database_stays_where_the_label_of_the_image_says() {
    let world = World::new().await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let database = samples::database(&[("lantern", "0.1.0", &lantern)]);
    let text = package("a", "1.0.0");
    let files = [
        ("configs/a.json", text.as_bytes()),
        ("srv/behind.db", &*database),
    ];
    let image = Image::new("amd64", vec![Layer::of(files)])
        .label(CONFIGS_LABEL, "/configs")
        .label(DATABASE_LABEL, "/srv/behind.db");
    let index = world.push("labelled/index:v1", &image).await;
    let target = world.spec("labelled/index:v2");
    // What only the database has is known, and goes.
    let edit = CatalogEdit::Keep(set(&["a"]));
    let kept = changed(&world, &index, edit, &target).await;
    let layer = top_layer(&world, &kept).await;
    let shape = SqliteIndex.shape(&layer.path().join("srv/behind.db"));
    assert!(shape.unwrap().packages.is_empty());
    assert!(!layer.path().join(HIDDEN).exists());
}

#[tokio::test]
async fn an_image_that_is_served_with_another_cache_is_refused() {
    let world = World::new().await;
    let text = package("a", "1.0.0") + &package("b", "1.0.0");
    let mut image = catalog_image(&[("all.json", &text)], None);
    let binary = world.push_binary(&["amd64"]).await;
    for (cmd, is_refused) in [
        (&["serve", "/configs", "--cache-dir=/var/cache"][..], true),
        (&["serve", "/configs", "--cache-dir", "/var/cache"], true),
        (&["serve", "/configs", "--cache-dir=/tmp/cache/"], false),
        (&["serve", "/configs"], false),
    ] {
        image.config["config"]["Cmd"] = cmd.into();
        let index = world.push("cached/index:v1", &image).await;
        let mut sketch = Sketch::of(&world, &index).await;
        let edit = CatalogEdit::Remove(set(&["a"]));
        sketch.draft.change(edit).await.unwrap();
        let target = world.spec("cached/index:v2");
        match sketch.push(&world, &target).await {
            Ok(_) => assert!(!is_refused, "{cmd:?}"),
            Err(error) => {
                let reason = error.reason();
                assert!(is_refused, "{reason}");
                assert!(reason.contains("in /var/cache, and a new one"), "{reason}");
                assert!(reason.contains("--binary-image"), "{reason}");
            }
        }
        let anew = sketch.push_onto(&world, &target, Some(&binary)).await;
        anew.unwrap();
    }
}

#[tokio::test]
async fn the_database_forgets_a_package_of_which_something_goes() {
    let world = World::new().await;
    let (index, _) = of_ours(&world).await;
    let target = world.spec("filtered/index:v1");
    let filter = |versions: Option<&str>| {
        let lantern = PackageFilter {
            versions: versions.map(|range| range.parse().unwrap()),
            ..PackageFilter::default()
        };
        CatalogEdit::Filter(Filter {
            packages: [("lantern".to_owned(), lantern)].into(),
        })
    };
    let hidden = async |image: &Pinned| {
        let layer = top_layer(&world, image).await;
        let shape = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
        let names: Vec<String> = shape.packages.into_keys().collect();
        let catalog = layer.path().join("configs/lantern/catalog.json");
        (names, fs::read_to_string(catalog).unwrap())
    };
    let whole = changed(&world, &index, filter(None), &target).await;
    assert_eq!(hidden(&whole).await.0, ["lantern"]);
    let mut sketch = Sketch::of(&world, &index).await;
    sketch.draft.change(filter(Some(">=0.2.0"))).await.unwrap();
    let words = sketch.draft.words().join("\n");
    assert!(
        words.contains("lantern is in the catalog only from now on"),
        "{words}"
    );
    let part = sketch.push(&world, &target).await.unwrap();
    let (names, after) = hidden(&part).await;
    assert_eq!(names, Vec::<String>::new());
    // Byte by byte what it was.
    assert!(after.contains(&own("lantern")), "{after}");
    let lowest = refused(&world, &target, filter(Some("0.1.0"))).await;
    assert!(lowest.ends_with("there are 0.2.0"), "{lowest}");
}
