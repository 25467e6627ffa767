//! Figures about the service as a whole, for those who run it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_request::Stage;
use jiff::Timestamp;

/// How the service stood at a time, and what the last clearing up did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceGauges {
    /// When.
    pub at: Timestamp,
    /// Requests that are not done, by stage; a stage without any may be left out.
    pub live: BTreeMap<Stage, u64>,
    /// Age of the oldest of them in seconds; 0 if there is none.
    pub oldest_live_seconds: u64,
    /// Requests that are not done and whose records this version cannot read.
    pub unreadable: u64,
    /// Requests whose lost message was sent again.
    pub resent: u64,
    /// Requests whose data was removed because its time had come.
    pub expired: u64,
    /// Artifacts that were removed.
    pub removed_objects: u64,
}

/// A figure as those see it who run the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name, in CloudWatch and everywhere else.
    pub name: &'static str,
    /// Its unit, as CloudWatch names it.
    pub unit: &'static str,
    /// Whether it counts what one clearing up did, and not how things stand.
    pub counts: bool,
    /// What it says.
    pub about: &'static str,
    /// The figure.
    pub value: u64,
}

impl ServiceGauges {
    /// All figures, each by its name.
    pub fn figures(&self) -> [Figure; 9] {
        let live = |stage| self.live.get(&stage).copied().unwrap_or_default();
        let stands = |name, unit, value, about| Figure {
            name,
            unit,
            counts: false,
            about,
            value,
        };
        let counts = |name, value, about| Figure {
            counts: true,
            ..stands(name, "Count", value, about)
        };
        [
            stands(
                "LiveQueued",
                "Count",
                live(Stage::Queued),
                "Requests that wait for their first stage.",
            ),
            stands(
                "LivePin",
                "Count",
                live(Stage::Pin),
                "Requests in the stage pin.",
            ),
            stands(
                "LiveMutate",
                "Count",
                live(Stage::Mutate),
                "Requests in the stage mutate.",
            ),
            stands(
                "LivePush",
                "Count",
                live(Stage::Push),
                "Requests in the stage push.",
            ),
            stands(
                "OldestLiveSeconds",
                "Seconds",
                self.oldest_live_seconds,
                "Age of the oldest request that goes on.",
            ),
            stands(
                "Unreadable",
                "Count",
                self.unreadable,
                "Requests that go on whose records this version cannot read.",
            ),
            counts(
                "Resent",
                self.resent,
                "Requests whose lost message was sent again.",
            ),
            counts(
                "Expired",
                self.expired,
                "Requests whose data was removed because its time had come.",
            ),
            counts(
                "RemovedObjects",
                self.removed_objects,
                "Artifacts that were removed.",
            ),
        ]
    }
}

/// Takes the figures to where they are looked at. Failing to is never a reason to fail what they
/// are about, so there is no error.
#[async_trait]
pub trait Gauges: Send + Sync {
    /// Publishes the figures.
    async fn publish(&self, gauges: &ServiceGauges);
}
