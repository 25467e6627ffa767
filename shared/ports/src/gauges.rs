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

/// Takes the figures to where they are looked at. Failing to is never a reason to fail what they
/// are about, so there is no error.
#[async_trait]
pub trait Gauges: Send + Sync {
    /// Publishes the figures.
    async fn publish(&self, gauges: &ServiceGauges);
}
