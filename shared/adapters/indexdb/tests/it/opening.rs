use std::fs;

use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_ports::{Class, Classify as _, IndexDb as _, IndexDbError};
use rusqlite::Connection;

use crate::made::Made;

#[test]
fn files_that_are_no_index_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE songs (title)")
        .unwrap();
    for content in [b"{}".to_vec(), vec![0; 4096], fs::read(&foreign).unwrap()] {
        fs::write(&db, &content).unwrap();
        let bundle = [Made::new("basic", "1.0.0").bundle()];
        for error in [
            SqliteIndex
                .add(&db, &bundle, &AddOptions::default())
                .unwrap_err(),
            SqliteIndex.bundles(&db).unwrap_err(),
            SqliteIndex.shape(&db).unwrap_err(),
        ] {
            assert!(
                matches!(error, IndexDbError::NotAnIndex { .. }),
                "{error:?}"
            );
            assert_eq!(
                error.to_string(),
                "the file is not an index database: name another image, or build the index again"
            );
            assert_eq!(error.class(), Class::Reject);
        }
        assert_eq!(fs::read(&db).unwrap(), content);
    }
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex
        .add(
            &db,
            &[Made::new("basic", "1.0.0").bundle()],
            &AddOptions::default(),
        )
        .unwrap();
    let mut content = fs::read(&db).unwrap();
    content[4096..].fill(0xa5);
    fs::write(&db, content).unwrap();
    let error = SqliteIndex.shape(&db).unwrap_err();
    assert!(matches!(error, IndexDbError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex.add(&db, &[], &AddOptions::default()).unwrap();
    Connection::open(&db)
        .unwrap()
        .execute("UPDATE schema_migrations SET version = 14", [])
        .unwrap();
    assert_eq!(
        SqliteIndex.bundles(&db).unwrap_err().to_string(),
        "the index database has schema 14; schemas up to 13 are understood: use a newer version of \
         this service, or an index of an older schema"
    );
}

#[test]
fn the_version_row_of_a_present_index_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    SqliteIndex.add(&db, &[], &AddOptions::default()).unwrap();
    let connection = Connection::open(&db).unwrap();
    connection
        .execute("UPDATE schema_migrations SET timestamp = 'then'", [])
        .unwrap();
    SqliteIndex
        .add(
            &db,
            &[Made::new("basic", "1.0.0").bundle()],
            &AddOptions::default(),
        )
        .unwrap();
    assert_eq!(
        crate::made::select(&db, "SELECT * FROM schema_migrations"),
        ["13 | then"]
    );
}

#[test]
fn an_absent_or_empty_file_is_an_empty_index() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    assert_eq!(SqliteIndex.bundles(&db).unwrap(), []);
    fs::write(&db, "").unwrap();
    assert!(SqliteIndex.shape(&db).unwrap().packages.is_empty());
    SqliteIndex
        .add(
            &db,
            &[Made::new("basic", "1.0.0").bundle()],
            &AddOptions::default(),
        )
        .unwrap();
    assert_eq!(SqliteIndex.bundles(&db).unwrap().len(), 1);
}

#[test]
fn a_folder_is_refused_as_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteIndex.bundles(folder.path()).unwrap_err();
    assert!(matches!(error, IndexDbError::Io { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Retry);
}
