//! Nudging requests whose message was lost.

use iib_ports::{StoreError, chain};
use iib_request::{Record, Stage, Task};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::Deps;

/// How many live requests are read at once: few calls for many requests, and some MiB at most
/// in memory.
const PAGE: u32 = 1000;

/// Sends a message for every request that is not done, that nobody works on, and that was not
/// touched for `idle`. A message too many does no harm: the stage sees that it is past.
///
/// Returns how many were sent.
///
/// # Errors
/// [`StoreError`] if the requests cannot be listed.
pub async fn sweep(deps: &Deps, idle: SignedDuration) -> Result<usize, StoreError> {
    let now = deps.clock.now();
    let mut sent = 0;
    let mut after = None;
    loop {
        let page = deps.requests.live(after, PAGE).await?;
        for record in &page {
            if waits(record, now, idle) && nudge(deps, record).await {
                sent += 1;
            }
        }
        after = page.last().map(|record| record.id);
        if page.len() < PAGE as usize {
            break;
        }
    }
    if sent > 0 {
        info!(sent, "sent messages for requests that were waiting");
    }
    Ok(sent)
}

/// Whether nobody works on a live request, or has for `idle`.
fn waits(record: &Record, now: Timestamp, idle: SignedDuration) -> bool {
    let leased = record.leased_until.is_some_and(|until| until > now);
    let touched = record.leased_until.unwrap_or_else(|| record.updated());
    !leased && now.duration_since(touched) >= idle
}

/// Sends a message for a request. `false` if it cannot be sent; the next sweep tries again.
async fn nudge(deps: &Deps, record: &Record) -> bool {
    let stage = if record.stage == Stage::Queued {
        Stage::Pin
    } else {
        record.stage
    };
    match deps.queue.send(&Task::new(record.id, stage)).await {
        Ok(()) => true,
        Err(error) => {
            warn!(request.id = record.id.0, error = %chain(&error), "no message sent");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use iib_indexdb::SqliteIndex;
    use iib_ports::NewRequest;
    use iib_request::{AddRequest, ApiSettings, Kind, WorkSettings};
    use iib_testkit::memory::{
        MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRegistry, MemoryRequests, MemorySecrets,
        RecordingNotifier,
    };
    use iib_testkit::time::ManualClock;

    use super::*;

    #[tokio::test]
    async fn every_request_that_waits_gets_a_message_however_many_there_are() {
        let queue = Arc::new(MemoryQueue::default());
        let deps = Deps {
            requests: Arc::new(MemoryRequests::default()),
            queue: queue.clone(),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: Arc::new(MemorySecrets::default()),
            registry: Arc::new(MemoryRegistry::default()),
            index_db: Arc::new(SqliteIndex),
            clock: Arc::new(ManualClock::default()),
            notifier: Arc::new(RecordingNotifier::default()),
            api: ApiSettings::default(),
            work: WorkSettings::default(),
            scratch: std::path::PathBuf::new(),
        };
        let mut ids = BTreeSet::new();
        // A part of a page, whole pages only, and more than that.
        for until in [3, 2 * PAGE as usize, 2 * PAGE as usize + 1] {
            while ids.len() < until {
                let kind = Kind::Add(AddRequest::default());
                let new = NewRequest::new(None, kind, deps.clock.now());
                let created = deps.requests.create(new).await.unwrap();
                ids.insert(created.into_record().id);
            }
            let sent = sweep(&deps, SignedDuration::ZERO).await.unwrap();
            let told = queue.take(Stage::Pin);
            assert_eq!((sent, told.len()), (until, until));
            let told: BTreeSet<_> = told.iter().map(|task| task.request_id).collect();
            assert!(told == ids, "of {until}, only {} were told", told.len());
        }
    }
}
