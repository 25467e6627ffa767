#![doc = include_str!("../README.md")]

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use iib_pipeline::notify::{NotifyDeps, NotifyError, sweep, tell};
use iib_ports::{Class, Classify, chain};
use iib_request::BatchId;
use lambda_runtime::LambdaEvent;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

/// Batches that are told of at the same time.
const AT_ONCE: usize = 16;

/// What wakes the function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum NotifyEvent {
    /// The table's stream has shown items.
    Stream {
        /// The items.
        #[serde(rename = "Records")]
        records: Vec<StreamRecord>,
    },
    /// The schedule.
    Schedule {
        /// What EventBridge calls it.
        #[serde(rename = "detail-type")]
        detail_type: String,
    },
}

/// An item that was written.
#[derive(Debug, Deserialize)]
pub struct StreamRecord {
    #[serde(rename = "eventName")]
    event_name: String,
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
struct Change {
    #[serde(rename = "Keys")]
    keys: Keys,
    #[serde(rename = "NewImage", default)]
    image: Image,
}

/// The item as it is now, as far as it counts here.
#[derive(Debug, Default, Deserialize)]
struct Image {
    told: Option<IgnoredAny>,
    woken: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Keys {
    pk: Key,
    sk: Key,
}

#[derive(Debug, Deserialize)]
struct Key {
    #[serde(rename = "S")]
    text: String,
}

impl StreamRecord {
    /// The batch that there is news of. Other items come here only if the filter of the stream is gone.
    fn batch(&self) -> Option<BatchId> {
        let Change { keys, image } = &self.dynamodb;
        let Keys { pk, sk } = keys;
        // That somebody was told is what this function itself has written.
        let is_note = self.event_name == "MODIFY" && image.told.is_some() && image.woken.is_none();
        if is_note || self.event_name == "REMOVE" || !pk.text.starts_with("OUTBOX#") {
            return None;
        }
        let (batch, _) = sk.text.split_once('#')?;
        batch.parse().ok().map(BatchId)
    }
}

/// What an event came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Batches of which everything was told, or that were woken.
    pub batches: u64,
    /// Batches of which something waits.
    pub waiting: u64,
}

/// Tells what the event is of, or has what waits looked at again.
///
/// # Errors
/// [`NotifyError::Store`], so that the event comes again; of the schedule's also [`NotifyError::Announce`] and
/// [`NotifyError::Overdue`], so that the platform counts the invocation as failed while something waits.
pub async fn handle(
    deps: &NotifyDeps,
    event: LambdaEvent<NotifyEvent>,
) -> Result<Told, NotifyError> {
    let records = match event.payload {
        NotifyEvent::Stream { records } => records,
        NotifyEvent::Schedule { .. } => {
            let batches = sweep(deps).await?;
            return Ok(Told {
                batches,
                waiting: 0,
            });
        }
    };
    let batches: BTreeSet<BatchId> = records.iter().filter_map(StreamRecord::batch).collect();
    let deadline = iib_edge::deadline(&event.context);
    let tell_of = |batch| async move { (batch, tell(deps, batch, deadline).await) };
    let telling: Vec<_> = batches.into_iter().map(tell_of).collect();
    let telling = stream::iter(telling).buffer_unordered(AT_ONCE);
    let results: Vec<_> = telling.collect().await;
    let (mut told, mut failed) = (Told::default(), None);
    for (batch, result) in results {
        let Err(error) = result else {
            told.batches += 1;
            continue;
        };
        told.waiting += 1;
        // Why somebody cannot be told is said once, not for each batch.
        match matches!(&error, NotifyError::Announce(error) if error.is_known) {
            true => debug!(batch = batch.0, "news waits"),
            false => warn!(
                event = "news_waits",
                batch = batch.0,
                error = chain(&error),
                "news waits"
            ),
        }
        let comes_again = matches!(error, NotifyError::Store(_)) && error.class() == Class::Retry;
        failed = failed.or(comes_again.then_some(error));
    }
    failed.map_or(Ok(told), Err)
}
