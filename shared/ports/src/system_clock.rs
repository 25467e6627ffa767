//! The machine's clock.

use jiff::Timestamp;

use crate::Clock;

/// The clock of the machine, cut to microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the implementation of the port that the lint points to"
    )]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // The API shows microseconds; a record must not change when it is stored and read.
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_no_part_below_a_microsecond() {
        let now = SystemClock.now();
        assert_eq!(now.as_nanosecond() % 1000, 0);
        assert!(SystemClock.now() >= now);
    }
}
