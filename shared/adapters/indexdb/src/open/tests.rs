use std::fs;
use std::path::Path;
use std::time::Duration;

use iib_ports::{Class, Classify as _, IndexDbError};
use rusqlite::Connection;

use super::{TIME_LIMIT, change, read};
use crate::damage::Damage;
use crate::error::Fault;

const SHORT: Duration = Duration::from_millis(100);

fn endless(connection: &Connection) -> Result<i64, Fault> {
    let select = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                  SELECT max(i) FROM n";
    Ok(connection.query_row(select, [], |row| row.get(0))?)
}

fn assert_stopped(error: &IndexDbError) {
    assert_eq!(error.class(), Class::Reject);
    let IndexDbError::Corrupt { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        source.downcast_ref::<Damage>(),
        Some(&Damage::Endless { limit: SHORT })
    );
    assert_eq!(source.to_string(), "work on it was stopped after 0.1 s");
}

fn an_index(db: &Path) {
    change(db, TIME_LIMIT, |transaction| {
        Ok(transaction.execute("INSERT INTO package(name) VALUES ('a')", [])?)
    })
    .unwrap();
}

#[test]
fn reading_without_end_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    an_index(&db);
    assert_stopped(&read(&db, SHORT, endless).unwrap_err());
}

#[test]
fn a_change_without_end_is_stopped_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    an_index(&db);
    let content = fs::read(&db).unwrap();
    let error = change(&db, SHORT, |transaction| {
        transaction.execute("DELETE FROM package", [])?;
        endless(transaction)
    })
    .unwrap_err();
    assert_stopped(&error);
    assert!(fs::read(&db).unwrap() == content);
}
