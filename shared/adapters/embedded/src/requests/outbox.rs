//! What is to be told, in the same file as the requests.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use iib_ports::{Behind, Clock as _, NEWS_DAYS, Outbox, StoreError, SystemClock, Waiting, chain};
use iib_request::{BatchId, Destination, News, Record, RecordError, RequestId, Siblings};
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use tokio::sync::Notify;
use tracing::error;

use super::{SqliteRequests, stored_text};

/// How long news waits, microseconds.
const LIFE: i64 = NEWS_DAYS * 24 * 60 * 60 * 1_000_000;

/// Batches that somebody is to look at: what the stream of a table of DynamoDB is there.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    batches: Mutex<BTreeSet<BatchId>>,
    arrived: Notify,
}

impl Woken {
    pub(super) fn wake(&self, batch: BatchId) {
        self.lock().insert(batch);
        self.arrived.notify_one();
    }

    pub(super) async fn next(&self, limit: usize) -> Vec<BatchId> {
        loop {
            let next: Vec<BatchId> = self.lock().iter().copied().take(limit).collect();
            if !next.is_empty() {
                self.lock().retain(|batch| !next.contains(batch));
                return next;
            }
            self.arrived.notified().await;
        }
    }

    // It is changed by nothing that can panic halfway.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<BatchId>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row of the table.
struct Row {
    place: i64,
    request: RequestId,
    version: Option<u64>,
    count: Option<u64>,
    record: String,
    told: String,
    written_at: i64,
}

/// Notes that a batch is there.
pub(super) fn note_created(
    transaction: &Transaction<'_>,
    records: &[Record],
) -> rusqlite::Result<()> {
    let Some(first) = records.first() else {
        return Ok(());
    };
    transaction
        .prepare_cached(
            "INSERT INTO outbox (batch, written_at, request, count) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            first.batch.0,
            first.updated().as_microsecond(),
            first.id.0,
            records.len() as u64
        ])?;
    Ok(())
}

/// Notes that a request has a new state.
pub(super) fn note_changed(
    transaction: &Transaction<'_>,
    batch: BatchId,
    updated: Timestamp,
    news: &News,
) -> rusqlite::Result<()> {
    let News::Changed { id, version, then } = news else {
        return Ok(());
    };
    let text = then.as_ref().map(|then| then.to_stored()).transpose();
    let text = text.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction
        .prepare_cached(
            "INSERT INTO outbox (batch, written_at, request, version, record)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            batch.0,
            updated.as_microsecond(),
            id.0,
            version,
            text
        ])?;
    Ok(())
}

#[async_trait]
impl Outbox for SqliteRequests {
    async fn waiting(
        &self,
        whom: &BTreeSet<Destination>,
        limit: u32,
    ) -> Result<Vec<Behind>, StoreError> {
        let oldest = SystemClock.now().as_microsecond().saturating_sub(LIFE);
        let whom = whom.clone();
        self.run("remove old news", move |db| {
            db.prepare_cached("DELETE FROM outbox WHERE written_at < ?1")?
                .execute([oldest])
        })
        .await?;
        self.read("look for news", move |db| {
            let mut rows =
                db.prepare_cached("SELECT batch, written_at, told FROM outbox ORDER BY place")?;
            let mut rows = rows.query([])?;
            let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
            while let Some(row) = rows.next()? {
                let batch = row.get(0).map(BatchId)?;
                // What cannot be read here is looked at there.
                let told = Destination::set_of(stored_text(row.get_ref(2)?));
                let told = told.unwrap_or_default();
                if whom.is_subset(&told) || !seen.insert(batch) {
                    continue;
                }
                let since = Timestamp::from_microsecond(row.get(1)?).unwrap_or_default();
                found.push(Behind { batch, since });
                if found.len() >= limit as usize {
                    break;
                }
            }
            Ok(found)
        })
        .await
    }

    async fn of(&self, batch: BatchId) -> Result<Vec<Waiting>, StoreError> {
        let rows: Vec<Row> = self
            .read("read the news", move |db| {
                db.prepare_cached(
                    "SELECT place, request, version, count, record, told, written_at FROM outbox
                     WHERE batch = ?1 ORDER BY place",
                )?
                .query_map([batch.0], |row| {
                    Ok(Row {
                        place: row.get(0)?,
                        request: RequestId(row.get(1)?),
                        version: row.get(2)?,
                        count: row.get(3)?,
                        record: stored_text(row.get_ref(4)?).to_owned(),
                        told: row.get(5)?,
                        written_at: row.get(6)?,
                    })
                })?
                .collect()
            })
            .await?;
        let waiting = |row: Row| {
            let waiting = row.waiting(batch);
            waiting.inspect_err(|error| unreadable(batch, error)).ok()
        };
        Ok(rows.into_iter().filter_map(waiting).collect())
    }

    async fn note(&self, waiting: &Waiting) -> Result<(), StoreError> {
        let key = waiting.key.clone();
        let told = serde_json::to_string(&waiting.told);
        let told = told.map_err(|error| malformed(waiting.news.request(), error.into()))?;
        self.run("note whom news was told to", move |db| {
            db.prepare_cached("UPDATE outbox SET told = ?2 WHERE place = ?1")?
                .execute([key, told])
        })
        .await
        .map(drop)
    }

    async fn remove(&self, told: &[Waiting]) -> Result<(), StoreError> {
        let keys: Vec<String> = told.iter().map(|waiting| waiting.key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.run("remove news", move |db| {
            let transaction = db.transaction()?;
            for key in keys {
                transaction
                    .prepare_cached("DELETE FROM outbox WHERE place = ?1")?
                    .execute([key])?;
            }
            transaction.commit()
        })
        .await
    }

    async fn wake(&self, batch: BatchId) -> Result<(), StoreError> {
        self.woken.wake(batch);
        Ok(())
    }
}

impl Row {
    fn waiting(self, batch: BatchId) -> Result<Waiting, StoreError> {
        let id = self.request;
        let news = match (self.version, self.count) {
            (Some(version), _) => {
                let then = Record::from_stored(&self.record);
                let then = then.map_err(|source| StoreError::Malformed { id, source })?;
                let then = Some(Box::new(then));
                News::Changed { id, version, then }
            }
            (None, count) => News::Created(Siblings {
                first: id,
                count: count.unwrap_or(1),
            }),
        };
        let told = Destination::set_of(&self.told);
        Ok(Waiting {
            key: self.place.to_string(),
            batch,
            since: Timestamp::from_microsecond(self.written_at).unwrap_or_default(),
            news,
            told: told.map_err(|error| malformed(id, error.into()))?,
        })
    }
}

fn malformed(id: RequestId, source: RecordError) -> StoreError {
    StoreError::Malformed { id, source }
}

/// News that says nothing: it stays until its time is over.
fn unreadable(batch: BatchId, error: &StoreError) {
    error!(
        event = "news_unreadable",
        batch = batch.0,
        error = chain(error),
        "news is passed over"
    );
}
