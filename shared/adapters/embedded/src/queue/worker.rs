//! Feeds the messages of a stage to a handler, as an event source mapping does on AWS.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use iib_ports::Backoff;
use iib_request::Stage;
use jiff::SignedDuration;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::event::sqs_event;
use super::{QueueStoreError, Received, SqliteQueue};

/// Delay before a failed message is tried again: doubles with each delivery, up to as long as a user
/// will look at a request that waits for a registry to come back.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// Pause after the queue itself could not be used: a full disk is not emptied by trying faster.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// How the messages of a stage are worked on.
#[derive(Debug, Clone)]
pub struct StageSettings {
    /// The stage.
    pub stage: Stage,
    /// Messages handed to the handler at once.
    pub batch_size: u32,
    /// Batches worked on at the same time.
    pub concurrency: usize,
    /// How long a message is hidden from others while it is worked on; longer than a handler
    /// ever takes (architecture §2.5: six times the stage's timeout).
    pub visibility: SignedDuration,
    /// How long running handlers may go on after a stop was asked for.
    pub grace: Duration,
}

/// What a handler could not do; the rest of its batch is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchFailures {
    /// The messages with these ids (`batchItemFailures`). Empty: all went well. An id that was
    /// not in the batch makes the whole batch fail, as on AWS: nobody knows what was meant.
    Messages(Vec<String>),
    /// The function itself failed, so every message did.
    All,
}

/// How the work on a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Batches that did not end within the grace and were cut off. Their messages become
    /// visible again at the latest when the folder is opened the next time.
    pub unfinished: usize,
}

/// Receives messages and hands them to `handler` as SQS event documents until `stop`. Messages
/// of success are deleted, others come back after a delay. A handler that panics has failed.
pub async fn run_stage<H, F>(
    queue: SqliteQueue,
    settings: StageSettings,
    handler: H,
    stop: CancellationToken,
) -> Stopped
where
    H: Fn(Value) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = BatchFailures> + Send + 'static,
{
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        if running.len() >= settings.concurrency.max(1) {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = running.join_next() => continue,
            }
        }
        // Only the waiting is given up at a stop; what was received is always worked on.
        let visible = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            visible = queue.wait(settings.stage) => visible,
        };
        let batch = match visible {
            Ok(()) => {
                let (stage, max) = (settings.stage, settings.batch_size.max(1));
                queue.receive(stage, max, settings.visibility).await
            }
            Err(error) => Err(error),
        };
        match batch {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => {
                let work = work_on(queue.clone(), settings.stage, handler.clone(), batch);
                running.spawn(work);
            }
            Err(error) => {
                report(settings.stage, &error);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(FAULT_PAUSE) => {}
                }
            }
        }
    }
    let all_ended = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(settings.grace, all_ended)
        .await
        .is_err()
    {
        tracing::warn!(
            stage = settings.stage.as_str(),
            batches = running.len(),
            "work that did not end in time was cut off; it begins again at the next start"
        );
    }
    let unfinished = running.len();
    running.shutdown().await;
    Stopped { unfinished }
}

/// One invocation of the handler and what follows from its answer.
async fn work_on<H, F>(queue: SqliteQueue, stage: Stage, handler: H, batch: Vec<Received>)
where
    H: Fn(Value) -> F,
    F: Future<Output = BatchFailures>,
{
    let event = sqs_event(stage, &batch);
    let invocation = AssertUnwindSafe(async { handler(event).await });
    let failures = invocation.catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(stage = stage.as_str(), "the function panicked");
        BatchFailures::All
    });
    let failed = failed_ids(&failures, &batch);
    for message in &batch {
        let receipt = &message.receipt_handle;
        let settled = if failed.contains(message.message_id.as_str()) {
            // A handler that has put its message off itself gave the receipt back with it.
            let delay = BACKOFF.after(message.receive_count);
            let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
            queue.return_after(receipt, delay).await.map(|_| true)
        } else {
            queue.delete(receipt).await
        };
        match settled {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                stage = stage.as_str(),
                message.id = message.message_id,
                "the function took longer than its message was hidden, so the message was \
                 delivered again"
            ),
            // It becomes visible again when the time for which it is hidden is over.
            Err(error) => report(stage, &error),
        }
    }
}

/// Ids of the batch that are to come back.
fn failed_ids<'a>(failures: &'a BatchFailures, batch: &'a [Received]) -> BTreeSet<&'a str> {
    let all: BTreeSet<&str> = batch.iter().map(|one| one.message_id.as_str()).collect();
    match failures {
        BatchFailures::All => all,
        BatchFailures::Messages(ids) => {
            let failed: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
            if failed.is_subset(&all) { failed } else { all }
        }
    }
}

fn report(stage: Stage, error: &QueueStoreError) {
    tracing::error!(
        stage = stage.as_str(),
        error = error as &dyn std::error::Error,
        "the queue cannot be used at the moment"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 7, u32::MAX]
            .map(|count| BACKOFF.after(count).as_secs())
            .into();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
