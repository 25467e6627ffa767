use std::fs;

use iib_bundle::Bundle;
use iib_catalog::{AddOptions, Mode, Overwrite};
use iib_indexdb::SqliteIndex;
use iib_ports::{Class, Classify as _, IndexDb as _, IndexDbError};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::made::{Made, basic, bundles, select};

const OPTIONS: AddOptions = AddOptions {
    mode: Mode::Replaces,
    overwrite: Overwrite::Refuse,
    alpha: iib_catalog::AlphaFeatures::On,
};

const ENTRIES: &str = "SELECT e.channel_name, e.operatorbundle_name, e.depth, r.operatorbundle_name
    FROM channel_entry e LEFT JOIN channel_entry r ON r.entry_id = e.replaces";

#[test]
fn the_worked_example_gives_the_graph_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    for made in basic() {
        SqliteIndex.add(&db, &[made.bundle()], &OPTIONS).unwrap();
    }
    assert_eq!(
        select(&db, ENTRIES),
        [
            "alpha | basic.v1.0.0 | 2 | ",
            "alpha | basic.v1.1.0 | 1 | basic.v1.0.0",
            "alpha | basic.v1.2.0 | 0 | basic.v1.1.0",
            "beta | basic.v1.0.0 | 2 | ",
            "beta | basic.v1.1.0 | 1 | basic.v1.0.0",
            "beta | basic.v1.2.0 | 0 | basic.v1.1.0",
            "stable | basic.v1.0.0 | 3 | ",
            "stable | basic.v1.1.0 | 2 | basic.v1.0.0",
            "stable | basic.v1.2.0 | 1 | ",
            "stable | basic.v1.3.0 | 0 | basic.v1.1.0",
            "stable | basic.v1.3.0 | 1 | basic.v1.2.0",
        ]
    );
    let shape = SqliteIndex.shape(&db).unwrap();
    let package = &shape.packages["basic"];
    assert_eq!(package.default_channel.as_deref(), Some("stable"));
    assert_eq!(package.channels["beta"].as_deref(), Some("basic.v1.2.0"));
    assert_eq!(package.bundles.len(), 4);
    let present = SqliteIndex.bundles(&db).unwrap();
    let images: Vec<&str> = present.iter().map(|bundle| bundle.image.as_str()).collect();
    assert_eq!(images.len(), 4);
    assert_eq!(images[3], "registry.invalid/basic:1.3.0");
}

#[test]
fn among_many_entries_a_graph_is_written_like_among_few() {
    // So many that the work is done with indexes.
    let filler = "INSERT INTO package VALUES ('filler', NULL);
        INSERT INTO channel VALUES ('c', 'filler', NULL);
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 700)
        INSERT INTO channel_entry(channel_name, package_name, operatorbundle_name, depth)
          SELECT 'c', 'filler', 'filler.' || n, n FROM numbers";
    let of_basic = format!("{ENTRIES} WHERE e.package_name = 'basic'");
    for mode in [Mode::Replaces, Mode::Semver, Mode::SemverSkippatch] {
        let folder = tempfile::tempdir().unwrap();
        let (few, many) = (folder.path().join("few.db"), folder.path().join("many.db"));
        SqliteIndex.add(&few, &[], &OPTIONS).unwrap();
        SqliteIndex.add(&many, &[], &OPTIONS).unwrap();
        let schema = "SELECT name, sql FROM sqlite_master ORDER BY rowid";
        let before = select(&many, schema);
        Connection::open(&many)
            .unwrap()
            .execute_batch(filler)
            .unwrap();
        let options = AddOptions { mode, ..OPTIONS };
        for made in basic() {
            SqliteIndex.add(&few, &[made.bundle()], &options).unwrap();
            SqliteIndex.add(&many, &[made.bundle()], &options).unwrap();
        }
        assert_eq!(
            select(&few, &of_basic),
            select(&many, &of_basic),
            "{mode:?}"
        );
        assert_eq!(select(&many, schema), before);
    }
}

#[test]
fn the_report_names_what_was_added_and_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..1]), &OPTIONS)
        .unwrap();
    let report = SqliteIndex
        .add(&db, &bundles(&basic()[1..2]), &OPTIONS)
        .unwrap();
    assert_eq!(report.added, ["basic.v1.1.0"]);
    assert_eq!(
        report.changes.to_string(),
        "~ package basic\n  \
         ~ channel basic/alpha: head basic.v1.0.0 -> basic.v1.1.0\n  \
         ~ channel basic/alpha: + entry basic.v1.1.0 replaces basic.v1.0.0\n  \
         ~ channel basic/stable: head basic.v1.0.0 -> basic.v1.1.0\n  \
         ~ channel basic/stable: + entry basic.v1.1.0 replaces basic.v1.0.0\n  \
         + bundle basic/basic.v1.1.0\n"
    );
}

#[test]
fn contents_are_stored_as_blobs_and_the_schema_row_carries_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..1]), &OPTIONS)
        .unwrap();
    assert_eq!(
        select(
            &db,
            "SELECT typeof(csv), typeof(bundle), typeof(name) FROM operatorbundle"
        ),
        ["blob | blob | text"]
    );
    assert_eq!(
        select(
            &db,
            "SELECT typeof(d.value), typeof(p.value) FROM dependencies d, properties p"
        ),
        ["blob | text"]
    );
    assert_eq!(
        select(&db, "SELECT version, timestamp FROM schema_migrations"),
        ["13 | 1970-01-01 00:00:00"]
    );
    assert_eq!(select(&db, "PRAGMA integrity_check"), ["ok"]);
    assert_eq!(select(&db, "PRAGMA foreign_key_check"), [""; 0]);
}

#[test]
fn an_empty_list_makes_an_empty_index() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    assert_eq!(SqliteIndex.add(&db, &[], &OPTIONS).unwrap().added, [""; 0]);
    assert_eq!(select(&db, "SELECT version FROM schema_migrations"), ["13"]);
    assert_eq!(SqliteIndex.bundles(&db).unwrap(), []);
}

#[test]
fn an_image_given_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let twice = vec![Made::new("basic", "1.0.0").bundle(); 2];
    assert_eq!(
        SqliteIndex.add(&db, &twice, &OPTIONS).unwrap().added.len(),
        1
    );
}

#[test]
fn a_refused_add_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..3]), &OPTIONS)
        .unwrap();
    let before = fs::read(&db).unwrap();
    let other = Made {
        tag: "-rebuilt",
        ..Made::replacing("basic", "1.1.0", "1.0.0")
    };
    for (made, exit_code, words) in [
        (
            Made::replacing("basic", "2.0.0", "1.9.9"),
            1,
            "replaces nonexistent bundle basic.v1.9.9",
        ),
        (
            Made::new("basic", "0.9.0"),
            1,
            "add prunes bundle basic.v0.9.0",
        ),
        (
            Made::new("basic", "1.0.0"),
            2,
            "Bundle registry.invalid/basic:1.0.0 already exists",
        ),
        (
            other,
            3,
            "Bundle already added that provides package and csv",
        ),
        (
            Made {
                default_channel: "gone",
                ..Made::new("basic", "3.0.0")
            },
            1,
            "default channel",
        ),
        (
            Made {
                version: "1.0",
                ..Made::new("basic", "")
            },
            1,
            "No Major.Minor.Patch",
        ),
    ] {
        // A bundle of another package in the same call must not get in either.
        let call = bundles(&[made, Made::new("other", "1.0.0")]);
        let error = SqliteIndex.add(&db, &call, &OPTIONS).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.exit_code(), exit_code);
        assert_eq!(error.class(), Class::Reject);
        assert!(fs::read(&db).unwrap() == before, "{words}");
    }
}

#[test]
fn a_refused_add_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let lost = [Made::replacing("basic", "2.0.0", "1.9.9").bundle()];
    assert!(matches!(
        SqliteIndex.add(&db, &lost, &OPTIONS),
        Err(IndexDbError::Refused(_))
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_head_can_be_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..2]), &OPTIONS)
        .unwrap();
    let options = AddOptions {
        overwrite: Overwrite::Latest,
        ..OPTIONS
    };
    let head = Made {
        tag: "-rebuilt",
        ..basic()[1].clone()
    };
    SqliteIndex.add(&db, &[head.bundle()], &options).unwrap();
    assert_eq!(
        select(&db, "SELECT bundlepath FROM operatorbundle"),
        [
            "registry.invalid/basic:1.0.0",
            "registry.invalid/basic:1.1.0-rebuilt"
        ]
    );
    let below = Made {
        tag: "-rebuilt",
        ..basic()[0].clone()
    };
    let error = SqliteIndex
        .add(&db, &[below.bundle()], &options)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Cannot overwrite a bundle that is not at the head")
    );
}

#[test]
fn of_an_overwritten_bundle_everything_that_changed_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..2]), &OPTIONS)
        .unwrap();
    // What other tools left there must not stand in the way of a change.
    let strange = "INSERT INTO properties VALUES
        ('my.own', '{\"a\": 1}', 'basic.v1.1.0', '1.1.0', 'registry.invalid/basic:1.1.0'),
        ('my.own', 'no JSON', 'basic.v1.0.0', '1.0.0', 'registry.invalid/basic:1.0.0');
        INSERT INTO related_image VALUES ('registry.invalid/old:1', 'basic.v1.1.0');
        UPDATE operatorbundle SET skiprange = '<1.0.5' WHERE name = 'basic.v1.1.0'";
    let connection = Connection::open(&db).unwrap();
    connection.execute_batch(strange).unwrap();
    drop(connection);
    let options = AddOptions {
        overwrite: Overwrite::Latest,
        ..OPTIONS
    };
    let head = Made {
        tag: "-rebuilt",
        ..basic()[1].clone()
    };
    let report = SqliteIndex.add(&db, &[head.bundle()], &options).unwrap();
    let text = report.changes.to_string();
    for line in [
        "~ bundle basic/basic.v1.1.0: image registry.invalid/basic:1.1.0 -> \
         registry.invalid/basic:1.1.0-rebuilt\n",
        "~ bundle basic/basic.v1.1.0: - property my.own {\"a\":1}\n",
        "- related image registry.invalid/old:1\n",
        "~ channel basic/stable: entry basic.v1.1.0: skipRange <1.0.5 -> ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // Bundles that stay as they are are not looked into.
    assert!(!text.contains("basic.v1.0.0:"), "{text}");

    let again = Connection::open(&db).unwrap();
    let spoilt = "INSERT INTO properties VALUES
        ('my.own', 'no JSON', 'basic.v1.1.0', '1.1.0', 'registry.invalid/basic:1.1.0-rebuilt')";
    again.execute_batch(spoilt).unwrap();
    drop(again);
    let head = basic()[1].bundle();
    let report = SqliteIndex.add(&db, &[head], &options).unwrap();
    let text = report.changes.to_string();
    let line = "~ bundle basic/basic.v1.1.0: - property my.own \"no JSON\"\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn deprecated_and_stranded_bundles_are_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..3]), &OPTIONS)
        .unwrap();
    Connection::open(&db)
        .unwrap()
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO properties(type, value, operatorbundle_name)
               VALUES ('olm.deprecated', '{}', 'basic.v1.1.0');
             DELETE FROM channel_entry WHERE operatorbundle_name = 'basic.v1.0.0';",
        )
        .unwrap();
    let names: Vec<String> = SqliteIndex
        .bundles(&db)
        .unwrap()
        .into_iter()
        .map(|bundle| bundle.name)
        .collect();
    assert_eq!(names, ["basic.v1.2.0"]);
}

#[test]
fn a_chain_stops_at_a_deprecated_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(&db, &bundles(&basic()[..2]), &OPTIONS)
        .unwrap();
    Connection::open(&db)
        .unwrap()
        .execute("INSERT INTO deprecated VALUES ('basic.v1.1.0')", [])
        .unwrap();
    let next = Made::replacing("basic", "1.4.0", "1.1.0");
    SqliteIndex.add(&db, &[next.bundle()], &OPTIONS).unwrap();
    assert_eq!(
        select(
            &db,
            "SELECT DISTINCT operatorbundle_name FROM channel_entry"
        ),
        ["basic.v1.1.0", "basic.v1.4.0"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_a_batch_does_not_show_in_the_file(
        batch in Just([basic(), vec![
            Made::new("other", "0.1.0"),
            Made::replacing("other", "0.2.0", "0.1.0"),
            Made { skips: &["0.2.0", "0.1.0"], ..Made::new("other", "0.3.0") },
        ]].concat()).prop_shuffle()
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (sorted, shuffled) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let mut in_order: Vec<Bundle> = bundles(&batch);
        SqliteIndex.add(&shuffled, &in_order, &OPTIONS).unwrap();
        in_order.sort_by(|low, high| low.image.cmp(&high.image));
        SqliteIndex.add(&sorted, &in_order, &OPTIONS).unwrap();
        prop_assert!(fs::read(&sorted).unwrap() == fs::read(&shuffled).unwrap());
        // The same again on top of equal files.
        let next = [Made::replacing("other", "0.4.0", "0.3.0").bundle()];
        SqliteIndex.add(&sorted, &next, &OPTIONS).unwrap();
        SqliteIndex.add(&shuffled, &next, &OPTIONS).unwrap();
        prop_assert!(fs::read(&sorted).unwrap() == fs::read(&shuffled).unwrap());
    }
}
