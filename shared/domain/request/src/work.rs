//! Where the work on a request stands, and whose it is.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Stage, Unknown};

/// Names an attempt at a stage: whoever holds it may write the request's record.
///
/// It is made anew for each claim, and says nothing about who that was. Its text is part of the
/// names of artifacts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// A token of this text, which no other claim may ever have.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to work on a request, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whose it is.
    pub token: LeaseToken,
    /// Until when nobody else may begin.
    pub until: Timestamp,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A message that the sweep sent because a request seemed to wait without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nudged {
    /// When.
    pub at: Timestamp,
    /// How many there were by then.
    #[serde(default)]
    pub times: u32,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Where the work on a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The stage it is in, or waits for.
    pub stage: Stage,
    /// How often the present stage was begun, stops of the service not counted.
    #[serde(default)]
    pub attempts: u32,
    /// How often the service stopped in the middle of the present stage.
    #[serde(default)]
    pub interruptions: u32,
    /// How often a stage was begun again, of all stages together: what broke off may have left
    /// something behind.
    #[serde(default)]
    pub repeats: u32,
    /// How often all of it was begun anew because its index had changed meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rebases: u32,
    /// How many states the history had when the present round of work began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round_from: usize,
    /// Since when, or from when on, a message of it has to be on its way while nobody works on it: when
    /// it was handed on to its stage, or when an attempt that failed is to be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// The last message that the sweep sent for it, since somebody last worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nudged: Option<Nudged>,
    /// Who works on it; `None` when nobody does.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Work {
    /// Of a request whose turn has not come.
    pub(crate) fn queued() -> Self {
        Self {
            stage: Stage::Queued,
            attempts: 0,
            interruptions: 0,
            repeats: 0,
            rebases: 0,
            round_from: 0,
            due: None,
            nudged: None,
            lease: None,
            unknown: Unknown::default(),
        }
    }

    /// Notes a message of the sweep.
    pub fn nudge(&mut self, at: Timestamp) {
        let before = self.nudged.take();
        self.nudged = Some(Nudged {
            at,
            times: before.map_or(0, |nudged| nudged.times).saturating_add(1),
            unknown: Unknown::default(),
        });
    }

    /// Until when somebody works on it, if somebody does.
    pub fn leased_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.lease.as_ref().map(|lease| lease.until);
        until.filter(|until| *until > now)
    }

    /// Whether it is this attempt that works on it.
    pub fn is_held_by(&self, token: &LeaseToken) -> bool {
        self.lease
            .as_ref()
            .is_some_and(|lease| lease.token == *token)
    }
}

/// Of what is written only once it counts something.
fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}
