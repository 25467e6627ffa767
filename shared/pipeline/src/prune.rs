//! What is done time and again: requests whose message was lost are nudged, data whose time has
//! come goes, what nobody refers to goes, and the figures are published.
//!
//! A run may end anywhere and be begun again, also while another one is under way: everything is
//! removed before the record says so, and removing what is gone is no fault.

mod expire;
mod objects;
mod sweep;

use std::sync::Arc;

use iib_ports::{
    ArtifactError, Artifacts, Class, Classify, Clock, Figures, Logs, Queue, RegistryError,
    Requests, SecretError, Secrets, ServiceGauges, StoreError, Sweeps, TRACE, Tags,
};
use iib_request::{ApiSettings, Stage, WorkSettings};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use tracing::{error, info, instrument};

pub use sweep::{Swept, sweep};

/// Time kept back at the end of an invocation: longer than one call with all its retries takes on
/// a day that is not wholly lost, so that nothing is cut off in the middle.
const RESERVE: SignedDuration = SignedDuration::from_secs(10);

/// The longest run: there is one each minute, so that a crash is found within two, and they are not to
/// run side by side.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(60);

/// How long a request is due until its message may be lost: as long as a lease lasts, so that a process
/// that dies between its write and its message costs no more time than one that dies at work. A message
/// too many costs a write of the record and some reads, and where requests stand in a long queue each
/// gets fewer and fewer of them.
const IDLE: SignedDuration = crate::stage::LEASE;

/// What clearing up works with. It alone may take tags away, and it reads no images.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct PruneDeps {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The requests that it has to come back to.
    pub sweeps: Arc<dyn Sweeps>,
    /// The queues in front of the stages.
    pub queue: Arc<dyn Queue>,
    /// The build logs.
    pub logs: Arc<dyn Logs>,
    /// Everything that is stored beside the records.
    pub artifacts: Arc<dyn Artifacts>,
    /// Secrets that came with requests.
    pub secrets: Arc<dyn Secrets>,
    /// Tags of results.
    pub tags: Arc<dyn Tags>,
    /// Where the figures go.
    pub figures: Arc<dyn Figures>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the API: how long data is kept.
    pub api: ApiSettings,
    /// Settings of the work: how long a stage may take, and what results are called.
    pub work: WorkSettings,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Requests whose message was sent again.
    pub resent: u64,
    /// Requests whose data was removed.
    pub expired: u64,
    /// Artifacts that were removed.
    pub removed_objects: u64,
    /// Intermediate tags that stay, because the registry removes none.
    pub kept_tags: u64,
    /// Requests that are not done, by stage.
    pub live: BTreeMap<Stage, u64>,
    /// Age of the oldest of them in seconds; 0 if there is none.
    pub oldest_live_seconds: u64,
    /// Requests whose records this version cannot read; they are left as they are.
    pub unreadable: u64,
    /// Whether something was left for the next run.
    pub more: bool,
}

/// A part of a run failed; the others were done all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The store of requests failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store of artifacts failed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The store of secrets failed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A registry could not be asked to remove tags.
    #[error("the intermediate tags of results could not be removed")]
    Registry(#[source] RegistryError),
    /// The settings give results a name that is none.
    #[error("the name of results cannot be made")]
    OutputName(#[source] Box<crate::WorkError>),
}

impl Classify for PruneError {
    fn class(&self) -> Class {
        match self {
            Self::Store(source) => source.class(),
            Self::Artifact(source) => source.class(),
            Self::Secret(source) => source.class(),
            Self::Registry(source) => source.class(),
            Self::OutputName(_) => Class::Bug,
        }
    }
}

/// The time of a run.
#[derive(Clone, Copy)]
struct Time<'a> {
    clock: &'a dyn Clock,
    deadline: Option<Timestamp>,
}

impl Time<'_> {
    fn now(self) -> Timestamp {
        self.clock.now()
    }

    /// Whether another piece of work may be begun.
    fn is_left(self) -> bool {
        let enough = |at: Timestamp| at.duration_since(self.now()) > RESERVE;
        self.deadline.is_none_or(enough)
    }

    /// The first half of what is left of it.
    fn half(self) -> Self {
        let now = self.now();
        let end = |deadline: Timestamp| {
            let left = deadline.duration_since(now).saturating_sub(RESERVE);
            let end = now.saturating_add(left / 2 + RESERVE);
            end.unwrap_or(deadline).min(deadline)
        };
        Self {
            deadline: self.deadline.map(end),
            ..self
        }
    }

    /// The time so long ago.
    fn before(self, ago: SignedDuration) -> Timestamp {
        self.now().saturating_sub(ago).unwrap_or(Timestamp::MIN)
    }
}

/// How long data is kept after a request has ended.
fn kept_for(api: &ApiSettings) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(api.data_days_to_live))
}

/// Does one run, which takes a minute at most. What there is no time for before `deadline` is left to
/// the next run.
///
/// # Errors
/// [`PruneError`], the first; whatever does not need what failed was done.
#[instrument(target = TRACE, name = "prune", skip_all)]
pub async fn run(deps: &PruneDeps, deadline: Option<Timestamp>) -> Result<PruneReport, PruneError> {
    let clock = &*deps.clock;
    let longest = clock.now().saturating_add(LONGEST_RUN);
    let longest = longest.unwrap_or(Timestamp::MAX);
    let deadline = Some(deadline.unwrap_or(longest).min(longest));
    let time = Time { clock, deadline };
    let mut report = PruneReport::default();
    let mut failure = None;
    let mut note = |part: &str, done: Result<(), PruneError>| {
        if let Err(error) = done {
            error!(
                part,
                error = iib_ports::chain(&error),
                "clearing up failed in part"
            );
            failure.get_or_insert(error);
        }
    };

    let swept = sweep::sweep_until(deps, IDLE, time.half()).await;
    note(
        "sweep",
        swept
            .map(|swept| swept.into_report(time.now(), &mut report))
            .map_err(PruneError::from),
    );
    note("expire", expire::expire(deps, time, &mut report).await);
    note("objects", objects::remove(deps, time, &mut report).await);

    let gauges = ServiceGauges {
        live: report.live.clone(),
        oldest_live_seconds: report.oldest_live_seconds,
        unreadable: report.unreadable,
        resent: report.resent,
        expired: report.expired,
        removed_objects: report.removed_objects,
    };
    deps.figures.publish(time.now(), &[gauges.sample()]);
    if report.resent + report.expired + report.removed_objects > 0 {
        info!(
            resent = report.resent,
            expired = report.expired,
            removed_objects = report.removed_objects,
            "cleared up"
        );
    }
    match failure {
        None => Ok(report),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
