//! Time that passes when the suite says so.

use std::sync::atomic::{AtomicI64, Ordering};

use iib_ports::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};

/// The machine's clock, put forward.
#[derive(Default)]
pub(crate) struct Ahead {
    seconds: AtomicI64,
}

impl Ahead {
    /// Puts it forward further.
    pub(crate) fn pass(&self, time: SignedDuration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.seconds.load(Ordering::SeqCst));
        let now = SystemClock.now();
        now.saturating_add(ahead).unwrap_or(now)
    }
}
