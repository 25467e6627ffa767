//! The service's figures where no CloudWatch is: in the process's log, and kept for who asks.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use iib_ports::{Figure, Gauges, ServiceGauges};
use tracing::debug;

/// Keeps the latest figures, of those that count something the sum since the start; and writes them to the process's
/// log, for those who ask for details: they come each minute.
#[derive(Debug, Default)]
pub struct KeptGauges {
    figures: Mutex<Option<[Figure; 9]>>,
}

impl KeptGauges {
    /// The figures; none before they were first taken.
    pub fn figures(&self) -> Option<[Figure; 9]> {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gauges for KeptGauges {
    async fn publish(&self, gauges: &ServiceGauges) {
        let mut figures = gauges.figures();
        let mut kept = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        for (new, old) in figures.iter_mut().zip(kept.iter().flatten()) {
            if new.counts {
                new.value = new.value.saturating_add(old.value);
            }
        }
        *kept = Some(figures);
        drop(kept);
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn what_was_done_is_summed_and_how_things_stand_is_not() {
        let kept = KeptGauges::default();
        assert_eq!(kept.figures(), None);
        let gauges = ServiceGauges {
            at: Timestamp::UNIX_EPOCH,
            live: [].into(),
            oldest_live_seconds: 61,
            unreadable: 7,
            resent: 3,
            expired: 0,
            removed_objects: 5,
        };
        kept.publish(&gauges).await;
        kept.publish(&gauges).await;
        let figures = kept.figures().unwrap();
        let value = |name| {
            figures
                .iter()
                .find(|figure| figure.name == name)
                .map(|figure| figure.value)
        };
        assert_eq!(value("OldestLiveSeconds"), Some(61));
        assert_eq!(
            (value("Resent"), value("Expired"), value("RemovedObjects")),
            (Some(6), Some(0), Some(10))
        );
    }
}
