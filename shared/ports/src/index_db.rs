//! The index database port.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use iib_bundle::{Bundle, BundleError, Typed};
use iib_catalog::{AddOptions, CatalogShape, Refusals, UnknownMode};
use iib_fbc::{BundleForm, Catalog, CatalogDiff, Picture};

use crate::{Class, Classify};

/// What is done to index databases. Synchronous: call it from a thread that may block.
///
/// The caller works on a private copy of the file; nobody else may have it open.
pub trait IndexDb: Send + Sync {
    /// The bundles the index serves: those with an entry in a channel that are not deprecated, as
    /// `opm render` lists them (spec index-database §11.2, §11.3). Sorted by package and name,
    /// each once.
    ///
    /// # Errors
    /// The file is no index database this implementation can read, or cannot be read at all.
    fn bundles(&self, db: &Path) -> Result<Vec<PresentBundle>, IndexDbError>;

    /// Adds bundles, all or nothing (spec index-database §5). An absent or empty file is an empty
    /// index. An image given twice counts once; the order of the bundles plays no part.
    ///
    /// # Errors
    /// `Refused` when the bundles do not fit the index; see [`IndexDbError`] for the others. The
    /// file's content is then what it was.
    fn add(
        &self,
        db: &Path,
        bundles: &[Bundle],
        options: &AddOptions,
    ) -> Result<AddReport, IndexDbError>;

    /// Removes packages with their bundles, and what nothing names afterwards (spec index-database §8). Says what
    /// changed.
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` for a package that is not there.
    fn remove_packages(&self, db: &Path, packages: &[String]) -> Result<CatalogDiff, IndexDbError>;

    /// Removes every package with its bundles, and what nothing names afterwards (spec worker flows
    /// §10). Says what changed.
    ///
    /// # Errors
    /// As [`IndexDb::add`].
    fn remove_all(&self, db: &Path) -> Result<CatalogDiff, IndexDbError>;

    /// Deprecates the bundles with these images, in their order, and cuts off what is below them; a
    /// package whose heads are all among them goes as a whole (spec index-database §9, §16). Images that
    /// no bundle in a channel has are passed over. Says what changed.
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` where a default channel would lose its head.
    fn deprecate(&self, db: &Path, images: &[String]) -> Result<CatalogDiff, IndexDbError>;

    /// Adds a property to the bundles with these images, whatever it has already (spec
    /// index-database §10).
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` for images that no bundle has.
    fn add_property(
        &self,
        db: &Path,
        images: &[String],
        property: &Typed,
    ) -> Result<(), IndexDbError>;

    /// These packages as a file-based catalog has them (spec index-database §11), their bundles in this
    /// form, sorted by name, no
    /// more than one in memory; those the index does not have are left out. Properties and
    /// dependencies that no catalog can hold are left out, too, and told, for people.
    ///
    /// # Errors
    /// As [`IndexDb::shape`]; [`IndexDbError::NoCatalog`].
    fn export(
        &self,
        db: &Path,
        packages: &BTreeSet<String>,
        form: BundleForm,
        take: &mut dyn FnMut(&str, Catalog),
    ) -> Result<Vec<String>, IndexDbError>;

    /// The catalog in outline: default channels, channel heads, bundle names.
    ///
    /// # Errors
    /// The file is no index database this implementation can read, or cannot be read at all.
    fn shape(&self, db: &Path) -> Result<CatalogShape, IndexDbError>;

    /// The upgrade graphs of these packages, sorted by name; those the index does not have are
    /// left out. Deprecated bundles are in them, which a catalog of the index would not show.
    /// Reads the graphs of these packages and no contents of bundles.
    ///
    /// # Errors
    /// As [`IndexDb::shape`].
    fn pictures(
        &self,
        db: &Path,
        packages: &BTreeSet<String>,
    ) -> Result<Vec<Picture>, IndexDbError>;
}

/// A bundle an index serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresentBundle {
    /// The package it is served in.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Its image reference as stored.
    pub image: String,
    /// Its version as stored; may be empty.
    pub version: String,
}

/// What an add did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddReport {
    /// Names of the added bundles, in the order they were handled.
    pub added: Vec<String>,
    /// What changed in the packages that got a bundle; of what is in bundles, only of those that
    /// were overwritten.
    pub changes: CatalogDiff,
}

/// Why an operation on an index database failed.
///
/// No message shows the path: it is that of a private copy, and users read these messages. Who
/// knows which image the database is of, names that.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexDbError {
    /// The bundles do not fit the index; the message is the reference's.
    #[error(transparent)]
    Refused(#[from] Refusals),
    /// What is in it is no catalog: every reason.
    #[error("{0}")]
    NoCatalog(String),
    /// A mode that does not exist; the message is the reference's.
    #[error(transparent)]
    UnknownMode(#[from] UnknownMode),
    /// The file is something else.
    #[error("the file is not an index database: name another image, or build the index again")]
    NotAnIndex {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "the index database is damaged or altered: push the index again, or use another version of it"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the database engine found.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file was written by a newer tool.
    #[error(
        "the index database has schema {found}; schemas up to {known} are understood: use a newer version of this service, or an index of an older schema"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is understood.
        known: i64,
    },
    /// The file system failed.
    #[error("the system did not {action} the file of the index database")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The disk is full. Other requests may fill it, so it is tried again.
    #[error(
        "the disk the service works on is full: whoever runs the service has to give it two and a half times the size of the largest index database"
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database engine failed for want of memory or access.
    #[error("the database engine lacks memory or access to work on the index database")]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database engine did not take a statement of ours.
    #[error("unexpected failure of the database engine on the index database")]
    Engine {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl IndexDbError {
    /// Exit status of the reference's command for this failure (spec index-database §15).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(refusals) => refusals.exit_code(),
            Self::NoCatalog(_)
            | Self::UnknownMode(_)
            | Self::NotAnIndex { .. }
            | Self::Corrupt { .. }
            | Self::NewerSchema { .. }
            | Self::Io { .. }
            | Self::NoSpace { .. }
            | Self::Unavailable { .. }
            | Self::Engine { .. } => 1,
        }
    }
}

impl Classify for IndexDbError {
    fn class(&self) -> Class {
        match self {
            Self::Refused(_)
            | Self::NoCatalog(_)
            | Self::UnknownMode(_)
            | Self::NotAnIndex { .. }
            | Self::Corrupt { .. }
            | Self::NewerSchema { .. } => Class::Reject,
            Self::Io { .. } | Self::NoSpace { .. } | Self::Unavailable { .. } => Class::Retry,
            Self::Engine { .. } => Class::Bug,
        }
    }
}

impl Classify for BundleError {
    /// Files of a bundle image do not change, so every fault in them is final.
    fn class(&self) -> Class {
        Class::Reject
    }
}
