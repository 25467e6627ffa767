//! States that users see.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::Rule;
use crate::{Refusal, Unknown};

/// The state of a request as the API shows it (spec rest-api §6).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(description = "The state of a request.")]
pub enum State {
    /// Waiting or being worked on.
    InProgress,
    /// Done; final.
    Complete,
    /// Refused or given up; final.
    Failed,
}

impl State {
    /// All states, in the order in which the API lists them.
    pub const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::InProgress];

    /// The name the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }

    /// Reads the name that the API uses (spec rest-api §7).
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            let text =
                format!("{text} is not a valid build request state. Valid states are: {names}");
            Refusal::new(Rule::Choice, "state", text)
        })
    }

    /// Nothing follows this state.
    pub fn is_final(self) -> bool {
        match self {
            Self::InProgress => false,
            Self::Complete | Self::Failed => true,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of a request's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// The state.
    pub state: State,
    /// What is going on, or why it ended, for the user.
    pub state_reason: String,
    /// When it began.
    pub updated: Timestamp,
    /// The version of the record that it came with. Older versions of the service did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}
