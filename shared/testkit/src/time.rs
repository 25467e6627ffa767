//! Clocks for tests.

use std::sync::{Mutex, PoisonError};

use iib_ports::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
        }
    }

    /// Moves the clock.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

impl Default for ManualClock {
    /// A clock that shows a time in 2023.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_700_000_000, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that goes with tokio's timer. In a test with `start_paused` both jump to the next
/// deadline as soon as nothing else is to be done, so that waiting costs no time.
#[derive(Debug)]
pub struct TimerClock {
    begun: Instant,
}

impl TimerClock {
    /// A clock that begins now, in 2023; to be made inside the runtime.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
        }
    }
}

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.begun.elapsed()).unwrap_or(SignedDuration::MAX);
        let start = Timestamp::constant(1_700_000_000, 0);
        start.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }
}
