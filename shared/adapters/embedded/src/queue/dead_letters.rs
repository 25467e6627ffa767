//! Messages that failed too often.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::event::{self, queue_arn};
use super::{QueueStoreError, Received, SqliteQueue, message_id, timestamp};

/// A message nobody could work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number in the database.
    number: u64,
    /// The id it had in its queue.
    pub message_id: String,
    /// Name of the stage whose queue it was in.
    pub stage: String,
    /// Its text, as it was sent.
    pub body: String,
    /// Deliveries it had.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was taken out of its queue.
    pub died_at: Timestamp,
}

impl SqliteQueue {
    /// The latest dead letters, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, QueueStoreError> {
        self.run("read the dead letters", move |db| {
            db.prepare_cached(
                "SELECT number, stage, body, receive_count, sent_at, died_at
                 FROM dead_letters ORDER BY died_at DESC, number DESC LIMIT ?1",
            )?
            .query_map([limit], |row| {
                let number = row.get(0)?;
                Ok(DeadLetter {
                    number,
                    message_id: message_id(number),
                    stage: row.get(1)?,
                    body: row.get(2)?,
                    receive_count: row.get(3)?,
                    sent_at: timestamp(4, row.get(4)?)?,
                    died_at: timestamp(5, row.get(5)?)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Removes a dead letter that was dealt with; it need not be there.
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn delete_dead_letter(&self, letter: &DeadLetter) -> Result<(), QueueStoreError> {
        let number = letter.number;
        self.run("remove a dead letter", move |db| {
            db.prepare_cached("DELETE FROM dead_letters WHERE number = ?1")?
                .execute([number])
                .map(drop)
        })
        .await
    }
}

/// The event for dead letters, in the shape SQS sends it for a queue of them.
pub fn dead_letter_event(letters: &[DeadLetter]) -> Value {
    let record = |letter: &DeadLetter| {
        let message = Received {
            message_id: letter.message_id.clone(),
            // Nobody but their owner takes them, so a delivery needs no name of its own.
            receipt_handle: letter.message_id.clone(),
            body: letter.body.clone(),
            receive_count: letter.receive_count,
            sent_at: letter.sent_at,
            first_received_at: letter.died_at,
        };
        let source = queue_arn(&letter.stage);
        let mut record = event::record("dead-letter", &message);
        record["attributes"]["DeadLetterQueueSourceArn"] = source.into();
        record
    };
    json!({ "Records": letters.iter().map(record).collect::<Vec<_>>() })
}
