//! What is wrong with an index, or with what shall be done to it.

use iib_ports::{Class, Classify as _, IndexDbError};
use iib_request::ScopeError;

use super::Meaning;

/// An index, or what shall be done to it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The index says nothing usable about its scope.
    #[error("the index {image} cannot be used")]
    ScopeLabel {
        /// The index.
        image: String,
        /// What is wrong.
        source: ScopeError,
    },
    /// An index without a database, which this version needs.
    #[error(
        "this version of the service does not support file-based catalogs yet, and {0} has one: name an index with a database"
    )]
    FileBased(String),
    /// A database is asked for, and the index has a catalog (worker flows §10).
    #[error("Cannot create SQLite index image from File-Based Catalog index image")]
    DatabaseOfCatalog,
    /// `from_index` is no index image.
    #[error(
        "Index image doesn't have the label specifying its database location: {0} has no label `operators.operatorframework.io.index.database.v1`; name an index image with a database"
    )]
    NoDatabaseLabel(String),
    /// The label names a path that cannot be in an image.
    #[error(
        "the database label of {image} is `{path}`, which is not an absolute path to a file: fix the image's label"
    )]
    DatabasePath {
        /// The image.
        image: String,
        /// The label's value.
        path: String,
    },
    /// None of the layers holds the database.
    #[error(
        "the index image {image} has no file {path}, although its label says so: push the index image again"
    )]
    NoDatabase {
        /// The image.
        image: String,
        /// The path the label names.
        path: String,
    },
    /// None of the layers holds the catalog.
    #[error(
        "the index image {image} has no folder {path}, although its label says so: push the index image again"
    )]
    NoCatalog {
        /// The image.
        image: String,
        /// The path the label names.
        path: String,
    },
    /// The database of an index cannot be used.
    #[error("the index database of {image} cannot be used")]
    Database {
        /// The index image.
        image: String,
        /// What is wrong.
        source: IndexDbError,
    },
    /// The bundles were refused, or the database cannot be used.
    #[error("Failed to add the bundles to the index image")]
    Add(#[source] IndexDbError),
    /// A package that is to go is not there. It is the reference's text, with which clients compare; the log says
    /// which package it is.
    #[error("Error deleting packages from database")]
    Remove,
    /// A tag names another image than the one that was changed.
    #[error(
        "{image} was {read} when it was read and is {now} now: somebody else moved the tag, so it is left alone; run the command again"
    )]
    Moved {
        /// The tag.
        image: String,
        /// Digest of what was read.
        read: String,
        /// Digest of what it names now.
        now: String,
    },
}

impl IndexError {
    pub(super) fn means(&self) -> Meaning {
        match self {
            Self::ScopeLabel { .. } => (Class::Reject, Some("fix the image's label")),
            Self::FileBased(_)
            | Self::DatabaseOfCatalog
            | Self::NoDatabaseLabel(_)
            | Self::DatabasePath { .. }
            | Self::NoDatabase { .. }
            | Self::NoCatalog { .. }
            | Self::Remove => (Class::Reject, None),
            Self::Database { source, .. } | Self::Add(source) => (source.class(), None),
            Self::Moved { .. } => (Class::Retry, None),
        }
    }
}
