//! When an invocation ends.

use jiff::Timestamp;
use lambda_runtime::Context;

/// When the platform ends the invocation; `None` where it does not say, as in local mode.
pub fn deadline(context: &Context) -> Option<Timestamp> {
    let millis = i64::try_from(context.deadline).ok();
    millis
        .filter(|millis| *millis > 0)
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
}
