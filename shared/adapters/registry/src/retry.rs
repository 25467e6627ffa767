//! When to try again, and how long to wait before.

use std::time::Duration;

use iib_ports::{Backoff, RegistryError};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use crate::Fault;
use crate::target::Target;

/// What became of one try.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may pass.
    Passing {
        fault: Fault,
        /// What the registry asked for with `Retry-After`.
        after: Option<Duration>,
    },
    /// It will not.
    Final(RegistryError),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Final(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Passing { fault, after: None }
    }
}

impl Failure {
    /// A fault that passes, or one that no other try will change.
    pub(crate) fn of_sending(target: &Target, fault: Fault) -> Self {
        if !fault.is_lasting() {
            return fault.into();
        }
        Self::Final(RegistryError::Unreachable {
            registry: target.registry().to_owned(),
            what: target.what.clone(),
            source: Box::new(fault),
        })
    }
}

/// How often, and how long between.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    pub(crate) attempts: u32,
    /// With full jitter, so that many callers hit by one outage do not come back together.
    pub(crate) backoff: Backoff,
    pub(crate) retry_after_cap: Duration,
    /// After how long no other try is made.
    pub(crate) patience: Duration,
}

/// The tries of one call so far.
#[derive(Debug)]
pub(crate) struct Tries {
    pub(crate) made: u32,
    since: Instant,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            made: 0,
            since: Instant::now(),
        }
    }

    /// The call goes on: what follows has the whole time again.
    pub(crate) fn progressed(&mut self) {
        self.since = Instant::now();
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl RetryPolicy {
    /// Whether another try is made after so many that took so long, with that wait before it.
    pub(crate) fn goes_on(&self, made: u32, elapsed: Duration, wait: Duration) -> bool {
        made < self.attempts && elapsed + wait < self.patience
    }

    /// The wait after `failed` tries. Never less than what the registry asked for, as far as the
    /// cap allows. `random` lies in `0.0..1.0`.
    pub(crate) fn wait(&self, failed: u32, asked: Option<Duration>, random: f64) -> Duration {
        let own = self.backoff.after_at(failed, random);
        let asked = asked.unwrap_or_default().min(self.retry_after_cap);
        own.max(asked)
    }
}

/// Statuses that ask to try again: timeout, throttling, and everything the server blames on
/// itself, except that it does not know the method.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        _ => status.is_server_error(),
    }
}

/// `Retry-After` in seconds. Its other form, a date, is not used: it would need the registry's
/// clock and ours to agree, and our own backoff does without.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 5,
        backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).with_jitter(1.0),
        retry_after_cap: Duration::from_secs(30),
        patience: Duration::from_secs(60),
    };

    #[test]
    fn no_other_try_is_made_after_the_last_or_beyond_the_patience() {
        let seconds = Duration::from_secs;
        for (made, elapsed, wait, goes_on) in [
            (4, 0, 1, true),
            (4, 58, 1, true),
            (4, 59, 1, false),
            (1, 70, 0, false),
            (5, 0, 0, false),
        ] {
            let found = POLICY.goes_on(made, seconds(elapsed), seconds(wait));
            assert_eq!(found, goes_on, "{made} {elapsed} {wait}");
        }
    }

    #[test]
    fn waits_grow_up_to_the_cap_and_heed_the_registry_within_bounds() {
        let ms = Duration::from_millis;
        for (failed, asked, random, wait) in [
            (1, None, 0.0, ms(0)),
            (1, None, 0.5, ms(100)),
            (2, None, 0.5, ms(200)),
            (4, None, 1.0, ms(1_600)),
            (9, None, 1.0, ms(5_000)),
            (40, None, 1.0, ms(5_000)),
            (1, Some(ms(2_000)), 0.5, ms(2_000)),
            (9, Some(ms(1)), 1.0, ms(5_000)),
            (1, Some(ms(3_600_000)), 0.0, ms(30_000)),
        ] {
            assert_eq!(
                POLICY.wait(failed, asked, random),
                wait,
                "{failed} {asked:?}"
            );
        }
    }

    #[test]
    fn only_timeouts_throttling_and_server_faults_pass() {
        for (status, passing) in [
            (200, false),
            (301, false),
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (429, true),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_passing(status), passing, "{status}");
        }
    }

    #[test]
    fn a_retry_after_that_is_no_number_is_left_out() {
        for (value, wait) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("-1", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("99999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(
                retry_after(&headers),
                wait.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
