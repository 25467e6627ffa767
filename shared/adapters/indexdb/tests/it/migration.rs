//! Indexes of every older schema, made by taking a present one back.

use std::fs;
use std::path::Path;

use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_ports::IndexDb as _;
use rusqlite::Connection;

use crate::made::{Made, bundles, rows, select};

fn present_index(db: &Path) {
    let made = [
        Made::new("basic", "1.0.0"),
        Made::replacing("basic", "1.1.0", "1.0.0"),
        Made {
            skips: &["1.1.1", "1.1.2"],
            ..Made::replacing("basic", "1.2.0", "1.1.0")
        },
        Made {
            channels: "alpha",
            default_channel: "",
            ..Made::new("other", "0.1.0")
        },
    ];
    SqliteIndex
        .add(db, &bundles(&made), &AddOptions::default())
        .unwrap();
    Connection::open(db)
        .unwrap()
        .execute_batch(
            "INSERT INTO deprecated VALUES ('basic.v1.0.0');
             INSERT INTO properties SELECT 'olm.deprecated', '{}', name, version, bundlepath
               FROM operatorbundle WHERE name = 'basic.v1.0.0';",
        )
        .unwrap();
}

/// Writes the index `new` with an older schema.
fn take_back(new: &Path, old: &Path, version: i64) {
    let connection = Connection::open(old).unwrap();
    connection
        .execute("ATTACH DATABASE ?1 AS new", [new.to_string_lossy()])
        .unwrap();
    let mut columns = vec!["name", "csv", "bundle"];
    for (since, more) in [
        (2, "bundlepath"),
        (5, "skiprange"),
        (5, "version"),
        (7, "replaces"),
        (7, "skips"),
        (11, "substitutesfor"),
    ] {
        if version >= since {
            columns.push(more);
        }
    }
    let columns = columns.join(", ");
    let copy = |table: &str, columns: &str| {
        let statement = format!("CREATE TABLE {table} AS SELECT {columns} FROM new.{table}");
        connection.execute_batch(&statement).unwrap();
    };
    copy("operatorbundle", &columns);
    for table in ["package", "channel", "channel_entry"] {
        copy(table, "*");
    }
    if version >= 1 {
        copy("related_image", "*");
    }
    // Required APIs are known from schema 3 on.
    let known = if version >= 3 { "1" } else { "kind <> 'Gear'" };
    connection
        .execute_batch(&format!(
            "CREATE TABLE api AS SELECT * FROM new.api WHERE {known}"
        ))
        .unwrap();
    for (since, table) in [(0, "api_provider"), (3, "api_requirer")] {
        if version >= 6 {
            copy(table, "*");
        } else if version >= since {
            connection
                .execute_batch(&format!(
                    "CREATE TABLE {table} AS SELECT used.group_name, used.version, used.kind,
                       entry.entry_id AS channel_entry_id
                     FROM new.{table} AS used JOIN new.channel_entry AS entry
                       USING (operatorbundle_name)"
                ))
                .unwrap();
        }
    }
    if version >= 9 {
        copy("dependencies", "*");
        copy("properties", "*");
    } else if version == 8 {
        let value = "json_set(CAST(value AS TEXT), '$.type', type) AS value";
        copy(
            "dependencies",
            &format!(
                "type, {value}, operatorbundle_name, operatorbundle_version, operatorbundle_path"
            ),
        );
    }
    if version == 9 {
        connection
            .execute_batch(
                "UPDATE properties SET operatorbundle_path = NULL WHERE type = 'olm.package'",
            )
            .unwrap();
    }
    if version >= 12 {
        copy("deprecated", "*");
        connection
            .execute_batch("INSERT INTO deprecated VALUES ('basic.v0.0.1')")
            .unwrap();
    }
    connection
        .execute_batch(&format!(
            "CREATE TABLE schema_migrations (version bigint NOT NULL, timestamp DATETIME);
             INSERT INTO schema_migrations VALUES ({version}, 'then'); DETACH DATABASE new;"
        ))
        .unwrap();
}

/// What an index of that schema can be expected to hold once it is brought up to date.
fn comparable(connection: &Connection, version: i64) -> Vec<(&'static str, Vec<String>)> {
    let path = |column: &'static str| if version < 2 { "''" } else { column };
    let owner = format!(
        "operatorbundle_name, operatorbundle_version, {}",
        path("operatorbundle_path")
    );
    let api = format!("SELECT group_name, version, kind, {owner} FROM");
    let typed = format!("SELECT type, typeof(value), CAST(value AS TEXT), {owner} FROM");
    // Before properties there was no mark of deprecation.
    let marks = if version < 9 { "0" } else { "1" };
    let selects = [
        (
            "operatorbundle",
            format!(
                "SELECT name, csv, bundle, {}, skiprange, version, replaces, skips,
                   ifnull(substitutesfor, '') FROM operatorbundle",
                path("bundlepath")
            ),
        ),
        ("package", "SELECT * FROM package".to_owned()),
        ("channel", "SELECT * FROM channel".to_owned()),
        ("channel_entry", "SELECT * FROM channel_entry".to_owned()),
        ("api", "SELECT * FROM api".to_owned()),
        ("api_provider", format!("{api} api_provider")),
        ("api_requirer", format!("{api} api_requirer")),
        (
            "related_image",
            format!(
                "SELECT * FROM related_image WHERE {} OR image NOT LIKE 'registry.invalid/%'",
                i32::from(version >= 1)
            ),
        ),
        ("dependencies", format!("{typed} dependencies")),
        (
            "properties",
            format!("{typed} properties WHERE {marks} OR type <> 'olm.deprecated'"),
        ),
        (
            "deprecated",
            format!("SELECT * FROM deprecated WHERE {marks}"),
        ),
        (
            "triggers",
            "SELECT name FROM sqlite_master WHERE type = 'trigger'".to_owned(),
        ),
    ];
    selects
        .into_iter()
        .map(|(table, select)| (table, rows(connection, &select)))
        .collect()
}

#[test]
fn every_older_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.db");
    present_index(&new);
    for version in 0..13 {
        let old = folder.path().join(format!("{version}.db"));
        take_back(&new, &old, version);
        let content = fs::read(&old).unwrap();
        let served = SqliteIndex.bundles(&old).unwrap();
        assert_eq!(
            served.len(),
            if version < 2 {
                0
            } else {
                4 - usize::from(version >= 9)
            }
        );
        assert_eq!(
            SqliteIndex.shape(&old).unwrap(),
            SqliteIndex.shape(&new).unwrap()
        );
        assert!(
            fs::read(&old).unwrap() == content,
            "reading changed the file of schema {version}"
        );

        SqliteIndex.add(&old, &[], &AddOptions::default()).unwrap();
        let (expected, found) = (
            Connection::open(&new).unwrap(),
            Connection::open(&old).unwrap(),
        );
        for ((table, expected), (_, found)) in comparable(&expected, version)
            .into_iter()
            .zip(comparable(&found, version))
        {
            assert_eq!(found, expected, "{table} from schema {version}");
        }
        assert_eq!(
            rows(&found, "PRAGMA foreign_key_check"),
            [""; 0],
            "schema {version}"
        );
        assert_eq!(
            rows(&found, "SELECT * FROM schema_migrations"),
            ["13 | 1970-01-01 00:00:00"]
        );
    }
}

#[test]
fn a_refused_add_leaves_an_older_index_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    present_index(&new);
    take_back(&new, &old, 11);
    let content = fs::read(&old).unwrap();
    let lost = [Made::replacing("basic", "9.0.0", "8.0.0").bundle()];
    SqliteIndex
        .add(&old, &lost, &AddOptions::default())
        .unwrap_err();
    assert!(fs::read(&old).unwrap() == content);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn an_older_index_takes_the_next_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    present_index(&new);
    take_back(&new, &old, 6);
    let next = [Made::replacing("basic", "1.3.0", "1.2.0").bundle()];
    SqliteIndex
        .add(&old, &next, &AddOptions::default())
        .unwrap();
    assert_eq!(
        select(
            &old,
            "SELECT head_operatorbundle_name FROM channel WHERE package_name = 'basic'"
        ),
        ["basic.v1.3.0"]
    );
}
