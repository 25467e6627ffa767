//! The store of requests in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use iib_ports::{
    Created, Listed, Listing, NewRequest, Page, PageQuery, Requests, StoreError, Sweeps, Unreadable,
};
use iib_request::{BatchId, Record, RequestId, Stage};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::database::{Database, DatabaseError};
use crate::folder::FolderLock;

/// Requests as JSON documents in a table.
#[derive(Debug, Clone)]
pub struct SqliteRequests {
    database: Database,
    /// Whoever can write must own the folder.
    _lock: Arc<FolderLock>,
}

/// A row as it is stored.
type Row = (u64, String);

impl SqliteRequests {
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
impl Requests for SqliteRequests {
    async fn create(&self, new: NewRequest) -> Result<Created, StoreError> {
        let id = self.create_once(new).await?;
        match id {
            Made::New(record) => Ok(Created::New(*record)),
            Made::Before(id) => {
                // Requests are never deleted.
                let record = self.get(id).await?.ok_or(StoreError::Conflict(id))?;
                Ok(Created::Before(record))
            }
        }
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        // A number beyond SQLite's integers is the number of no request.
        let Ok(key) = i64::try_from(id.0) else {
            return Ok(None);
        };
        let text: Option<String> = self
            .run("read the request", move |db| {
                db.prepare_cached("SELECT record FROM requests WHERE id = ?1")?
                    .query_row([key], |row| Ok(stored_text(row.get_ref(0)?).to_owned()))
                    .optional()
            })
            .await?;
        let record = text.map(|text| Record::from_stored(&text)).transpose();
        record.map_err(|source| StoreError::Malformed { id, source })
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        let before = record.version;
        let mut record = record;
        record.version += 1;
        let id = record.id;
        let text = record
            .to_stored()
            .map_err(|source| StoreError::Malformed { id, source })?;
        let (version, done) = (record.version, record.work.stage == Stage::Done);
        let ended_at = ended_at(&record);
        let changed = self
            .run("save the request", move |db| {
                db.prepare_cached(
                    "UPDATE requests SET version = ?3, done = ?4, record = ?5, ended_at = ?6
                     WHERE id = ?1 AND version = ?2",
                )?
                .execute(params![id.0, before, version, done, text, ended_at])
            })
            .await?;
        if changed == 0 {
            return Err(StoreError::Conflict(id));
        }
        Ok(record)
    }
}

#[async_trait]
impl Listing for SqliteRequests {
    async fn page(&self, query: PageQuery) -> Result<Page, StoreError> {
        let skipped = query
            .page
            .saturating_sub(1)
            .saturating_mul(query.per_page.into());
        // An offset SQLite cannot hold is past every row.
        let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
        let (rows, total) = self
            .run("list the requests", move |db| {
                let transaction = db.transaction()?;
                let total = transaction
                    .prepare_cached("SELECT count(*) FROM requests")?
                    .query_row([], |row| row.get(0))?;
                let rows = rows(
                    &transaction,
                    "SELECT id, record FROM requests ORDER BY id DESC LIMIT ?1 OFFSET ?2",
                    params![query.per_page, skipped],
                )?;
                Ok((rows, total))
            })
            .await?;
        let items = rows.into_iter().map(listed).collect();
        Ok(Page { items, total })
    }
}

#[async_trait]
impl Sweeps for SqliteRequests {
    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        // Ids begin at 1, and none is beyond SQLite's integers.
        let after = after.map_or(0, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
        let rows = self
            .run("list the live requests", move |db| {
                let transaction = db.transaction()?;
                rows(
                    &transaction,
                    "SELECT id, record FROM requests WHERE done = 0 AND id > ?1
                     ORDER BY id LIMIT ?2",
                    params![after, limit],
                )
            })
            .await?;
        Ok(rows.into_iter().map(listed).collect())
    }

    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError> {
        let time = time.as_microsecond();
        self.run("list the requests that ended", move |db| {
            let mut statement = db.prepare_cached(
                "SELECT record FROM requests WHERE ended_at < ?1 ORDER BY ended_at, id",
            )?;
            let mut rows = statement.query([time])?;
            let mut found = Vec::new();
            while found.len() < limit as usize
                && let Some(row) = rows.next()?
            {
                found.extend(Record::from_stored(stored_text(row.get_ref(0)?)));
            }
            Ok(found)
        })
        .await
    }
}

/// What a creation came to.
enum Made {
    New(Box<Record>),
    Before(RequestId),
}

/// How long a key made a second creation none, microseconds: fourteen days, as long as a queue of
/// AWS may keep a message.
const ONCE_LIFE: i64 = 14 * 24 * 60 * 60 * 1_000_000;

impl SqliteRequests {
    async fn create_once(&self, new: NewRequest) -> Result<Made, StoreError> {
        self.run("store the new request", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now = new.now.as_microsecond();
            if let Some(key) = &new.once {
                transaction
                    .prepare_cached("DELETE FROM once WHERE used_at < ?1")?
                    .execute([now.saturating_sub(ONCE_LIFE)])?;
                let before = transaction
                    .prepare_cached("SELECT request FROM once WHERE key = ?1")?
                    .query_row([key], |row| row.get(0))
                    .optional()?;
                if let Some(id) = before {
                    return Ok(Made::Before(RequestId(id)));
                }
            }
            // The counters roll back with the rest, so a failed creation uses no number up.
            let id = RequestId(count_up(&transaction, "request")?);
            let batch = BatchId(count_up(&transaction, "batch")?);
            if let Some(key) = &new.once {
                transaction
                    .prepare_cached("INSERT INTO once (key, request, used_at) VALUES (?1, ?2, ?3)")?
                    .execute(params![key, id.0, now])?;
            }
            let record = new.into_record(id, batch);
            transaction
                .prepare_cached(
                    "INSERT INTO requests (id, version, done, record) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    record.id.0,
                    record.version,
                    record.work.stage == Stage::Done,
                    record
                        .to_stored()
                        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?
                ])?;
            transaction.commit()?;
            Ok(Made::New(Box::new(record)))
        })
        .await
    }
}

/// When a request ended whose temporary data is still there; nothing for others.
fn ended_at(record: &Record) -> Option<i64> {
    let kept = record.work.stage == Stage::Done && !record.data_removed;
    kept.then(|| record.updated().as_microsecond())
}

/// The next number of a sequence.
pub(crate) fn count_up(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<u64> {
    transaction
        .prepare_cached("UPDATE counters SET value = value + 1 WHERE name = ?1 RETURNING value")?
        .query_row([name], |row| row.get(0))
}

fn rows(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Row>> {
    transaction
        .prepare_cached(sql)?
        .query_map(parameters, |row| {
            Ok((row.get(0)?, stored_text(row.get_ref(1)?).to_owned()))
        })?
        .collect()
}

/// The text of a stored record. What is none, as after damage, is no record either, and must not hide
/// the others.
pub(crate) fn stored_text(value: ValueRef<'_>) -> &str {
    match value {
        // Nothing is mended in it: a damaged record is left as it is.
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        ValueRef::Blob(_) | ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => "",
    }
}

fn listed((id, text): Row) -> Listed {
    Unreadable::listed(RequestId(id), Record::from_stored(&text))
}
