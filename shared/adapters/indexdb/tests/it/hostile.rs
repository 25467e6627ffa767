//! Files that hold more than an index, or something else in its place.

use std::fs;
use std::path::Path;

use iib_catalog::AddOptions;
use iib_indexdb::{Damage, ObjectKind, SqliteIndex};
use iib_ports::{Class, Classify as _, IndexDb as _, IndexDbError};
use rusqlite::Connection;

use crate::made::{Made, bundles, select};

/// Makes an index and lets `spoil` change it.
fn spoiled(db: &Path, spoil: &str) {
    let made = [
        Made::new("basic", "1.0.0"),
        Made::replacing("basic", "1.1.0", "1.0.0"),
    ];
    SqliteIndex
        .add(db, &bundles(&made), &AddOptions::default())
        .unwrap();
    let connection = Connection::open(db).unwrap();
    connection.execute_batch(spoil).unwrap();
}

/// The replacement of a table by one with another definition.
fn redefined(table: &str, from: &str, to: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = replace(sql, '{from}', '{to}') WHERE name = '{table}';
         PRAGMA writable_schema = RESET;"
    )
}

fn damage(error: IndexDbError) -> Damage {
    assert_eq!(error.class(), Class::Reject, "{error:?}");
    match error {
        IndexDbError::Corrupt { source, .. } => *source.downcast::<Damage>().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What every operation says of a file, which none changes.
fn refusal(db: &Path) -> Damage {
    let content = fs::read(db).unwrap();
    let next = [Made::replacing("basic", "1.2.0", "1.1.0").bundle()];
    let found = damage(
        SqliteIndex
            .add(db, &next, &AddOptions::default())
            .unwrap_err(),
    );
    assert_eq!(damage(SqliteIndex.bundles(db).unwrap_err()), found);
    assert_eq!(damage(SqliteIndex.shape(db).unwrap_err()), found);
    assert!(fs::read(db).unwrap() == content, "{found}: changed");
    found
}

const ENDLESS: &str = "INSERT INTO package(name) WITH RECURSIVE n(i) AS (
    SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

#[test]
fn objects_that_are_not_of_an_index_are_refused() {
    use ObjectKind::{Index, Table, Trigger, View, VirtualTable};
    let folder = tempfile::tempdir().unwrap();
    for (at, (spoil, kind, name)) in [
        (
            format!("CREATE TRIGGER spin AFTER INSERT ON operatorbundle BEGIN {ENDLESS}; END"),
            Trigger,
            "spin",
        ),
        (
            "CREATE TRIGGER rewrite AFTER INSERT ON operatorbundle BEGIN
               UPDATE channel SET head_operatorbundle_name = NEW.name; END"
                .to_owned(),
            Trigger,
            "rewrite",
        ),
        (
            "DROP TRIGGER api_provider_cleanup;
             CREATE TRIGGER api_provider_cleanup AFTER DELETE ON api_provider BEGIN
               DELETE FROM package; END"
                .to_owned(),
            Trigger,
            "api_provider_cleanup",
        ),
        (
            "PRAGMA foreign_keys = OFF; DROP TABLE package;
             CREATE VIEW package AS SELECT 1 AS name, 2 AS default_channel"
                .to_owned(),
            View,
            "package",
        ),
        (
            "CREATE VIEW more AS SELECT name FROM package".to_owned(),
            View,
            "more",
        ),
        (
            "CREATE VIRTUAL TABLE search USING fts5(name)".to_owned(),
            VirtualTable,
            "search",
        ),
        (
            "DROP TABLE related_image;
             CREATE VIRTUAL TABLE related_image USING fts5(image, operatorbundle_name)"
                .to_owned(),
            VirtualTable,
            "related_image",
        ),
        (
            "CREATE TABLE holder (b REFERENCES operatorbundle(name) ON DELETE RESTRICT)".to_owned(),
            Table,
            "holder",
        ),
        (
            "CREATE INDEX long ON package(length(name))".to_owned(),
            Index,
            "long",
        ),
        (
            "CREATE INDEX none ON package(name IS NULL)".to_owned(),
            Index,
            "none",
        ),
        (
            "CREATE INDEX part ON package(name) WHERE name > 'a'".to_owned(),
            Index,
            "part",
        ),
        (
            "CREATE UNIQUE INDEX one ON package(default_channel)".to_owned(),
            Index,
            "one",
        ),
        (
            "ALTER TABLE schema_migrations ADD COLUMN more AS (version + 1)".to_owned(),
            Table,
            "schema_migrations",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let db = folder.path().join(format!("{at}.db"));
        spoiled(&db, &spoil);
        let name = name.to_owned();
        assert_eq!(
            refusal(&db),
            Damage::ForeignObject { kind, name },
            "{spoil}"
        );
    }
}

#[test]
fn objects_of_the_schema_with_other_definitions_are_refused() {
    use ObjectKind::{Index, Table};
    let folder = tempfile::tempdir().unwrap();
    for (at, (spoil, kind, name)) in [
        (
            "ALTER TABLE operatorbundle ADD COLUMN more AS (upper(csv))".to_owned(),
            Table,
            "operatorbundle",
        ),
        (
            redefined(
                "package",
                "default_channel TEXT",
                "default_channel TEXT DEFAULT (hex(1))",
            ),
            Table,
            "package",
        ),
        (
            redefined("related_image", "image TEXT", "image TEXT CHECK (image)"),
            Table,
            "related_image",
        ),
        (
            redefined("channel", "ON DELETE CASCADE", "ON DELETE SET NULL"),
            Table,
            "channel",
        ),
        (
            redefined("dependencies", "type TEXT, value", "value TEXT, type"),
            Table,
            "dependencies",
        ),
        (
            "DROP INDEX pk; CREATE INDEX pk ON operatorbundle(name)".to_owned(),
            Index,
            "pk",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let db = folder.path().join(format!("{at}.db"));
        spoiled(&db, &spoil);
        let expected = Damage::OtherDefinition {
            kind,
            name: name.to_owned(),
            schema: 13,
        };
        assert_eq!(refusal(&db), expected, "{spoil}");
    }
}

#[test]
fn an_index_without_what_its_schema_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (spoil, kind, name, schema) in [
        ("DROP INDEX pk", ObjectKind::Index, "pk", 13),
        (
            "UPDATE schema_migrations SET version = 12; DROP TABLE deprecated",
            ObjectKind::Table,
            "deprecated",
            12,
        ),
        (
            "UPDATE schema_migrations SET version = 11;
             ALTER TABLE operatorbundle DROP COLUMN substitutesfor",
            ObjectKind::Column,
            "operatorbundle.substitutesfor",
            11,
        ),
    ] {
        let db = folder.path().join(format!("{schema}.db"));
        spoiled(&db, spoil);
        let name = name.to_owned();
        assert_eq!(refusal(&db), Damage::Missing { kind, name, schema });
    }
}

#[test]
fn files_of_older_schemas_are_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    for (at, (spoil, said)) in [
        (
            "PRAGMA foreign_keys = OFF; DROP TABLE package;
             CREATE VIEW package AS SELECT 1 AS name, 2 AS default_channel",
            "the view \"package\" is not part of an index database: remove it from the file",
        ),
        (
            "CREATE TRIGGER t AFTER DELETE ON api BEGIN SELECT 1; END",
            "the trigger \"t\" is not part of an index database: remove it from the file",
        ),
        (
            "ALTER TABLE channel ADD COLUMN more AS (upper(name))",
            "the table \"channel\" is not defined as in schema 12",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let db = folder.path().join(format!("{at}.db"));
        let spoil = format!("UPDATE schema_migrations SET version = 12; {spoil}");
        spoiled(&db, &spoil);
        assert_eq!(refusal(&db).to_string(), said);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            at + 1,
            "a file was left"
        );
    }
}

#[test]
fn long_and_odd_names_are_shown_short_and_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let name = format!("\n{}", "x".repeat(1000));
    spoiled(&db, &format!("CREATE VIEW \"{name}\" AS SELECT 1"));
    assert_eq!(
        refusal(&db).to_string(),
        format!(
            "the view \"\\n{}\" is not part of an index database: remove it from the file",
            "x".repeat(63)
        )
    );
}

#[test]
fn a_value_of_another_type_is_the_files_fault() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    spoiled(
        &db,
        "PRAGMA foreign_keys = OFF; UPDATE package SET default_channel = x'ff00'",
    );
    let error = SqliteIndex.shape(&db).unwrap_err();
    assert!(matches!(error, IndexDbError::Corrupt { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Reject);
}

#[test]
fn harmless_additions_are_taken_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    spoiled(
        &db,
        "CREATE TABLE notes (text PRIMARY KEY, size AS (length(text)));
         CREATE UNIQUE INDEX sizes ON notes(size) WHERE size > 0;
         INSERT INTO notes VALUES ('kept');
         CREATE INDEX by_name ON channel_entry(\"operatorbundle_name\" DESC, depth);
         ANALYZE;",
    );
    let next = [Made::replacing("basic", "1.2.0", "1.1.0").bundle()];
    SqliteIndex.add(&db, &next, &AddOptions::default()).unwrap();
    assert_eq!(SqliteIndex.bundles(&db).unwrap().len(), 3);
    assert_eq!(select(&db, "SELECT text FROM notes"), ["kept"]);
}

/// As the reference's files have them: other white space, other case, and the quotes that renaming
/// a table leaves behind.
#[test]
fn the_references_spelling_of_the_schema_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let trigger = |side: &str| {
        format!(
            "DROP TRIGGER {side}_cleanup;
             CREATE TRIGGER {side}_cleanup
\t\tAFTER DELETE ON {side}
\t\tWHEN NOT EXISTS (SELECT 1 FROM api_provider JOIN api_requirer WHERE \n\
\t\t    (api_provider.group_name = OLD.group_name AND api_provider.version = OLD.version AND \
             api_provider.kind = OLD.kind) OR \n\
\t\t\t(api_requirer.group_name = OLD.group_name AND api_requirer.version = OLD.version AND \
             api_requirer.kind = OLD.kind))\t\n\
\t\tBEGIN\n\
\t\t\tdelete from api where group_name = OLD.group_name and version = OLD.version and kind = \
             OLD.kind;\n\
\t\tEND;"
        )
    };
    let spoil = [
        redefined(
            "api_provider",
            "TABLE api_provider",
            "TABLE \"api_provider\"",
        ),
        redefined("package", "package_name, name", "package_name,name"),
        redefined("channel", "name TEXT, ", "name TEXT,\n\t\t\t"),
        trigger("api_provider"),
        trigger("api_requirer"),
    ];
    spoiled(&db, &spoil.join("\n"));
    let next = [Made::replacing("basic", "1.2.0", "1.1.0").bundle()];
    SqliteIndex.add(&db, &next, &AddOptions::default()).unwrap();
    assert_eq!(SqliteIndex.bundles(&db).unwrap().len(), 3);
}
