//! Changes to a request, in the form in which the reference's workers send them.

use serde::Serialize;

use crate::{Facts, State};

/// One change of a request: facts and, mostly, a new state (spec rest-api §8). It serialises as the
/// body of the reference's PATCH call, what is not set left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Update {
    /// New state and why, or what is going on.
    #[serde(flatten)]
    pub state: Option<NewState>,
    /// What became known.
    #[serde(flatten)]
    pub facts: Facts,
}

/// A state with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewState {
    /// The state.
    pub state: State,
    /// Why, or what is going on.
    pub state_reason: String,
}

impl Update {
    /// A change of state alone.
    pub fn state(state: State, reason: impl Into<String>) -> Self {
        Self {
            state: Some(NewState {
                state,
                state_reason: reason.into(),
            }),
            facts: Facts::default(),
        }
    }

    /// The request goes on, doing this.
    pub fn doing(reason: impl Into<String>) -> Self {
        Self::state(State::InProgress, reason)
    }

    /// The same with facts.
    #[must_use]
    pub fn with(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }
}
