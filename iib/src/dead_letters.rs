//! Dead letters of the local queue, handed to their function.

use std::collections::BTreeSet;
use std::time::Duration;

use iib_embedded::{DeadLetter, QueueStoreError, SqliteQueue, dead_letter_event};
use iib_pipeline::dead_letter::DeadLetterDeps;
use lambda_runtime::{Context, LambdaEvent};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often dead letters are looked for. They are rare, and what they are about has waited long.
const EVERY: Duration = Duration::from_secs(10);

/// Letters in one event, as many as SQS gives.
const BATCH: u32 = 10;

/// Hands dead letters over until `stop`.
pub(crate) async fn deal_with(queue: SqliteQueue, deps: DeadLetterDeps, stop: CancellationToken) {
    let rounds = async {
        let mut ticks = tokio::time::interval(EVERY);
        // A long round is followed by a pause, not by those that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = round(&queue, &deps).await {
                warn!(error = iib_ports::chain(&error), "dead letters wait");
            }
        }
    };
    stop.run_until_cancelled_owned(rounds).await;
}

/// Hands the letters there are over; those that cannot be dealt with now stay.
async fn round(queue: &SqliteQueue, deps: &DeadLetterDeps) -> Result<(), QueueStoreError> {
    let letters: Vec<DeadLetter> = queue.dead_letters(BATCH).await?;
    if letters.is_empty() {
        return Ok(());
    }
    let event = match serde_json::from_value(dead_letter_event(&letters)) {
        Ok(event) => event,
        Err(error) => {
            warn!(%error, "the local queue made an event that is none");
            return Ok(());
        }
    };
    let event = LambdaEvent::new(event, Context::default());
    let response = iib_dead_letter::handle(deps, event).await;
    let failed: BTreeSet<String> = response
        .batch_item_failures
        .into_iter()
        .map(|item| item.item_identifier)
        .collect();
    for letter in &letters {
        if !failed.contains(&letter.message_id) {
            queue.delete_dead_letter(letter).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use iib_edge::Config;
    use iib_local::Local;
    use iib_pipeline::intake::submit;
    use iib_ports::Requests as _;
    use iib_request::{AddRequest, Stage, State};
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test]
    async fn a_request_whose_message_died_fails() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(None, &Default::default()).unwrap();
        config.data_folder = folder.path().to_owned();
        let local = Local::open(&config).unwrap();
        let request = AddRequest::default();
        let record = submit(&local.deps.clone().into(), None, request).await;
        let id = record.unwrap().id;
        // Handed out again and again, and never handled.
        while local.queue.dead_letters(1).await.unwrap().is_empty() {
            let hidden = SignedDuration::ZERO;
            local.queue.receive(Stage::Pin, 1, hidden).await.unwrap();
        }
        let deps = local.deps.clone().into();
        round(&local.queue, &deps).await.unwrap();
        let record = local.folder.requests().get(id).await.unwrap().unwrap();
        assert_eq!(record.state(), State::Failed);
        assert_eq!(local.queue.dead_letters(1).await.unwrap(), []);
    }
}
