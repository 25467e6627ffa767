//! The store of requests in SQLite.

mod facets;
mod outbox;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use iib_ports::{
    Created, Listed, Listing, NewBatch, Older, OlderQuery, OperatorStore, Page, PageQuery,
    Requests, StoreError, Sweeps, Unreadable,
};
use iib_request::{BatchId, News, Operators, Record, RequestId, Sought, Stage};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::facets::{FacetIndexes, Row};
pub(crate) use self::outbox::Woken;
pub use self::watch::SqliteWatch;
pub(crate) use self::watch::Watched;
use crate::database::{Database, DatabaseError};
use crate::folder::FolderLock;

/// Requests as JSON documents in a table, and the operators of their bundles.
#[derive(Debug, Clone)]
pub struct SqliteRequests {
    database: Database,
    facets: Arc<Facets>,
    /// Whether there is somebody who is told of requests.
    announces: bool,
    woken: Arc<Woken>,
    watched: Arc<Watched>,
    /// Whoever can write must own the folder.
    _lock: Arc<FolderLock>,
}

/// The sets that listings are answered from. It is held while a write is confirmed, so that whoever
/// holds it while he begins to read sees the same state in both.
#[derive(Debug, Default)]
pub(crate) struct Facets(RwLock<FacetIndexes>);

impl Facets {
    /// Those of the requests that are stored.
    pub(crate) fn read_all(database: &Database) -> Result<Self, DatabaseError> {
        let index = database.run_here(|db| {
            let mut index = FacetIndexes::default();
            let mut statement = db.prepare(
                "SELECT id, batch, state, kind, user, from_index, index_image, is_dry_run
                 FROM requests",
            )?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                index.insert(RequestId(row.get(0)?), &facets_of(row)?);
            }
            Ok(index)
        })?;
        Ok(Self(RwLock::new(index)))
    }

    // It is changed by nothing that can panic halfway.
    fn look(&self) -> RwLockReadGuard<'_, FacetIndexes> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, FacetIndexes> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From the second column on, those of [`Row`].
fn facets_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        batch: row.get(1)?,
        state: row.get(2)?,
        kind: row.get(3)?,
        user: row.get(4)?,
        from_index: row.get(5)?,
        index_image: row.get(6)?,
        is_dry_run: row.get(7)?,
    })
}

impl Row {
    fn of(record: &Record) -> Self {
        let facets = record.facets();
        Self {
            batch: Some(facets.batch.0),
            state: Some(facets.state.to_string()),
            kind: Some(facets.kind.to_owned()),
            user: facets.user.map(str::to_owned),
            from_index: facets.from_index.map(str::to_owned),
            index_image: facets.index_image.map(str::to_owned),
            is_dry_run: facets.is_dry_run,
        }
    }
}

impl SqliteRequests {
    pub(crate) fn new(
        database: Database,
        facets: Arc<Facets>,
        woken: Arc<Woken>,
        watched: Arc<Watched>,
        lock: Arc<FolderLock>,
    ) -> Self {
        Self {
            database,
            facets,
            announces: false,
            woken,
            watched,
            _lock: lock,
        }
    }

    /// Keeps what is to be told of requests ([`iib_ports::Outbox`]).
    #[must_use]
    pub fn announcing(self) -> Self {
        Self {
            announces: true,
            ..self
        }
    }

    /// Batches of which there may be something to tell, at most `limit`: those that changed, or that
    /// somebody woke, since they were last given. Waits until there are some.
    pub async fn woken(&self, limit: usize) -> Vec<BatchId> {
        self.woken.next(limit).await
    }

    async fn run<T, W>(&self, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.database.run(work).await.map_err(failed(action))
    }

    async fn read<T, W>(&self, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.database.read(work).await.map_err(failed(action))
    }

    /// The same for what may wait a moment for those who write.
    async fn look<T, W>(&self, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.database.give_way().await;
        self.read(action, work).await
    }

    /// The requests with these numbers, as they are now.
    async fn get_all(&self, ids: Vec<u64>) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids.into_iter().map(RequestId) {
            // Requests are never deleted.
            records.push(self.get(id).await?.ok_or(StoreError::Conflict(id))?);
        }
        Ok(records)
    }
}

/// A record as it is stored, and its number.
type Stored = (u64, String);

fn failed(action: &'static str) -> impl FnOnce(DatabaseError) -> StoreError {
    move |source| StoreError::Unavailable {
        action,
        source: source.into(),
    }
}

#[async_trait]
impl Requests for SqliteRequests {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        match self.create_once(new).await? {
            Made::New(records) => {
                let is_told = |first: &&Record| self.announces && !first.is_dry_run;
                if let Some(first) = records.first().filter(is_told) {
                    self.woken.wake(first.batch);
                }
                Ok(Created::New(records))
            }
            Made::Before(ids) => Ok(Created::Before(self.get_all(ids).await?)),
        }
    }

    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        let key = once.to_owned();
        let ids = self
            .read("look for the requests", move |db| made_before(db, &key))
            .await?;
        self.get_all(ids).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        // A number beyond SQLite's integers is the number of no request.
        let Ok(key) = i64::try_from(id.0) else {
            return Ok(None);
        };
        let text: Option<String> = self
            .read("read the request", move |db| {
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
        let row = Row::of(&record);
        let (version, done) = (record.version, record.work.stage == Stage::Done);
        let ended_at = ended_at(&record);
        let images: Vec<String> = record.facts.images().map(str::to_owned).collect();
        let facets = self.facets.clone();
        let news = News::of(&record).filter(|_| self.announces);
        let news = news.map(|news| (record.batch, record.updated(), news));
        let (is_news, watched) = (news.is_some(), self.watched.clone());
        let changed = self
            .run("save the request", move |db| {
                let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let former = transaction
                    .prepare_cached(
                        "SELECT id, batch, state, kind, user, from_index, index_image, is_dry_run
                         FROM requests WHERE id = ?1 AND version = ?2",
                    )?
                    .query_row(params![id.0, before], facets_of)
                    .optional()?;
                let Some(former) = former else {
                    return Ok(false);
                };
                transaction
                    .prepare_cached(
                        "UPDATE requests SET version = ?2, done = ?3, record = ?4, ended_at = ?5,
                         state = ?6, index_image = ?7 WHERE id = ?1",
                    )?
                    .execute(params![
                        id.0,
                        version,
                        done,
                        text,
                        ended_at,
                        row.state,
                        row.index_image
                    ])?;
                see(&transaction, &images)?;
                if let Some((batch, updated, news)) = &news {
                    outbox::note_changed(&transaction, *batch, *updated, news)?;
                }
                let mut facets = facets.change();
                transaction.commit()?;
                facets.change(id, &former, &row);
                watched.tell(id, version);
                Ok(true)
            })
            .await?;
        if changed && is_news {
            self.woken.wake(record.batch);
        }
        match changed {
            true => Ok(record),
            false => Err(StoreError::Conflict(id)),
        }
    }
}

#[async_trait]
impl Listing for SqliteRequests {
    async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        let (query, facets) = (query.clone(), self.facets.clone());
        let (rows, total) = self
            .look("list the requests", move |db| {
                let index = facets.look();
                let transaction = first_look(db)?;
                let (ids, total) = index.page(&query.filters, query.page, query.per_page);
                drop(index);
                Ok((records(&transaction, ids)?, total))
            })
            .await?;
        let items = rows.into_iter().map(listed).collect();
        Ok(Page { items, total })
    }

    async fn older(&self, query: &OlderQuery) -> Result<Older, StoreError> {
        let (query, facets) = (query.clone(), self.facets.clone());
        let (rows, next) = self
            .look("list the requests", move |db| {
                let index = facets.look();
                let transaction = first_look(db)?;
                let (ids, has_more) = index.older(&query.filters, query.before, query.limit);
                drop(index);
                let next = ids.last().copied().filter(|_| has_more).map(RequestId);
                Ok((records(&transaction, ids)?, next))
            })
            .await?;
        let items = rows.into_iter().map(listed).collect();
        Ok(Older { items, next })
    }

    async fn is_seen(&self, sought: Sought<'_>) -> Result<bool, StoreError> {
        let (text, is_prefix) = match sought {
            Sought::Image(image) => (image.to_owned(), false),
            Sought::Prefix(prefix) => (prefix.to_owned(), true),
        };
        self.read("look for an image", move |db| {
            let found: Option<String> = db
                .prepare_cached("SELECT name FROM images WHERE name >= ?1 ORDER BY name LIMIT 1")?
                .query_row([&text], |row| row.get(0))
                .optional()?;
            Ok(found.is_some_and(|name| match is_prefix {
                true => name.starts_with(&text),
                false => name == text,
            }))
        })
        .await
    }
}

#[async_trait]
impl OperatorStore for SqliteRequests {
    async fn remember(&self, operators: &Operators) -> Result<(), StoreError> {
        let operators = operators.clone();
        self.run("record operators", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for pair in &operators {
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO operators (bundle, operator) VALUES (?1, ?2)",
                    )?
                    .execute(pair)?;
            }
            let bundles: Vec<String> = operators.into_keys().collect();
            see(&transaction, &bundles)?;
            transaction.commit()
        })
        .await
    }

    async fn of(&self, bundles: &BTreeSet<&str>) -> Result<Operators, StoreError> {
        if bundles.is_empty() {
            return Ok(Operators::new());
        }
        let bundles: Vec<String> = bundles.iter().map(|bundle| (*bundle).to_owned()).collect();
        self.read("look for operators", move |db| {
            let mut statement =
                db.prepare_cached("SELECT operator FROM operators WHERE bundle = ?1")?;
            let mut found = Operators::new();
            for bundle in bundles {
                let operator = statement.query_row([&bundle], |row| row.get(0));
                if let Some(operator) = operator.optional()? {
                    found.insert(bundle, operator);
                }
            }
            Ok(found)
        })
        .await
    }
}

/// A transaction that sees what is there now: it does so at its first look.
fn first_look(db: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    let transaction = db.transaction()?;
    let _: Option<i64> = transaction
        .prepare_cached("SELECT 1 FROM counters LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(transaction)
}

/// The records of these requests, as they are stored.
fn records(transaction: &Transaction<'_>, ids: Vec<u64>) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = transaction.prepare_cached("SELECT record FROM requests WHERE id = ?1")?;
    let text = |row: &rusqlite::Row<'_>| Ok(stored_text(row.get_ref(0)?).to_owned());
    let read = |id: u64| Ok((id, statement.query_row([id], text)?));
    ids.into_iter().map(read).collect()
}

/// Notes that images are used.
fn see(transaction: &Transaction<'_>, images: &[String]) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO images (name) VALUES (?1)")?;
    for image in images {
        statement.execute([image])?;
    }
    Ok(())
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
    New(Vec<Record>),
    Before(Vec<u64>),
}

/// How long a key made a second creation none, microseconds: fourteen days, as long as a queue of
/// AWS may keep a message.
const ONCE_LIFE: i64 = 14 * 24 * 60 * 60 * 1_000_000;

impl SqliteRequests {
    async fn create_once(&self, new: NewBatch) -> Result<Made, StoreError> {
        let (facets, announces) = (self.facets.clone(), self.announces);
        self.run("store the new requests", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let now = new.now.as_microsecond();
            if let Some(key) = &new.once {
                transaction
                    .prepare_cached("DELETE FROM once WHERE used_at < ?1")?
                    .execute([now.saturating_sub(ONCE_LIFE)])?;
                let before = made_before(&transaction, key)?;
                if !before.is_empty() {
                    return Ok(Made::Before(before));
                }
            }
            // The counters roll back with the rest, so a failed creation uses no number up.
            let count = new.requests.len() as u64;
            transaction
                .prepare_cached(
                    "UPDATE counters SET value = max(value, ?1) WHERE name = 'request'",
                )?
                .execute([new.first_number.saturating_sub(1)])?;
            let last = count_up(&transaction, "request", count)?;
            let first = RequestId(last - count + 1);
            let batch = BatchId(count_up(&transaction, "batch", 1)?);
            if let Some(key) = &new.once {
                transaction
                    .prepare_cached("INSERT INTO once (key, request, used_at) VALUES (?1, ?2, ?3)")?
                    .execute(params![key, first.0, now])?;
            }
            let announces = announces && !new.is_dry_run;
            let records = new.into_records(first, batch);
            let rows: Vec<Row> = records.iter().map(Row::of).collect();
            for (record, row) in records.iter().zip(&rows) {
                insert(&transaction, record, row)?;
                let images: Vec<String> = record.images().into_iter().map(str::to_owned).collect();
                see(&transaction, &images)?;
            }
            if announces {
                outbox::note_created(&transaction, &records)?;
            }
            let mut facets = facets.change();
            transaction.commit()?;
            for (record, row) in records.iter().zip(&rows) {
                facets.insert(record.id, row);
            }
            Ok(Made::New(records))
        })
        .await
    }
}

/// The requests of the batch whose first one was made under this key.
fn made_before(db: &Connection, key: &str) -> rusqlite::Result<Vec<u64>> {
    db.prepare_cached(
        "SELECT other.id FROM once
             JOIN requests AS first ON first.id = once.request
             JOIN requests AS other ON other.id >= first.id AND other.batch IS first.batch
             WHERE once.key = ?1 ORDER BY other.id",
    )?
    .query_map([key], |row| row.get(0))?
    .collect()
}

fn insert(transaction: &Transaction<'_>, record: &Record, row: &Row) -> rusqlite::Result<()> {
    let text = record
        .to_stored()
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction
        .prepare_cached(
            "INSERT INTO requests
             (id, version, done, record, batch, state, kind, user, from_index, index_image,
              is_dry_run)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            record.id.0,
            record.version,
            record.work.stage == Stage::Done,
            text,
            row.batch,
            row.state,
            row.kind,
            row.user,
            row.from_index,
            row.index_image,
            row.is_dry_run
        ])?;
    Ok(())
}

/// When a request ended whose temporary data is still there; nothing for others.
fn ended_at(record: &Record) -> Option<i64> {
    let kept = record.work.stage == Stage::Done && !record.data_removed;
    kept.then(|| record.updated().as_microsecond())
}

/// Takes the next `count` numbers of a sequence, and gives the last.
pub(crate) fn count_up(
    transaction: &Transaction<'_>,
    name: &str,
    count: u64,
) -> rusqlite::Result<u64> {
    transaction
        .prepare_cached("UPDATE counters SET value = value + ?2 WHERE name = ?1 RETURNING value")?
        .query_row(params![name, count], |row| row.get(0))
}

fn rows(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Stored>> {
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

fn listed((id, text): Stored) -> Listed {
    Unreadable::listed(RequestId(id), Record::from_stored(&text))
}
