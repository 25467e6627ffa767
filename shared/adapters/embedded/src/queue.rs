//! The queues in front of the stages, in SQLite: the sending and the receiving half.

mod dead_letters;
mod event;
mod receiving;
mod turns;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{Class, Classify, Clock, Delivery, Queue, QueueError};
use iib_request::{Stage, Task};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::Notify;

use crate::database::{Database, DatabaseError};
use crate::folder::FolderLock;
use crate::requests::count_up;

pub use dead_letters::{DeadLetter, dead_letter_event};
pub use receiving::Received;
pub use worker::{BatchFailures, StageSettings, Stopped, run_stage};

/// The queues of all stages. Clones are the same queues.
///
/// A message is not stored while one that says the same waits to be received, now or after a
/// delay: a message only tells a stage to look at the record, and who receives the waiting one
/// later sees everything that was written before the send. Without this, every message the sweep
/// sends too many would be forwarded from stage to stage. A message that was handed out does not
/// count, because its receiver may have read an older record; nor does one without deliveries
/// left, because nobody will receive it.
#[derive(Clone)]
pub struct SqliteQueue {
    database: Database,
    clock: Arc<dyn Clock>,
    max_receive_count: u32,
    /// Told whenever a message may have become visible earlier than was known.
    arrivals: Arc<Notify>,
    _lock: Arc<FolderLock>,
}

/// The queues could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("the queue in the data folder could not {action}")]
pub struct QueueStoreError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// What the database said.
    pub source: DatabaseError,
}

impl Classify for QueueStoreError {
    fn class(&self) -> Class {
        self.source.class()
    }
}

/// A message was sent to the queue of a stage that has none.
#[derive(Debug, thiserror::Error)]
#[error("no function works on stage {0}, so it has no queue")]
struct NoQueue(Stage);

impl fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueue")
            .field("max_receive_count", &self.max_receive_count)
            .finish_non_exhaustive()
    }
}

impl SqliteQueue {
    pub(crate) fn new(
        database: Database,
        arrivals: Arc<Notify>,
        clock: Arc<dyn Clock>,
        max_receive_count: u32,
        lock: Arc<FolderLock>,
    ) -> Self {
        Self {
            database,
            clock,
            // A message that may not be received even once would be a dead letter at birth.
            max_receive_count: max_receive_count.max(1),
            arrivals,
            _lock: lock,
        }
    }

    async fn run<T, W>(&self, action: &'static str, work: W) -> Result<T, QueueStoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let failed = |source| QueueStoreError { action, source };
        self.database.run(work).await.map_err(failed)
    }

    async fn store(&self, task: &Task) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let stage = match task.stage {
            Stage::Pin | Stage::Mutate | Stage::Push => task.stage.as_str(),
            Stage::Queued | Stage::Done => return Err(NoQueue(task.stage).into()),
        };
        let body = serde_json::to_string(task)?;
        let turn = task.group.clone().unwrap_or_default();
        let now = self.clock.now().as_microsecond();
        let max_receive_count = self.max_receive_count;
        self.run("take a message in", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let number = count_up(&transaction, "message", 1)?;
            let stored = transaction
                .prepare_cached(
                    "INSERT INTO messages (number, stage, body, sent_at, visible_at, turn)
                     SELECT ?1, ?2, ?3, ?4, ?4, ?6 WHERE NOT EXISTS (
                         SELECT 1 FROM messages
                         WHERE stage = ?2 AND body = ?3 AND receipt IS NULL
                           AND receive_count < ?5)",
                )?
                .execute(params![number, stage, body, now, max_receive_count, turn])?;
            if stored == 0 {
                // The number was not used.
                return transaction.rollback();
            }
            transaction.commit()
        })
        .await?;
        self.arrivals.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        self.store(task).await.map_err(|source| QueueError {
            request_id: task.request_id,
            stage: task.stage,
            source,
        })
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let looked = self.database.run(|db| {
            db.prepare_cached("SELECT 1 FROM messages LIMIT 1")?
                .exists([])
        });
        looked.await?;
        Ok(())
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let delay = SignedDuration::try_from(delay)?;
        self.return_after(&delivery.receipt, delay).await?;
        Ok(())
    }
}

/// The id of a message, in the form of a UUID as SQS gives them. It follows from the message's
/// number, so it stays the same however often it is received.
fn message_id(number: u64) -> String {
    let digest = iib_oci::Digest::of(format!("message {number}").as_bytes());
    let hex = digest.hex();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts
        .map(|part| hex.get(part).unwrap_or_default())
        .join("-")
}

/// A stored time.
fn timestamp(column: usize, microseconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(microseconds)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, microseconds))
}
