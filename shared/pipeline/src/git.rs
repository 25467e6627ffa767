//! The Git repository of an index that is overwritten (worker flows §14).
//!
//! What the request changed is committed and pushed before the index's tag moves, and taken back if the tag does not
//! move after all ([ADR 23](../../../docs/adr/0023-catalogs-in-git.md)). A commit is noted in the record before it is pushed, and so is
//! the one that takes it back: whoever comes after a crash looks whether the branch has it.

mod commit;
mod revert;

pub(crate) use commit::commit;
pub(crate) use revert::{settle, settle_job};

use iib_ports::{Class, Classify as _, RepositoryError, Sent};

use crate::{GitError, StageError};

/// How often a commit is made anew because the branch has moved, or an answer was lost.
const ROUNDS: u32 = 5;

/// Rounds of fetching a branch, committing and pushing, until one counts.
#[derive(Default)]
struct Rounds {
    made: u32,
    last: Option<RepositoryError>,
}

impl Rounds {
    /// Whether there may be another one. A push that failed may have been taken, and the answer lost: that is seen by looking
    /// again.
    ///
    /// # Errors
    /// What no other round makes good.
    fn go_on(&mut self, sent: Result<Sent, StageError>) -> Result<bool, StageError> {
        self.made += 1;
        self.last =
            match sent {
                Ok(Sent::Pushed) => return Ok(false),
                Ok(Sent::Moved) => None,
                Err(StageError::Git(GitError::Repository(
                    error @ RepositoryError::Push { .. },
                ))) if error.class() == Class::Retry => Some(error),
                Err(error) => return Err(error),
            };
        Ok(true)
    }

    fn are_left(&self) -> bool {
        self.made < ROUNDS
    }

    /// Why none counts.
    fn failure(self, repository: String, branch: String) -> StageError {
        let failure = match self.last {
            Some(error) => GitError::Repository(error),
            None => GitError::Moves {
                repository,
                branch,
                times: ROUNDS,
            },
        };
        failure.into()
    }
}
