//! The port of Git repositories that have what indexes have.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Class, Classify};

/// Git repositories with catalogs (worker flows §14).
#[async_trait]
pub trait CatalogRepositories: Send + Sync {
    /// Fetches the head of a branch, with what it takes to make a commit upon it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    async fn fetch(
        &self,
        repository: &str,
        branch: &str,
    ) -> Result<Box<dyn CatalogBranch>, RepositoryError>;
}

/// A branch as it was when it was fetched. Commits are made of it here and sent by themselves, so that they can be
/// noted in between. The same commit made twice upon the same head has the same id.
#[async_trait]
pub trait CatalogBranch: Send {
    /// Whether a commit is the head, or was before it; looked for as far back as commits are fetched at most.
    ///
    /// # Errors
    /// [`RepositoryError`].
    async fn holds(&mut self, commit: &str) -> Result<bool, RepositoryError>;

    /// Makes a commit upon the head; none if all is there as it is to be.
    ///
    /// # Errors
    /// [`RepositoryError::Local`].
    async fn commit(&mut self, change: &CatalogUpdate) -> Result<Made, RepositoryError>;

    /// Makes a commit upon the head that puts back what `commit` changed, as far as it is still as that left it.
    /// The branch has to hold it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    async fn revert(
        &mut self,
        commit: &str,
        note: &CommitNote,
    ) -> Result<Reverted, RepositoryError>;

    /// Makes a commit that was made here the head of the branch, unless the branch has moved.
    ///
    /// # Errors
    /// [`RepositoryError`]; where it may pass, nobody knows whether the branch has the commit.
    async fn push(&mut self, commit: &str) -> Result<Sent, RepositoryError>;
}

/// What a commit says besides what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitNote {
    /// Its message.
    pub message: String,
    /// Its time, as author's and as committer's.
    pub at: Timestamp,
}

/// What is to be changed in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogUpdate {
    /// Folders that go, by their paths in the repository.
    pub removed: BTreeSet<String>,
    /// Folders that are put over those in the repository, likewise. Files of a catalog that are not among theirs
    /// go; whatever else lies there stays.
    pub written: BTreeSet<String>,
    /// Where they are on this machine, by the same paths.
    pub folder: PathBuf,
    /// What the commit says.
    pub note: CommitNote,
}

/// A commit that was made, or that there is nothing to commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// Its id.
    pub commit: Option<String>,
    /// Folders that were to go and are not there.
    pub missing: Vec<String>,
}

/// A commit that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reverted {
    /// The commit that does it; none if nothing is as the other one left it.
    pub commit: Option<String>,
    /// Files that somebody has changed since, which are left as they are.
    pub left: Vec<String>,
}

/// What became of a commit that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is the head of the branch.
    Pushed,
    /// The branch is not where it was when it was fetched, and does not have the commit.
    Moved,
}

/// Something with a repository went wrong. The texts are the reference's, as far as it has one; none has anything of a
/// token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The branch is not there.
    #[error("Remote branch '{branch}' not found for repo {repository}")]
    NoBranch {
        /// The repository.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// There is no login for it.
    #[error(transparent)]
    Token(#[from] iib_request::GitTokenError),
    /// What has the logins cannot be read.
    #[error("the tokens of Git repositories cannot be read")]
    Tokens(#[source] Box<dyn Error + Send + Sync>),
    /// It could not be read.
    #[error("Error cloning remote repository for {repository}")]
    Fetch {
        /// The repository.
        repository: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
        /// Whether it may pass.
        class: Class,
    },
    /// A commit could not be made. It is all on this machine.
    #[error("Error committing changes")]
    Local(#[source] Box<dyn Error + Send + Sync>),
    /// A commit could not be sent, or was refused.
    #[error("Error pushing changes to git repo {repository}")]
    Push {
        /// The repository.
        repository: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
        /// Whether it may pass.
        class: Class,
    },
}

impl Classify for RepositoryError {
    fn class(&self) -> Class {
        match self {
            Self::NoBranch { .. } | Self::Token(_) => Class::Reject,
            Self::Tokens(_) | Self::Local(_) => Class::Retry,
            Self::Fetch { class, .. } | Self::Push { class, .. } => *class,
        }
    }
}
