//! When an invocation ends.

use jiff::Timestamp;
use lambda_runtime::Context;

/// Lambda is younger than this (September 2001, in milliseconds), so a smaller number is no time.
const FIRST: i64 = 1_000_000_000_000;

/// When the platform ends the invocation; `None` where it does not say, as in local mode.
///
/// `cargo lambda watch` gives the time that is left in place of the time of the end.
pub fn deadline(context: &Context) -> Option<Timestamp> {
    let millis = i64::try_from(context.deadline).ok();
    millis
        .filter(|millis| *millis >= FIRST)
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_deadlines() {
        let at = |millis| {
            let mut context = Context::default();
            context.deadline = millis;
            deadline(&context)
        };
        let end = "2026-11-25T12:00:00Z".parse::<Timestamp>().unwrap();
        assert_eq!(at(1_795_608_000_000), Some(end));
        for none in [0, 600_000, u64::MAX] {
            assert_eq!(at(none), None, "{none}");
        }
    }
}
