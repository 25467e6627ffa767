//! Time.

use jiff::Timestamp;

/// The one source of time, so that tests can set it.
pub trait Clock: Send + Sync {
    /// Now, to the microsecond (what the API shows).
    fn now(&self) -> Timestamp;
}
