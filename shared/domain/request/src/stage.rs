//! The stage machine: where a request stands inside the service.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::State;

/// Where a request stands. Each stage but the ends is worked on by one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Stored; its turn has not come.
    Queued,
    /// Pull specs become digests; labels, architectures and scope are settled.
    Pin,
    /// The index database is changed and its layer written.
    Mutate,
    /// Images, manifest list and tags are pushed.
    Push,
    /// Finished, well or not.
    Done,
}

/// How the work of a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its results are saved.
    Completed,
    /// They are saved, and say what the request would do; more is not wanted.
    Shown,
    /// The request cannot be fulfilled, or its attempts are used up.
    Rejected,
    /// What the work was based on has changed meanwhile, so it begins anew.
    Rebase,
}

/// What an outcome leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The request goes on to this stage.
    To(Stage),
    /// The request ends in this state.
    Finish(State),
    /// The request had ended before; nothing changes.
    Ended,
}

impl Stage {
    /// What follows: the only place that knows the order of stages (architecture §2.5).
    pub fn next(self, outcome: Outcome) -> Transition {
        match (self, outcome) {
            (Self::Queued, Outcome::Completed) => Transition::To(Self::Pin),
            (Self::Pin, Outcome::Completed) => Transition::To(Self::Mutate),
            (Self::Mutate, Outcome::Completed) => Transition::To(Self::Push),
            (Self::Push, Outcome::Completed) => Transition::Finish(State::Complete),
            (Self::Queued | Self::Pin | Self::Mutate | Self::Push, Outcome::Shown) => {
                Transition::Finish(State::Complete)
            }
            (Self::Queued | Self::Pin | Self::Mutate | Self::Push, Outcome::Rejected) => {
                Transition::Finish(State::Failed)
            }
            (Self::Queued | Self::Pin | Self::Mutate | Self::Push, Outcome::Rebase) => {
                Transition::To(Self::Pin)
            }
            (Self::Done, _) => Transition::Ended,
        }
    }

    /// The name used for queues, functions and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pin => "pin",
            Self::Mutate => "mutate",
            Self::Push => "push",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_finished_request_never_leaves_its_state(
            outcomes in proptest::collection::vec(
                prop_oneof![
                    Just(Outcome::Completed),
                    Just(Outcome::Shown),
                    Just(Outcome::Rejected),
                    Just(Outcome::Rebase)
                ],
                0..12,
            )
        ) {
            let (mut stage, mut finished) = (Stage::Queued, None);
            for outcome in outcomes {
                match stage.next(outcome) {
                    Transition::To(next) => {
                        let onwards = next > stage || outcome == Outcome::Rebase;
                        prop_assert!(finished.is_none() && onwards);
                        stage = next;
                    }
                    Transition::Finish(state) => {
                        prop_assert!(finished.is_none() && state.is_final());
                        finished = Some(state);
                        stage = Stage::Done;
                    }
                    Transition::Ended => prop_assert!(finished.is_some()),
                }
            }
        }
    }
}
