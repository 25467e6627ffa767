//! Lines in front of indexes, in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use iib_ports::{Line, Lines, Moved, StoreError};
use iib_request::RequestId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::database::{Database, DatabaseError};
use crate::folder::FolderLock;

/// Lines in a table of the data folder.
#[derive(Debug, Clone)]
pub struct SqliteLines {
    database: Database,
    /// Whoever can write must own the folder.
    _lock: Arc<FolderLock>,
}

impl SqliteLines {
    pub(crate) fn new(database: Database, lock: Arc<FolderLock>) -> Self {
        Self {
            database,
            _lock: lock,
        }
    }

    async fn run<T, W>(&self, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |source: DatabaseError| StoreError::Unavailable {
            action,
            source: source.into(),
        };
        self.database.run(work).await.map_err(failed)
    }
}

#[async_trait]
impl Lines for SqliteLines {
    async fn join(&self, index: &str, id: RequestId) -> Result<(), StoreError> {
        let index = index.to_owned();
        self.run("join the line of an index", move |db| {
            db.prepare_cached("INSERT OR IGNORE INTO lines (index_tag, request) VALUES (?1, ?2)")?
                .execute(params![index, id.0])
                .map(drop)
        })
        .await
    }

    async fn take(&self, index: &str, id: RequestId) -> Result<RequestId, StoreError> {
        let index = index.to_owned();
        self.run("take the turn of an index", move |db| {
            let transaction = db.transaction()?;
            let turn = turn(&transaction, &index)?;
            if turn.is_none() {
                transaction
                    .prepare_cached(
                        "INSERT INTO lines (index_tag, request, has_turn) VALUES (?1, ?2, 1)
                         ON CONFLICT DO UPDATE SET has_turn = 1",
                    )?
                    .execute(params![index, id.0])?;
            }
            transaction.commit()?;
            Ok(turn.unwrap_or(id))
        })
        .await
    }

    async fn leave(&self, index: &str, id: RequestId) -> Result<Option<RequestId>, StoreError> {
        let index = index.to_owned();
        self.run("leave the line of an index", move |db| {
            let transaction = db.transaction()?;
            transaction
                .prepare_cached("DELETE FROM lines WHERE index_tag = ?1 AND request = ?2")?
                .execute(params![index, id.0])?;
            let first = waiting(&transaction, &index)?.first().copied();
            transaction.commit()?;
            Ok(first)
        })
        .await
    }

    async fn note_moved(&self, index: &str, moved: Moved) -> Result<(), StoreError> {
        let index = index.to_owned();
        self.run("note who moved the tag of an index", move |db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO moved (index_tag, request, moved_at) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![index, moved.by.0, moved.at.as_millisecond()])
            .map(drop)
        })
        .await
    }

    async fn of(&self, index: &str) -> Result<Line, StoreError> {
        let index = index.to_owned();
        self.run("read the line of an index", move |db| {
            Ok(Line {
                turn: turn(db, &index)?,
                waiting: waiting(db, &index)?,
                moved: moved(db, &index)?,
            })
        })
        .await
    }
}

fn turn(db: &Connection, index: &str) -> rusqlite::Result<Option<RequestId>> {
    db.prepare_cached("SELECT request FROM lines WHERE index_tag = ?1 AND has_turn = 1")?
        .query_row([index], |row| row.get(0).map(RequestId))
        .optional()
}

fn moved(db: &Connection, index: &str) -> rusqlite::Result<Option<Moved>> {
    let found = db
        .prepare_cached("SELECT request, moved_at FROM moved WHERE index_tag = ?1")?
        .query_row([index], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.and_then(|(by, at)| {
        let at = Timestamp::from_millisecond(at).ok()?;
        Some(Moved {
            by: RequestId(by),
            at,
        })
    }))
}

fn waiting(db: &Connection, index: &str) -> rusqlite::Result<Vec<RequestId>> {
    db.prepare_cached(
        "SELECT request FROM lines WHERE index_tag = ?1 AND has_turn = 0 ORDER BY request",
    )?
    .query_map([index], |row| row.get(0).map(RequestId))?
    .collect()
}
