//! Stopping a request. Ours.

use jiff::Timestamp;

use crate::{Record, Stage, State};

/// A request cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCancelled {
    /// It has ended by itself.
    #[error("it is {0} already")]
    Ended(State),
    /// Its result is being put where others see it.
    #[error(
        "its result is being pushed, or was before it began anew: wait for its end, and roll it back if it overwrote an index"
    )]
    Pushed,
}

impl Record {
    /// Ends a request that goes on, because somebody wants no more of it. Whoever works on it stops at the next write,
    /// without which nothing is made that others see. One that was cancelled stays so.
    ///
    /// # Errors
    /// [`NotCancelled`], and nothing is changed.
    pub fn cancel(&mut self, by: Option<&str>, now: Timestamp) -> Result<(), NotCancelled> {
        if self.is_cancelled {
            return Ok(());
        }
        if self.state().is_final() || self.work.stage == Stage::Done {
            return Err(NotCancelled::Ended(self.state()));
        }
        if self.is_being_pushed() {
            return Err(NotCancelled::Pushed);
        }
        self.is_cancelled = true;
        self.fail(
            match by {
                Some(user) => format!("The request was cancelled by {user}"),
                None => "The request was cancelled".to_owned(),
            },
            now,
        );
        Ok(())
    }

    /// Whether push has noted what it is about to move, or has moved it, in this round of work or in one before.
    fn is_being_pushed(&self) -> bool {
        self.tags_before.is_some()
            || !self.results.is_empty()
            || self.overwritten.is_some()
            || self.committed.as_ref().is_some_and(|made| !made.is_settled)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use iib_oci::Digest;

    use super::*;
    use crate::{AddRequest, BatchId, Outcome, RequestId, Update};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A request that waits for this stage.
    fn at(stage: Stage) -> Record {
        let request = AddRequest::default().into();
        let mut record = Record::new(RequestId(1), BatchId(1), None, request, NOW);
        while record.work.stage != stage {
            record.conclude(Outcome::Completed);
        }
        record
    }

    #[test]
    fn it_ends_wherever_it_stands_before_anything_is_moved() {
        for stage in [Stage::Queued, Stage::Pin, Stage::Mutate, Stage::Push] {
            let mut record = at(stage);
            record.cancel(Some("ann"), NOW).unwrap();
            assert_eq!(record.work.stage, Stage::Done, "{stage}");
            assert_eq!(record.state(), State::Failed);
            assert_eq!(record.state_reason(), "The request was cancelled by ann");
            let once = record.clone();
            record.cancel(None, NOW).unwrap();
            assert_eq!(record, once);
        }
    }

    #[test]
    fn what_has_ended_or_is_being_pushed_stays() {
        let mut complete = at(Stage::Push);
        complete.apply(&Update::state(State::Complete, "done"), NOW);
        complete.conclude(Outcome::Completed);
        let refused = complete.cancel(None, NOW);
        assert_eq!(refused, Err(NotCancelled::Ended(State::Complete)));
        for noted in [
            Record {
                tags_before: Some(BTreeMap::new()),
                ..at(Stage::Push)
            },
            Record {
                results: vec![Digest::of(b"")],
                ..at(Stage::Push)
            },
            // It began anew.
            Record {
                results: vec![Digest::of(b"")],
                ..at(Stage::Mutate)
            },
        ] {
            let mut record = noted.clone();
            assert_eq!(record.cancel(None, NOW), Err(NotCancelled::Pushed));
            assert_eq!(record, noted);
        }
    }
}
