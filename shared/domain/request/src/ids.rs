//! Numbers that users see.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of a request, counted up from 1 (spec rest-api §1); a creation that broke off may have left a gap.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(description = "Number of a request.")]
pub struct RequestId(pub u64);

/// Number of a batch, counted apart from requests; a lone request has a batch of its own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
#[schemars(
    description = "Number of a batch. A request that was asked for alone has a batch of its own."
)]
pub struct BatchId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = std::num::ParseIntError;

    /// Digits only: a sign is not part of an id (spec rest-api §1, order of checks).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('+') {
            return "".parse().map(Self);
        }
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_digits_only() {
        assert_eq!("12".parse(), Ok(RequestId(12)));
        for text in ["", "+1", "-1", "1.5", "abc", "99999999999999999999999"] {
            assert!(text.parse::<RequestId>().is_err(), "{text}");
        }
    }
}
