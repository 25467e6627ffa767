//! What keeps a catalog from its Git repository.

use iib_ports::{Class, Classify as _, RepositoryError};

use super::Meaning;

/// The Git repository of an index cannot be used (worker flows §14).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// It, or a commit, is not as it has to be. The text is the reference's.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Others push to the branch all the time.
    #[error(
        "Error pushing changes to git repo {repository}: the branch {branch} was moved by somebody else {times} times while a commit was made upon it"
    )]
    Moves {
        /// The repository.
        repository: String,
        /// The branch.
        branch: String,
        /// How often it was tried.
        times: u32,
    },
    /// Nobody here speaks to repositories, though the settings name some.
    #[error("this process was put together without Git repositories")]
    NotConnected,
}

impl GitError {
    pub(super) fn means(&self) -> Meaning {
        let class = match self {
            Self::Repository(source) => source.class(),
            Self::Moves { .. } => Class::Retry,
            Self::NotConnected => Class::Bug,
        };
        (class, None)
    }
}
