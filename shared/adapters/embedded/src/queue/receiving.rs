//! The receiving half of the queues.

use std::time::Duration;

use iib_request::Stage;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{QueueStoreError, SqliteQueue, message_id, timestamp, turns};

/// The longest sleep of [`SqliteQueue::wait`] before it looks at the clock again: the timer
/// stands still while a laptop is suspended, and the clock may be set.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A message in the hands of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Stays the same over all deliveries.
    pub message_id: String,
    /// Names this delivery; to be given back with `delete` or `return_after`.
    pub receipt_handle: String,
    /// The JSON text of a [`iib_request::Task`].
    pub body: String,
    /// Deliveries so far, this one included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it was first delivered.
    pub first_received_at: Timestamp,
}

impl SqliteQueue {
    /// Receives up to `max` visible messages of a stage, those of different groups in turns and each
    /// group's oldest first, and hides them from other
    /// receivers for `visibility`. Messages that used up their deliveries go to the dead letters
    /// instead.
    ///
    /// Dropping the future after its first poll may leave messages hidden until `visibility` is
    /// over; they are not lost.
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn receive(
        &self,
        stage: Stage,
        max: u32,
        visibility: SignedDuration,
    ) -> Result<Vec<Received>, QueueStoreError> {
        let now = self.clock.now();
        let hidden_until = now.saturating_add(visibility).unwrap_or(Timestamp::MAX);
        let (now, hidden_until) = (now.as_microsecond(), hidden_until.as_microsecond());
        let max_receive_count = self.max_receive_count;
        self.run("hand messages out", move |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            bury(&transaction, stage, now, max_receive_count)?;
            let chosen = turns::choose(&transaction, stage, max, now)?;
            let received = chosen
                .into_iter()
                .map(|message| {
                    let count = message.receive_count + 1;
                    hand_out(&transaction, message.number, count, now, hidden_until)
                })
                .collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(received)
        })
        .await
    }

    /// Ends the work on a message. `false` if the receipt is no longer the latest one: somebody
    /// else has the message by now, or it is gone.
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn delete(&self, receipt_handle: &str) -> Result<bool, QueueStoreError> {
        let receipt = receipt_handle.to_owned();
        let deleted = self
            .run("delete a message", move |db| {
                db.prepare_cached("DELETE FROM messages WHERE receipt = ?1")?
                    .execute([receipt])
            })
            .await?;
        Ok(deleted > 0)
    }

    /// Gives a message back; it becomes visible after `delay`. `false` as for
    /// [`SqliteQueue::delete`].
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn return_after(
        &self,
        receipt_handle: &str,
        delay: SignedDuration,
    ) -> Result<bool, QueueStoreError> {
        let receipt = receipt_handle.to_owned();
        let visible_at = self
            .clock
            .now()
            .saturating_add(delay)
            .unwrap_or(Timestamp::MAX);
        let visible_at = visible_at.as_microsecond();
        let returned = self
            .run("take a message back", move |db| {
                db.prepare_cached(
                    "UPDATE messages SET visible_at = ?2, receipt = NULL WHERE receipt = ?1",
                )?
                .execute(params![receipt, visible_at])
            })
            .await?;
        self.arrivals.notify_waiters();
        Ok(returned > 0)
    }

    /// Waits until a message of the stage is visible. Somebody else may receive it first. The
    /// future may be dropped at any time.
    ///
    /// # Errors
    /// [`QueueStoreError`].
    pub async fn wait(&self, stage: Stage) -> Result<(), QueueStoreError> {
        loop {
            // Listening begins before looking, so nothing is missed in between.
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            let Some(visible_at) = self.next_visible(stage).await? else {
                arrival.await;
                continue;
            };
            let left = visible_at.duration_since(self.clock.now());
            let Ok(left) = Duration::try_from(left) else {
                return Ok(());
            };
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep(left.min(LONGEST_WAIT)) => {}
            }
        }
    }

    /// When the first message of the stage is or becomes visible.
    async fn next_visible(&self, stage: Stage) -> Result<Option<Timestamp>, QueueStoreError> {
        self.run("look for the next message", move |db| {
            db.prepare_cached(
                "SELECT visible_at FROM messages WHERE stage = ?1 ORDER BY visible_at LIMIT 1",
            )?
            .query_row([stage.as_str()], |row| timestamp(0, row.get(0)?))
            .optional()
        })
        .await
    }
}

/// Moves visible messages without deliveries left to the dead letters.
fn bury(
    transaction: &Transaction<'_>,
    stage: Stage,
    now: i64,
    max_receive_count: u32,
) -> rusqlite::Result<()> {
    let spent = params![stage.as_str(), now, max_receive_count];
    let buried = transaction
        .prepare_cached(
            "INSERT INTO dead_letters (number, stage, body, sent_at, receive_count, died_at)
             SELECT number, stage, body, sent_at, receive_count, ?2 FROM messages
             WHERE stage = ?1 AND visible_at <= ?2 AND receive_count >= ?3",
        )?
        .execute(spent)?;
    if buried > 0 {
        transaction
            .prepare_cached(
                "DELETE FROM messages
                 WHERE stage = ?1 AND visible_at <= ?2 AND receive_count >= ?3",
            )?
            .execute(spent)?;
        tracing::error!(
            stage = stage.as_str(),
            messages = buried,
            "messages failed too often and are now dead letters"
        );
    }
    Ok(())
}

/// Marks one message as handed out. The receipt holds the count, so each delivery has its own.
fn hand_out(
    transaction: &Transaction<'_>,
    number: u64,
    receive_count: u32,
    now: i64,
    hidden_until: i64,
) -> rusqlite::Result<Received> {
    let message_id = message_id(number);
    let receipt_handle = format!("{message_id}.{receive_count}");
    transaction
        .prepare_cached(
            "UPDATE messages
             SET visible_at = ?2, receive_count = ?3, receipt = ?4,
                 first_received_at = coalesce(first_received_at, ?5)
             WHERE number = ?1
             RETURNING body, sent_at, first_received_at",
        )?
        .query_row(
            params![number, hidden_until, receive_count, receipt_handle, now],
            |row| {
                Ok(Received {
                    body: row.get(0)?,
                    sent_at: timestamp(1, row.get(1)?)?,
                    first_received_at: timestamp(2, row.get(2)?)?,
                    message_id,
                    receipt_handle: receipt_handle.clone(),
                    receive_count,
                })
            },
        )
}
