//! Waits between tries.

use std::time::Duration;

/// How long to wait before something is tried again: each time by the same factor longer, up to a limit.
/// It only says how long; waiting, and how often, is the caller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    factor: f64,
    longest: Duration,
    jitter: f64,
}

impl Backoff {
    /// Waits from `first` to `longest` that double.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            factor: 2.0,
            longest,
            jitter: 0.0,
        }
    }

    /// Waits that grow by another factor.
    #[must_use]
    pub const fn growing_by(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// Leaves a part of each wait, from `0.0` to `1.0`, to chance, so that many who were hit by one
    /// outage do not come back together.
    #[must_use]
    pub const fn with_jitter(self, part: f64) -> Self {
        Self {
            jitter: part,
            ..self
        }
    }

    /// The wait after so many tries that failed; with jitter the longest that it can be.
    pub fn after(&self, failed: u32) -> Duration {
        let steps = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.first.as_secs_f64() * self.factor.powi(steps);
        let wait = Duration::try_from_secs_f64(seconds);
        wait.map_or(self.longest, |wait| wait.min(self.longest))
    }

    /// The wait after so many tries that failed, with jitter. `random` lies in `0.0..=1.0`, the greater
    /// the longer.
    pub fn after_at(&self, failed: u32, random: f64) -> Duration {
        let part = 1.0 - self.jitter * (1.0 - random);
        self.after(failed).mul_f64(part.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    const SHORT: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

    fn millis(backoff: Backoff, failed: &[u32]) -> Vec<u128> {
        let wait = |failed: &u32| backoff.after(*failed).as_millis();
        failed.iter().map(wait).collect()
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let counts = [0, 1, 2, 3, 5, 6, 40, u32::MAX];
        assert_eq!(
            millis(SHORT, &counts),
            [200, 200, 400, 800, 3_200, 5_000, 5_000, 5_000]
        );
        assert_eq!(
            millis(SHORT.growing_by(4.0), &counts),
            [200, 200, 800, 3_200, 5_000, 5_000, 5_000, 5_000]
        );
    }

    #[test]
    fn the_first_wait_is_no_longer_than_the_longest() {
        let equal = Backoff::new(Duration::from_secs(7), Duration::from_secs(3));
        assert_eq!(millis(equal, &[1, 9]), [3_000, 3_000]);
        let none = Backoff::new(Duration::ZERO, Duration::from_secs(3));
        assert_eq!(millis(none, &[1, 9]), [0, 0]);
    }

    #[test]
    fn jitter_takes_away_no_more_than_its_part() {
        let half = SHORT.with_jitter(0.5);
        for (backoff, random, wait) in [
            (SHORT, 0.0, 400),
            (half, 0.0, 200),
            (half, 0.5, 300),
            (half, 1.0, 400),
            (SHORT.with_jitter(1.0), 0.0, 0),
            (SHORT.with_jitter(1.0), 0.75, 300),
        ] {
            assert_eq!(backoff.after_at(2, random).as_millis(), wait, "{random}");
        }
    }
}
