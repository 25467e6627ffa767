//! Telling the service's figures to the process's log.

use async_trait::async_trait;
use iib_ports::{Gauges, ServiceGauges};
use tracing::debug;

/// Writes the figures to the process's log, for those who ask for details: they come each minute.
#[derive(Debug, Clone, Copy)]
pub struct LogGauges;

#[async_trait]
impl Gauges for LogGauges {
    async fn publish(&self, gauges: &ServiceGauges) {
        debug!(
            live = gauges.live.values().sum::<u64>(),
            oldest_live_s = gauges.oldest_live_seconds,
            unreadable = gauges.unreadable,
            resent = gauges.resent,
            expired = gauges.expired,
            removed_objects = gauges.removed_objects,
            "the service's figures"
        );
    }
}
