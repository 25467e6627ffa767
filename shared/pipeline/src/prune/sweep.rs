//! Nudging requests whose message was lost.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use iib_ports::{Listed, StoreError, chain};
use iib_request::{Record, Stage, Task};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use super::{PruneDeps, PruneReport, Time};

/// How many live requests are read at once: few calls for many requests, and 36 MiB at most in
/// memory, as a record has up to 360 KiB.
const PAGE: u32 = 100;

/// Notes that are written at the same time.
const NOTES: usize = 8;

/// The shortest wait between two messages for a request, doubled from there.
const SHORTEST: SignedDuration = SignedDuration::from_secs(30);

/// Doublings at most: with a minute to begin with, half an hour.
const DOUBLINGS: u32 = 5;

/// What the sweep saw and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Messages that were sent.
    pub sent: u64,
    /// Requests that are not done, by stage.
    pub live: BTreeMap<Stage, u64>,
    /// When the oldest of them was made.
    pub oldest: Option<Timestamp>,
    /// Requests whose records this version cannot read; they are left as they are.
    pub unreadable: u64,
    /// Whether there was time for all of them.
    pub all: bool,
}

impl Swept {
    pub(super) fn into_report(self, now: Timestamp, report: &mut PruneReport) {
        let age = |oldest| now.duration_since(oldest).as_secs();
        report.resent = self.sent;
        report.live = self.live;
        report.unreadable = self.unreadable;
        report.oldest_live_seconds = self
            .oldest
            .map(age)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or_default();
        report.more |= !self.all;
    }

    fn saw(&mut self, listed: &Listed) {
        let record = match listed {
            Ok(record) => record,
            Err(unreadable) => {
                if self.unreadable == 0 {
                    warn!(request.id = unreadable.id.0, error = %unreadable, "a record is left alone");
                }
                self.unreadable += 1;
                return;
            }
        };
        *self.live.entry(record.work.stage).or_default() += 1;
        let made = record.history.first().map(|entry| entry.updated);
        self.oldest = self.oldest.into_iter().chain(made).min();
    }
}

/// Sends a message for every request that is not done and that nobody works on: because an attempt
/// broke off, or because nobody has begun with it for `idle`. A message too many does no harm: the stage
/// sees that it is past.
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
        let page = deps.sweeps.live(after, PAGE).await?;
        page.iter().for_each(|listed| swept.saw(listed));
        let waiting = page.iter().flatten();
        let waiting = waiting.filter(|record| waits(record, now, idle));
        swept.sent += nudge_all(deps, waiting.collect(), now).await;
        after = page.last().map(|listed| match listed {
            Ok(record) => record.id,
            Err(unreadable) => unreadable.id,
        });
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

/// Sends the messages, and notes which were sent. What could not be sent is sent by the next sweep;
/// what could not be noted as well, which does no harm.
async fn nudge_all(deps: &PruneDeps, waiting: Vec<&Record>, now: Timestamp) -> u64 {
    let tasks: Vec<Task> = waiting.iter().map(|record| message(record)).collect();
    let failures = deps.queue.send_all(&tasks).await;
    let mut unsent = BTreeSet::new();
    for error in &failures {
        unsent.insert(error.request_id);
        warn!(request.id = error.request_id.0, error = %chain(error), "no message sent");
    }
    let sent = waiting
        .into_iter()
        .filter(|record| !unsent.contains(&record.id));
    let notes: Vec<_> = sent.map(|record| note(deps, record, now)).collect();
    let sent = notes.len() as u64;
    stream::iter(notes)
        .buffer_unordered(NOTES)
        .collect::<()>()
        .await;
    sent
}

async fn note(deps: &PruneDeps, record: &Record, now: Timestamp) {
    let mut nudged = record.clone();
    nudged.work.nudge(now);
    match deps.requests.replace(nudged).await {
        // Somebody works on it: all the better.
        Ok(_) | Err(StoreError::Conflict(_)) => {}
        Err(error) => {
            warn!(request.id = record.id.0, error = %chain(&error), "a message is not noted");
        }
    }
}

/// Whether a live request waits for a message. One with a lease that is over does: it is renewed
/// while the work goes on, so whoever had it is gone, and so is the message until its queue gives it
/// out again. One without does when it has been due for `idle`. After each message the wait is
/// twice as long: mostly it is not lost, but stands in a queue behind many others.
fn waits(record: &Record, now: Timestamp, idle: SignedDuration) -> bool {
    let since = |then: Timestamp| now.duration_since(then);
    match (&record.work.nudged, &record.work.lease) {
        (None, Some(lease)) => lease.until <= now,
        (None, None) => since(record.due()) >= idle,
        (Some(nudged), lease) => {
            // Of a lease that is over it is known that nobody is at work; else it is a guess.
            let (free, first) = match lease {
                Some(lease) => (lease.until <= now, SHORTEST),
                None => (true, idle.max(SHORTEST)),
            };
            let doubled = 1_i32 << nudged.times.min(DOUBLINGS);
            free && since(nudged.at) >= first.saturating_mul(doubled)
        }
    }
}

/// The message a live request waits for.
fn message(record: &Record) -> Task {
    let stage = match record.work.stage {
        Stage::Queued => Stage::Pin,
        stage => stage,
    };
    record.task(stage)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use async_trait::async_trait;
    use iib_ports::{Clock as _, NewBatch, Sweeps, Unreadable};
    use iib_request::{AddRequest, Claim, Lease, LeaseToken, Request, RequestId, Unknown};

    use super::*;
    use crate::prune::IDLE;
    use crate::prune::tests::Service;

    #[tokio::test]
    async fn every_request_that_waits_gets_a_message_however_many_there_are() {
        let service = Service::new();
        let mut ids = BTreeSet::new();
        // A part of a page, whole pages only, and more than that.
        for until in [3, 2 * PAGE as usize, 2 * PAGE as usize + 1] {
            while ids.len() < until {
                let request = Request::Add(AddRequest::default());
                let new = NewBatch::of(None, request, service.deps.clock.now());
                let created = service.deps.requests.create(new).await.unwrap();
                ids.insert(created.into_records().remove(0).id);
            }
            // Long enough that each is due, however often it was told.
            service.clock.advance(SignedDuration::from_hours(1));
            let swept = sweep(&service.deps, SignedDuration::ZERO).await.unwrap();
            let told = service.queue.take(Stage::Pin);
            assert_eq!((swept.sent as usize, told.len()), (until, until));
            assert_eq!(swept.live, BTreeMap::from([(Stage::Queued, until as u64)]));
            let told: BTreeSet<_> = told.iter().map(|task| task.request_id).collect();
            assert!(told == ids, "of {until}, only {} were told", told.len());
        }
    }

    #[tokio::test]
    async fn an_attempt_that_broke_off_is_taken_up_when_its_lease_is_over() {
        let service = Service::new();
        let id = service.submit().await.id;
        let requests = &service.deps.requests;
        let mut record = requests.get(id).await.unwrap().unwrap();
        let now = service.deps.clock.now();
        record.work.lease = Some(Lease {
            token: LeaseToken::new("one that crashes"),
            until: now + SignedDuration::from_secs(90),
            unknown: Unknown::default(),
        });
        requests.replace(record).await.unwrap();
        for (seconds, sent) in [(0, 0), (89, 0), (1, 1)] {
            service.clock.advance(SignedDuration::from_secs(seconds));
            let swept = sweep(&service.deps, SignedDuration::from_hours(1)).await;
            assert_eq!(swept.unwrap().sent, sent, "{seconds}");
        }
    }

    #[tokio::test]
    async fn requests_that_stand_in_a_long_queue_are_told_less_and_less_often() {
        const BACKLOG: u64 = 10_000;
        let service = Service::new();
        for _ in 0..BACKLOG {
            service.submit().await;
        }
        service.queue.take(Stage::Pin);
        let mut told_at = Vec::new();
        for minute in 0..180 {
            let swept = sweep(&service.deps, IDLE).await.unwrap();
            // Never more than one for each in a minute.
            assert!(swept.sent <= BACKLOG, "{}", swept.sent);
            assert_eq!(service.queue.take(Stage::Pin).len() as u64, swept.sent);
            if swept.sent > 0 {
                assert_eq!(swept.sent, BACKLOG);
                told_at.push(minute);
            }
            service.clock.advance(SignedDuration::from_mins(1));
        }
        assert_eq!(told_at, [1, 3, 7, 15, 31, 63, 95, 127, 159]);
    }

    #[tokio::test]
    async fn whoever_is_worked_on_again_is_told_as_at_first() {
        let service = Service::new();
        let id = service.submit().await.id;
        service.clock.advance(IDLE);
        assert_eq!(sweep(&service.deps, IDLE).await.unwrap().sent, 1);
        let requests = &service.deps.requests;
        let record = requests.get(id).await.unwrap().unwrap();
        assert_eq!(record.work.nudged.as_ref().unwrap().times, 1);
        let (now, token) = (service.clock.now(), LeaseToken::new("one that crashes"));
        let until = now + SignedDuration::from_secs(90);
        let Claim::Granted(claimed) = record.claim(Stage::Pin, &token, now, until, 3) else {
            panic!("not granted")
        };
        requests.replace(*claimed).await.unwrap();
        service.clock.advance(SignedDuration::from_secs(90));
        assert_eq!(sweep(&service.deps, IDLE).await.unwrap().sent, 1);
        assert_eq!(sweep(&service.deps, IDLE).await.unwrap().sent, 0);
    }

    /// A store with a record that nobody can read, before all others.
    struct WithUnreadable(Arc<dyn Sweeps>);

    #[async_trait]
    impl Sweeps for WithUnreadable {
        async fn live(
            &self,
            after: Option<RequestId>,
            limit: u32,
        ) -> Result<Vec<Listed>, StoreError> {
            let mut live = self.0.live(after, limit).await?;
            if after.is_none() {
                live.insert(
                    0,
                    Err(Unreadable {
                        id: RequestId(0),
                        reason: "it is of tomorrow".to_owned(),
                    }),
                );
            }
            live.truncate(limit as usize);
            Ok(live)
        }

        async fn ended_before(
            &self,
            time: Timestamp,
            limit: u32,
        ) -> Result<Vec<Record>, StoreError> {
            self.0.ended_before(time, limit).await
        }
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_counted_and_keeps_nobody_waiting() {
        let service = Service::new();
        for _ in 0..PAGE {
            service.submit().await;
        }
        let mut deps = service.deps.clone();
        deps.sweeps = Arc::new(WithUnreadable(deps.sweeps));
        let swept = sweep(&deps, SignedDuration::ZERO).await.unwrap();
        assert_eq!((swept.unreadable, swept.sent), (1, u64::from(PAGE)));
        assert_eq!(swept.live.values().sum::<u64>(), u64::from(PAGE));
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
