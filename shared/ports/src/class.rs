//! What to do about an error, and how it is told.

use std::error::Error;

/// The class of an error decides what its stage does (architecture §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It may pass: the message goes back to the queue.
    Retry,
    /// It will not pass: the request fails with a reason the user can act on.
    Reject,
    /// Our fault or our machine's: like `Retry`, and somebody should look.
    Bug,
}

/// An error that knows its class.
pub trait Classify {
    /// The class; decided by an exhaustive match in every implementation.
    fn class(&self) -> Class;
}

/// What never fails has no class.
impl Classify for std::convert::Infallible {
    fn class(&self) -> Class {
        match *self {}
    }
}

/// An error and its causes on one line, for logs: `Display` of an error never repeats its source.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
