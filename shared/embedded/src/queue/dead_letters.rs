//! Messages that failed too often.

use jiff::Timestamp;

use super::{QueueStoreError, SqliteQueue, message_id, timestamp};

/// A message nobody could work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
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
                Ok(DeadLetter {
                    message_id: message_id(row.get(0)?),
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
}
