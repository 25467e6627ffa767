//! Indexes with a file-based catalog.

use std::collections::BTreeSet;
use std::fs;

use iib_catalog_folder::{Folders, read_folder, write_cache};
use iib_fbc::{BundleForm, Catalog, Rules, ServeForm, write_blob};
use iib_indexdb::SqliteIndex;
use iib_oci::PullSpec;
use iib_pipeline::intake::{IntakeDeps, diff, graph};
use iib_pipeline::{ContentLimits, ImageContent, fetch_content};
use iib_ports::{Catalogs as _, IndexDb};
use iib_request::{AddDeprecations, AddRequest, CreateEmptyIndex, Record, RequestId, RmRequest};
use tempfile::TempDir;

use crate::image::{Image, Layer};
use crate::samples::{self, CONFIGS_LABEL, DATABASE_LABEL, VERSION_LABEL};
use crate::world::{BUNDLE_LIMIT, INDEX_LIMIT, World, told};

/// Where the database behind a catalog is.
pub(crate) const HIDDEN: &str = "var/lib/iib/_hidden/do.not.edit.db";

/// A package with a channel of one bundle, as a catalog has it.
pub(crate) fn package(name: &str, version: &str) -> String {
    format!(
        r#"{{"schema": "olm.package", "name": "{name}", "defaultChannel": "stable"}}
{{"schema": "olm.channel", "package": "{name}", "name": "stable", "entries": [{{"name": "{name}.v{version}"}}]}}
{{"schema": "olm.bundle", "package": "{name}", "name": "{name}.v{version}", "image": "r.example/{name}@sha256:{digest:0>64}", "properties": [{{"type": "olm.package", "value": {{"packageName": "{name}", "version": "{version}"}}}}]}}
"#,
        digest = version.replace('.', "")
    )
}

pub(crate) fn own(package: &str) -> String {
    format!("{{\"schema\": \"my.own\", \"package\": \"{package}\",   \"kept\": true}}\n")
}

pub(crate) fn deprecations(package: &str, message: &str) -> String {
    format!(
        r#"{{"schema": "olm.deprecations", "package": "{package}", "entries": [{{"reference": {{"schema": "olm.package"}}, "message": "{message}"}}]}}"#
    )
}

/// A catalog in an image, with a database behind it if there is one.
pub(crate) fn catalog_image(files: &[(&str, &str)], database: Option<&[u8]>) -> Image {
    let files = files
        .iter()
        .map(|(path, text)| (format!("configs/{path}"), text.as_bytes()));
    let database = database.map(|bytes| (HIDDEN.to_owned(), bytes));
    let files: Vec<(String, &[u8])> = files.chain(database).collect();
    let files = files.iter().map(|(path, bytes)| (path.as_str(), *bytes));
    Image::new("amd64", vec![Layer::of(files)])
        .label(CONFIGS_LABEL, "/configs")
        .label(VERSION_LABEL, "v4.6")
}

/// What an index holds.
pub(crate) struct Content {
    catalog: Catalog,
    folder: TempDir,
}

impl Content {
    pub(crate) async fn of(world: &World, record: &Record) -> Self {
        let image: PullSpec = record.facts.index_image.clone().unwrap().parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let limits = ContentLimits {
            index_bytes: INDEX_LIMIT,
            bundle_bytes: BUNDLE_LIMIT,
        };
        let found = fetch_content(&*world.deps.registry, &image, folder.path(), limits).await;
        let ImageContent::Catalog(path) = found.unwrap() else {
            panic!("{image} has no catalog")
        };
        Self {
            catalog: read_folder(&path).unwrap(),
            folder,
        }
    }

    pub(crate) fn packages(&self) -> Vec<String> {
        let names = self
            .catalog
            .packages
            .iter()
            .map(|package| package.name.clone());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    pub(crate) fn bundles(&self) -> Vec<&str> {
        let bundles = self.catalog.bundles.iter();
        bundles.map(|bundle| bundle.name.as_str()).collect()
    }

    pub(crate) fn text(&self, file: &str) -> String {
        let path = self.folder.path().join("catalog").join(file);
        fs::read_to_string(&path).unwrap_or_else(|_| panic!("there is no {}", path.display()))
    }

    pub(crate) fn others(&self) -> String {
        let others = self.catalog.others.iter().map(|other| other.blob.get());
        others.collect::<Vec<_>>().join("\n")
    }
}

/// The files of the layer that a request made.
pub(crate) async fn layer_of(world: &World, record: &Record) -> TempDir {
    let image: PullSpec = record.facts.index_image.clone().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layer = world.top_layer(&image).await;
    tar::Archive::new(flate2::read::GzDecoder::new(&layer[..]))
        .unpack(folder.path())
        .unwrap();
    folder
}

async fn empty_catalog(world: &World) -> (Record, String) {
    let two = world.index_of_two().await;
    let binary = world.push_binary(&["amd64", "arm64"]).await.to_string();
    let empty = CreateEmptyIndex {
        from_index: two.facts.index_image.clone().unwrap(),
        binary_image: Some(binary.clone()),
        output_fbc: Some(true),
        ..CreateEmptyIndex::default()
    };
    (world.completes(empty).await, binary)
}

pub(crate) fn index_of(record: &Record) -> String {
    record.facts.index_image.clone().unwrap()
}

pub(crate) async fn diff_of(world: &World, id: RequestId) -> String {
    let intake = IntakeDeps::from(world.deps.clone());
    diff(&intake, id).await.unwrap().to_string()
}

#[tokio::test]
async fn a_catalog_grows_from_nothing_and_shrinks_again() {
    let world = World::new().await;
    let (empty, binary) = empty_catalog(&world).await;
    let config = world.config(&empty).await;
    assert_eq!(config.labels()[CONFIGS_LABEL], "/configs");
    assert!(!config.labels().contains_key(DATABASE_LABEL));
    assert_eq!(
        Content::of(&world, &empty).await.packages(),
        Vec::<String>::new()
    );
    assert!(
        diff_of(&world, empty.id)
            .await
            .contains("- package kettle\n")
    );

    let bundles = ["0.1.0", "0.2.0"].map(|version| world.push_bundle("lantern", version));
    let [first, second] = futures::future::join_all(bundles).await.try_into().unwrap();
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let add = AddRequest {
        bundles: [&first, &kettle].map(ToString::to_string).into(),
        from_index: Some(index_of(&empty)),
        binary_image: Some(binary.clone()),
        add_arches: vec!["arm64".to_owned()],
        ..AddRequest::default()
    };
    let two = world.completes(add.clone()).await;
    assert_eq!(
        told(&two),
        [
            "Resolving the bundles",
            "Resolving the container images",
            "Building the index image for the following arches: amd64, arm64",
            "Checking if bundles are already present in index image",
            "Creating the manifest list",
            "The operator bundle(s) were successfully added to the index image",
        ]
    );
    let content = Content::of(&world, &two).await;
    assert_eq!(content.packages(), ["kettle", "lantern"]);
    let three = AddRequest {
        bundles: [&first, &second].map(ToString::to_string).into(),
        from_index: Some(index_of(&two)),
        ..add
    };
    let three = world.completes(three).await;
    let content = Content::of(&world, &three).await;
    assert_eq!(
        content.bundles(),
        ["kettle.v1.0.0", "lantern.v0.1.0", "lantern.v0.2.0"]
    );
    let log = world.log(three.id).await;
    assert!(
        log.contains("is in the index already and is left out"),
        "{log}"
    );
    let changes = diff_of(&world, three.id).await;
    assert!(
        changes.contains("lantern.v0.2.0") && !changes.contains("kettle"),
        "{changes}"
    );
    let intake = IntakeDeps::from(world.deps.clone());
    assert!(graph(&intake, three.id, Some("lantern")).await.is_ok());

    // The image is one that `opm serve` takes: the cache is that of the catalog, digest and all.
    let layer = layer_of(&world, &three).await;
    let fresh = layer.path().join("fresh");
    write_cache(&layer.path().join("configs"), &fresh, ServeForm::Opm126).unwrap();
    let read = |path: &str| fs::read(layer.path().join(path)).unwrap();
    assert_eq!(read("tmp/cache/digest"), read("fresh/digest"));
    assert_eq!(
        read("tmp/cache/cache/packages.json"),
        read("fresh/cache/packages.json")
    );
    // And the database behind it says the same.
    let hidden = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
    assert_eq!(hidden, content.catalog.shape());

    let rm = RmRequest {
        operators: ["lantern", "no-such"].map(Into::into).into(),
        from_index: index_of(&three),
        binary_image: Some(binary),
        ..RmRequest::default()
    };
    let one = world.completes(rm).await;
    let content = Content::of(&world, &one).await;
    assert_eq!(content.packages(), ["kettle"]);
    let layer = layer_of(&world, &one).await;
    let hidden = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
    assert_eq!(hidden, content.catalog.shape());
    let log = world.log(one.id).await;
    assert!(
        log.contains("no-such is not in the index and is passed over"),
        "{log}"
    );
    assert_eq!(
        diff_of(&world, one.id).await.lines().next(),
        Some("- package lantern")
    );
}

/// An index with a package in both catalog and database, one in the catalog only, and objects of
/// other schemas.
pub(crate) async fn mixed(world: &World) -> (String, String) {
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let database = samples::database(&[("lantern", "0.1.0", &lantern)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.db");
    fs::write(&file, &database).unwrap();
    let mut text = Vec::new();
    let names = BTreeSet::from(["lantern".to_owned()]);
    let mut take = |_: &str, catalog: Catalog| {
        catalog
            .blobs()
            .for_each(|blob| write_blob(blob, &mut text).unwrap());
    };
    let exported = IndexDb::export(&SqliteIndex, &file, &names, BundleForm::Objects, &mut take);
    assert_eq!(exported.unwrap(), Vec::<String>::new());
    let text = String::from_utf8(text).unwrap() + &own("lantern");
    let opted = package("opted", "1.0.0");
    let files = [
        (
            "_operator-deprecations-content/lantern/lantern.json",
            &*deprecations("lantern", "old"),
        ),
        ("lantern/catalog.json", &text),
        (
            "opted/index.yaml",
            "# words\nschema: olm.package\nname: opted\ndefaultChannel: stable\n---\nschema: my.own\npackage: opted\n",
        ),
        ("opted/rest.json", opted.split_once('\n').unwrap().1),
    ];
    let image = catalog_image(&files, Some(&database));
    let spec = world.push("index/mixed:v4.6", &image).await;
    let binary = world.push_binary(&["amd64"]).await;
    (spec.to_string(), binary.to_string())
}

#[tokio::test]
async fn what_a_request_does_not_touch_stays_as_it_is() {
    let world = World::new().await;
    let (index, binary) = mixed(&world).await;
    let second = world.push_bundle("lantern", "0.2.0").await;
    let add = AddRequest {
        bundles: vec![second.to_string()],
        from_index: Some(index.clone()),
        binary_image: Some(binary.clone()),
        ..AddRequest::default()
    };
    let record = world.completes(add).await;
    let content = Content::of(&world, &record).await;
    assert_eq!(
        content.bundles(),
        ["lantern.v0.1.0", "lantern.v0.2.0", "opted.v1.0.0"]
    );
    assert!(content.text("opted/index.yaml").starts_with("# words\n"));
    // Also what other schemas say of the package that was changed, byte by byte.
    assert!(
        content
            .text("lantern/catalog.json")
            .ends_with(&own("lantern"))
    );
    assert!(content.others().contains("olm.deprecations"));

    let rm = RmRequest {
        operators: ["lantern", "opted"].map(Into::into).into(),
        from_index: index,
        binary_image: Some(binary),
        ..RmRequest::default()
    };
    let record = world.completes(rm).await;
    let content = Content::of(&world, &record).await;
    assert_eq!(content.catalog, Catalog::default());
}

#[tokio::test]
async fn what_only_the_database_has_comes_into_the_catalog() {
    let world = World::new().await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let database = samples::database(&[("lantern", "0.1.0", &lantern)]);
    let files = [("opted/catalog.json", &*package("opted", "1.0.0"))];
    let image = catalog_image(&files, Some(&database));
    let spec = world.push("index/behind:v4.6", &image).await;
    let request = RmRequest {
        operators: vec!["opted".to_owned()],
        from_index: spec.to_string(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..RmRequest::default()
    };
    let record = world.completes(request).await;
    assert_eq!(
        Content::of(&world, &record).await.bundles(),
        ["lantern.v0.1.0"]
    );
    let log = world.log(record.id).await;
    assert!(
        log.contains("the package lantern is in the database behind the catalog"),
        "{log}"
    );
    // So it is there to be deprecated, too.
    let deprecate = AddDeprecations {
        operator_package: "lantern".to_owned(),
        deprecation_schema: deprecations("lantern", "use another one"),
        from_index: spec.to_string(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..AddDeprecations::default()
    };
    let record = world.completes(deprecate).await;
    let content = Content::of(&world, &record).await;
    assert_eq!(content.packages(), ["lantern", "opted"]);
}

#[tokio::test]
async fn what_an_ignore_file_of_the_index_would_leave_out_is_not_put_in() {
    let world = World::new().await;
    let files = [
        (".indexignore", "lantern\n"),
        ("opted/catalog.json", &*package("opted", "1.0.0")),
    ];
    let spec = world
        .push("index/ignoring:v4.6", &catalog_image(&files, None))
        .await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let add = AddRequest {
        from_index: Some(spec.to_string()),
        ..world.add(&lantern).await
    };
    let reason = ["the packages lantern are not served", ".indexignore"];
    world.fails_saying(add, &reason).await;
}

#[tokio::test]
async fn a_catalog_without_a_database_gets_one_with_the_first_bundle() {
    let world = World::new().await;
    let image = catalog_image(&[("opted/catalog.json", &package("opted", "1.0.0"))], None);
    let spec = world.push("index/bare:v4.6", &image).await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let add = AddRequest {
        bundles: vec![lantern.to_string()],
        from_index: Some(spec.to_string()),
        ..world.add(&lantern).await
    };
    let record = world.completes(add).await;
    let content = Content::of(&world, &record).await;
    assert_eq!(content.packages(), ["lantern", "opted"]);
    let layer = layer_of(&world, &record).await;
    let hidden = SqliteIndex.shape(&layer.path().join(HIDDEN)).unwrap();
    assert_eq!(hidden.packages.into_keys().collect::<Vec<_>>(), ["lantern"]);
    // What needs none makes none.
    let deprecate = AddRequest {
        bundles: Vec::new(),
        from_index: Some(spec.to_string()),
        deprecation_list: vec![lantern.to_string()],
        ..world.add(&lantern).await
    };
    let record = world.completes(deprecate).await;
    let log = world.log(record.id).await;
    let passed_over = "of the deprecation list is not in the index and is passed over";
    assert!(log.contains(passed_over), "{log}");
    let layer = layer_of(&world, &record).await;
    assert!(!layer.path().join(HIDDEN).exists());
    let rm = RmRequest {
        operators: vec!["nothing".to_owned()],
        from_index: spec.to_string(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..RmRequest::default()
    };
    let record = world.completes(rm).await;
    let layer = layer_of(&world, &record).await;
    assert!(!layer.path().join(HIDDEN).exists());
}

#[tokio::test]
async fn catalogs_that_cannot_be_used_are_told() {
    let world = World::new().await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let request = world.add(&lantern).await;
    let twice = package("a", "1.0.0") + &package("a", "1.0.0");
    for (name, image, parts) in [
        (
            "json",
            catalog_image(&[("a/catalog.json", "{")], None),
            &["the catalog of", "a/catalog.json"][..],
        ),
        (
            "twice",
            catalog_image(&[("a/catalog.json", &twice)], None),
            &[
                "Failed to validate the content from config_dir",
                "duplicate package \"a\"",
                "a/catalog.json",
            ],
        ),
        (
            "hidden",
            catalog_image(
                &[("a/catalog.json", &package("a", "1.0.0"))],
                Some(b"no database"),
            ),
            &[
                "the database behind the catalog of",
                "is not an index database",
            ],
        ),
        (
            "absent",
            Image::new("amd64", vec![Layer::of([("etc/x", &b""[..])])])
                .label(CONFIGS_LABEL, "/configs"),
            &["has no folder configs, although its label says so"],
        ),
        (
            "file",
            Image::new("amd64", vec![Layer::of([("configs", &b""[..])])])
                .label(CONFIGS_LABEL, "/configs"),
            &["index/file@sha256:", "configs"],
        ),
        (
            "up",
            catalog_image(&[], None).label(CONFIGS_LABEL, "/configs/../etc"),
            &["the catalog label of", "fix the image's label"],
        ),
        (
            "root",
            catalog_image(&[], None).label(CONFIGS_LABEL, "/"),
            &["the catalog label of", "fix the image's label"],
        ),
    ] {
        let spec = world.push(&format!("index/{name}:v4.6"), &image).await;
        let add = AddRequest {
            from_index: Some(spec.to_string()),
            ..request.clone()
        };
        let named = format!("index/{name}");
        world.fails_saying(add.clone(), parts).await;
        if name != "twice" {
            world.fails_saying(add, &[&named]).await;
        }
    }
}

#[test]
fn the_port_reads_what_is_a_catalog() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        Folders
            .open(folder.path(), Rules::Opm126)
            .unwrap()
            .check()
            .is_clean()
    );
    assert!(
        Folders
            .open(&folder.path().join("absent"), Rules::Opm126)
            .is_err()
    );
}
