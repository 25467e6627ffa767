//! Index images to start from.

use iib_oci::PullSpec;
use iib_request::{AddRequest, Plan};
use rusqlite::Connection;

use crate::image::{Family, Image, Layer};
use crate::samples::{DATABASE, DATABASE_LABEL, VERSION_LABEL, database, index_image};
use crate::world::World;

/// A world with a database that holds `lantern.v0.1.0`, and a request to add the next version.
async fn world_and_request() -> (World, Vec<u8>, AddRequest) {
    let world = World::new().await;
    let first = world.push_bundle("lantern", "0.1.0").await;
    let database = database(&[("lantern", "0.1.0", &pinned(&first))]);
    let next = world.push_bundle("lantern", "0.2.0").await;
    let request = AddRequest {
        add_arches: Vec::new(),
        ..world.add(&next).await
    };
    (world, database, request)
}

/// Bundles are stored in indexes by digest; here it plays no part which.
fn pinned(spec: &PullSpec) -> PullSpec {
    let digest = iib_oci::Digest::of(spec.as_str().as_bytes());
    spec.pin(digest).to_pull_spec()
}

fn from(index: &PullSpec, request: &AddRequest) -> AddRequest {
    AddRequest {
        from_index: Some(index.to_string()),
        ..request.clone()
    }
}

/// A database changed by a statement.
fn altered(database: &[u8], sql: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    std::fs::write(&db, database).unwrap();
    Connection::open(&db).unwrap().execute_batch(sql).unwrap();
    std::fs::read(&db).unwrap()
}

/// A database in which the first page of a table is garbage; the others can be read.
fn with_page_spoiled(database: &[u8], table: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    std::fs::write(&db, database).unwrap();
    let connection = Connection::open(&db).unwrap();
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, usize>(0));
    let root = format!("SELECT rootpage FROM sqlite_master WHERE name = '{table}'");
    let (root, size) = (read(&root).unwrap(), read("PRAGMA page_size").unwrap());
    let mut bytes = database.to_vec();
    bytes[(root - 1) * size..root * size].fill(0xa5);
    bytes
}

#[tokio::test]
async fn images_that_are_no_index_are_refused_with_their_name_and_the_label() {
    let (world, database, request) = world_and_request().await;
    let layer = || vec![Layer::of([(DATABASE, database.as_slice())])];
    let without = Image::new("amd64", layer());
    let spec = world.push("bad/unlabelled:v1", &without).await;
    world
        .fails_saying(
            from(&spec, &request),
            &[
                "Index image doesn't have the label specifying its database location",
                spec.as_str(),
                DATABASE_LABEL,
                "name an index image with a database",
            ],
        )
        .await;
    for path in ["/database/../etc/passwd", "..", "", "/", "/database/", "//"] {
        let image = Image::new("amd64", layer()).label(DATABASE_LABEL, path);
        let spec = world.push("bad/path:v1", &image).await;
        world
            .fails_saying(
                from(&spec, &request),
                &[spec.as_str(), &format!("`{path}`"), "fix the image's label"],
            )
            .await;
    }
    let image = Image::new("amd64", layer());
    let mut number = image;
    number.config["config"]["Labels"][DATABASE_LABEL] = 7.into();
    let spec = world.push("bad/label:v1", &number).await;
    world
        .fails_saying(
            from(&spec, &request),
            &["bad/label@sha256:", DATABASE_LABEL, "build the image again"],
        )
        .await;
}

#[tokio::test]
async fn an_index_whose_layers_lack_the_database_is_refused() {
    let (world, database, request) = world_and_request().await;
    let with = |layers| Image::new("amd64", layers).label(DATABASE_LABEL, "/database/index.db");
    let file = || Layer::of([(DATABASE, database.as_slice())]);
    let other = || Layer::of([("etc/os-release", b"x".as_slice())]);
    let whiteout = |path| Layer::of([(path, b"".as_slice())]);
    for (name, image) in [
        ("missing", with(vec![other(), other()])),
        ("no-layers", with(Vec::new())),
        (
            "whited-out",
            with(vec![file(), whiteout("database/.wh.index.db")]),
        ),
        (
            "folder-whited-out",
            with(vec![file(), whiteout(".wh.database"), other()]),
        ),
        (
            "opaque",
            with(vec![file(), whiteout("database/.wh..wh..opq")]),
        ),
    ] {
        let spec = world.push(&format!("bad/{name}:v1"), &image).await;
        world
            .fails_saying(
                from(&spec, &request),
                &[
                    &format!("bad/{name}@sha256:"),
                    "has no file database/index.db",
                    "push the index image again",
                ],
            )
            .await;
    }
    // The uppermost layer that has the file counts.
    let image = with(vec![
        Layer::of([(DATABASE, b"old".as_slice())]),
        file(),
        other(),
    ]);
    let spec = world.push("good/layers:v1", &image).await;
    world.completes(from(&spec, &request)).await;
}

#[tokio::test]
async fn databases_that_cannot_be_used_are_refused_with_the_image_and_what_to_do() {
    let (world, database, request) = world_and_request().await;
    let newer = altered(&database, "UPDATE schema_migrations SET version = 99");
    let foreign = {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("songs.db");
        Connection::open(&db)
            .unwrap()
            .execute_batch("CREATE TABLE songs (title)")
            .unwrap();
        std::fs::read(&db).unwrap()
    };
    let mut spoiled = database.clone();
    spoiled[4096..].fill(0xa5);
    let bare = altered(
        &database,
        "PRAGMA foreign_keys = OFF; DROP TABLE channel_entry; DROP TABLE properties",
    );
    let other_columns = altered(
        &database,
        "ALTER TABLE operatorbundle RENAME COLUMN bundlepath TO picture",
    );
    let cut = database[..database.len() / 2 / 4096 * 4096].to_vec();
    let half_page = database[..6000].to_vec();
    for (name, content, says) in [
        ("text", b"hello".to_vec(), "is not an index database"),
        ("zeros", vec![0; 8192], "is not an index database"),
        ("head-only", database[..100].to_vec(), "index database"),
        ("songs", foreign, "is not an index database"),
        ("spoiled", spoiled, "damaged"),
        ("cut", cut, "damaged"),
        ("half-page", half_page, "damaged"),
        ("newer", newer, "has schema 99"),
        ("bare", bare, "is not an index database"),
        ("other-columns", other_columns, "damaged or altered"),
        (
            "spoiled-table",
            with_page_spoiled(&database, "properties"),
            "damaged or altered",
        ),
        (
            "spoiled-related-images",
            with_page_spoiled(&database, "related_image"),
            "damaged or altered",
        ),
    ] {
        let spec = world
            .push(&format!("bad/{name}:v1"), &index_image(&content))
            .await;
        let reason = world.fails(from(&spec, &request)).await;
        assert!(reason.contains(&format!("bad/{name}@sha256:")), "{reason}");
        assert!(reason.contains(says), "{name}: {reason}");
        // What the engine says is for the log.
        assert!(!reason.contains("SELECT"), "{name}: {reason}");
        assert!(!reason.contains("disk image"), "{name}: {reason}");
        assert!(
            [
                "push the",
                "another",
                "use a newer",
                "send the request again"
            ]
            .iter()
            .any(|next| reason.contains(next)),
            "{name} does not say what to do: {reason}"
        );
    }
}

#[tokio::test]
async fn a_layer_of_an_index_that_is_too_large_is_refused() {
    let (world, _, request) = world_and_request().await;
    let zeros = vec![0; 20 * 1024 * 1024];
    let bomb = index_image(&zeros);
    let mut declared = index_image(b"x");
    declared.layers[0].stated_size = Some(10 << 30);
    // What the manifest says is enough for pin; only mutate sees what is unpacked.
    for (name, image, settled) in [("bomb", bomb, true), ("declared", declared, false)] {
        let spec = world.push(&format!("bad/{name}:v1"), &image).await;
        let record = world.run(from(&spec, &request)).await;
        let reason = record.state_reason();
        for part in [
            &format!("bad/{name}@sha256:"),
            "16777216 bytes",
            "the limit",
        ] {
            assert!(reason.contains(part), "no `{part}` in: {reason}");
        }
        assert_eq!(record.plan.is_some(), settled, "{name}");
    }
}

#[tokio::test]
async fn indexes_of_older_schemas_are_brought_up_to_date() {
    let (world, database, request) = world_and_request().await;
    // Schema 12 has the tables of today; schema 0 has the first five and hardly any columns.
    let twelve = altered(&database, "UPDATE schema_migrations SET version = 12");
    let zero = {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
        std::fs::write(&new, &database).unwrap();
        let connection = Connection::open(&old).unwrap();
        connection
            .execute("ATTACH DATABASE ?1 AS new", [new.to_string_lossy()])
            .unwrap();
        connection
            .execute_batch(
                "CREATE TABLE operatorbundle AS SELECT name, csv, bundle FROM new.operatorbundle;
                 CREATE TABLE package AS SELECT * FROM new.package;
                 CREATE TABLE channel AS SELECT * FROM new.channel;
                 CREATE TABLE channel_entry AS SELECT * FROM new.channel_entry;
                 CREATE TABLE api AS SELECT * FROM new.api;
                 CREATE TABLE api_provider AS
                   SELECT used.group_name, used.version, used.kind,
                     entry.entry_id AS channel_entry_id
                   FROM new.api_provider AS used
                     JOIN new.channel_entry AS entry USING (operatorbundle_name);
                 CREATE TABLE schema_migrations (version bigint NOT NULL, timestamp DATETIME);
                 INSERT INTO schema_migrations VALUES (0, 'then');
                 DETACH DATABASE new;",
            )
            .unwrap();
        drop(connection);
        std::fs::read(&old).unwrap()
    };
    for (name, content) in [("twelve", twelve), ("zero", zero), ("empty", Vec::new())] {
        let spec = world
            .push(&format!("old/{name}:v1"), &index_image(&content))
            .await;
        let mut request = from(&spec, &request);
        let mut expect = vec!["lantern.v0.1.0", "lantern.v0.2.0"];
        if name == "empty" {
            request.bundles = vec![world.spec("bundles/lantern:v0.1.0").to_string()];
            expect.pop();
        }
        let record = world.completes(request).await;
        assert_eq!(world.bundles(&record).await, expect, "{name}");
    }
}

#[tokio::test]
async fn version_and_architectures_come_from_the_index() {
    let (world, database, mut request) = world_and_request().await;
    request.binary_image = Some(world.push_binary(&["amd64", "arm64"]).await.to_string());
    let image = index_image(&database);
    let mut arm = image.clone();
    arm.config["architecture"] = "arm64".into();
    let index = world
        .push_list(
            "index/both:v1",
            Family::Docker,
            &[("arm64", arm.clone()), ("amd64", image)],
        )
        .await;
    let record = world.completes(from(&index, &request)).await;
    let arches: Vec<&str> = record
        .facts
        .arches
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(arches, ["amd64", "arm64"]);
    // A lone image says in its configuration what it is for.
    let lone = world.push("index/arm:v1", &arm).await;
    let record = world.completes(from(&lone, &request)).await;
    let arches: Vec<&str> = record
        .facts
        .arches
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(arches, ["arm64"]);
    let Some(Plan::Index(plan)) = record.plan else {
        panic!("no plan of an index: {:?}", record.plan)
    };
    assert_eq!(plan.version, "v4.6", "{VERSION_LABEL}");
    // One that does not say so cannot be built for.
    let mut mute = arm;
    mute.config.as_object_mut().unwrap().remove("architecture");
    let mute = world.push("bad/mute:v1", &mute).await;
    let record = world.run(from(&mute, &request)).await;
    let reason = record.state_reason();
    assert!(reason.contains("bad/mute@sha256:"), "{reason}");
    assert!(reason.contains("architecture"), "{reason}");
}

#[tokio::test]
async fn versions_find_their_place_if_the_request_says_so() {
    let world = World::new().await;
    let by_version = |request: AddRequest| AddRequest {
        graph_update_mode: Some("semver".to_owned()),
        ..request
    };
    let third = world.push_bundle("lantern", "0.3.0").await;
    let request = world.add(&third).await;
    // It replaces a bundle that is not there.
    let missing = "replaces nonexistent bundle lantern.v0.1.0";
    world.fails_saying(request.clone(), &[missing]).await;
    let record = world.completes(by_version(request.clone())).await;

    let first = world.push_bundle("lantern", "0.1.0").await;
    let lower = AddRequest {
        bundles: vec![first.to_string()],
        from_index: record.facts.index_image_resolved,
        ..request
    };
    let record = world.completes(by_version(lower.clone())).await;
    assert_eq!(
        world.bundles(&record).await,
        ["lantern.v0.1.0", "lantern.v0.3.0"]
    );

    // Settings may allow a mode that does not exist.
    let strange = AddRequest {
        graph_update_mode: Some("sideways".to_owned()),
        ..lower
    };
    let reason = "Invalid channel update mode sideways specified";
    world.fails_saying(strange, &[reason]).await;
}
