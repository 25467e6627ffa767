//! Nudging requests whose message was lost.

use std::collections::BTreeMap;

use iib_ports::{StoreError, chain};
use iib_request::{Record, Stage, Task};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{PruneDeps, PruneReport, Time};

/// How many live requests are read at once: few calls for many requests, and 36 MiB at most in
/// memory, as a record has up to 360 KiB.
const PAGE: u32 = 100;

/// What the sweep saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages that were sent.
    pub sent: u64,
    /// Requests that are not done, by stage.
    pub live: BTreeMap<Stage, u64>,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
    /// Whether there was time for all of them.
    pub all: bool,
}

impl Swept {
    pub(super) fn into_report(self, now: Timestamp, report: &mut PruneReport) {
        let age = |oldest| now.duration_since(oldest).as_secs();
        report.resent = self.sent;
        report.live = self.live;
        report.oldest_live_seconds = self
            .oldest
            .map(age)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or_default();
        report.more |= !self.all;
    }

    fn saw(&mut self, record: &Record) {
        *self.live.entry(record.stage).or_default() += 1;
        let made = record.history.first().map(|entry| entry.updated);
        self.oldest = self.oldest.into_iter().chain(made).min();
    }
}

/// Sends a message for every request that is not done, that nobody works on, and that was not
/// touched for `idle`. A message too many does no harm: the stage sees that it is past.
///
/// # Errors
/// [`StoreError`] if the requests cannot be listed.
pub async fn sweep(deps: &PruneDeps, idle: SignedDuration) -> Result<Swept, StoreError> {
    let time = Time {
        clock: &*deps.clock,
        deadline: None,
    };
    sweep_until(deps, idle, time).await
}

pub(super) async fn sweep_until(
    deps: &PruneDeps,
    idle: SignedDuration,
    time: Time<'_>,
) -> Result<Swept, StoreError> {
    let now = time.now();
    let mut swept = Swept::default();
    let mut after = None;
    while time.is_left() {
        let page = deps.requests.live(after, PAGE).await?;
        page.iter().for_each(|record| swept.saw(record));
        let waiting = page.iter().filter(|record| waits(record, now, idle));
        let tasks: Vec<Task> = waiting.map(nudge).collect();
        // What could not be sent is sent by the next sweep.
        let failures = deps.queue.send_all(&tasks).await;
        for error in &failures {
            warn!(request.id = error.request_id.0, error = %chain(error), "no message sent");
        }
        swept.sent += tasks.len().saturating_sub(failures.len()) as u64;
        after = page.last().map(|record| record.id);
        if page.len() < PAGE as usize {
            swept.all = true;
            break;
        }
    }
    if swept.sent > 0 {
        info!(
            sent = swept.sent,
            "sent messages for requests that were waiting"
        );
    }
    Ok(swept)
}

/// Whether nobody works on a live request, or has for `idle`.
fn waits(record: &Record, now: Timestamp, idle: SignedDuration) -> bool {
    let leased = record.leased_until.is_some_and(|until| until > now);
    let touched = record.leased_until.unwrap_or_else(|| record.updated());
    !leased && now.duration_since(touched) >= idle
}

/// The message a live request waits for.
fn nudge(record: &Record) -> Task {
    let stage = match record.stage {
        Stage::Queued => Stage::Pin,
        stage => stage,
    };
    Task::new(record.id, stage)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use iib_ports::NewRequest;
    use iib_request::{AddRequest, Kind};

    use super::*;
    use crate::prune::tests::Service;

    #[tokio::test]
    async fn every_request_that_waits_gets_a_message_however_many_there_are() {
        let service = Service::new();
        let mut ids = BTreeSet::new();
        // A part of a page, whole pages only, and more than that.
        for until in [3, 2 * PAGE as usize, 2 * PAGE as usize + 1] {
            while ids.len() < until {
                let kind = Kind::Add(AddRequest::default());
                let new = NewRequest::new(None, kind, service.deps.clock.now());
                let created = service.deps.requests.create(new).await.unwrap();
                ids.insert(created.into_record().id);
            }
            let swept = sweep(&service.deps, SignedDuration::ZERO).await.unwrap();
            let told = service.queue.take(Stage::Pin);
            assert_eq!((swept.sent as usize, told.len()), (until, until));
            assert_eq!(swept.live, BTreeMap::from([(Stage::Queued, until as u64)]));
            let told: BTreeSet<_> = told.iter().map(|task| task.request_id).collect();
            assert!(told == ids, "of {until}, only {} were told", told.len());
        }
    }

    #[tokio::test]
    async fn messages_that_are_not_sent_are_not_counted() {
        let service = Service::new();
        for _ in 0..3 {
            service.submit().await;
        }
        service.queue.refuse_next(2);
        let swept = sweep(&service.deps, SignedDuration::ZERO).await.unwrap();
        assert_eq!((swept.sent, service.queue.waiting().len()), (1, 1));
    }
}
