//! The port of file-based catalogs.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use iib_fbc::{Catalog, Deprecations, Report, Rules, ServeForm};

use crate::{Class, Classify};

/// File-based catalogs in folders. Synchronous: call it from a thread that may block.
///
/// The caller works on private copies; nobody else may have them open.
pub trait Catalogs: Send + Sync {
    /// Reads the catalog in a folder by these rules, by which it is checked, too.
    ///
    /// # Errors
    /// It is no catalog, or cannot be read at all. What is in it may still have faults:
    /// [`CatalogFiles::check`] tells.
    fn open(&self, folder: &Path, rules: Rules) -> Result<Box<dyn CatalogFiles>, CatalogError>;
}

/// A catalog in a folder that is changed package by package. What is not touched keeps its bytes,
/// and only what is asked for is in memory.
pub trait CatalogFiles: Debug + Send + Sync {
    /// The catalog without its contents ([`iib_fbc::OwnedBlob::outlined`]), as it is now.
    fn outline(&self) -> &Catalog;

    /// Every fault of the catalog by the rules it was opened by, with the files it is in.
    fn check(&self) -> Report;

    /// The rules it was opened by.
    fn rules(&self) -> Rules;

    /// The same catalog in another folder, which has the same files. Nothing is read.
    fn in_folder(&self, folder: &Path) -> Box<dyn CatalogFiles>;

    /// All of a package; nothing if it is not there.
    ///
    /// # Errors
    /// A file cannot be read.
    fn package(&self, name: &str) -> Result<Catalog, CatalogError>;

    /// Takes a package out with all that belongs to it, and says whether it was there.
    ///
    /// # Errors
    /// A file cannot be written.
    fn remove(&mut self, package: &str) -> Result<bool, CatalogError>;

    /// Puts a package, its channels and bundles in place of those that are there. Objects of other
    /// schemas stay.
    ///
    /// # Errors
    /// A file cannot be written, or the package has a name that is no folder's.
    fn replace(&mut self, package: &str, content: &Catalog) -> Result<(), CatalogError>;

    /// Puts deprecations in place of those of their package, into a folder of this name.
    ///
    /// # Errors
    /// As of [`CatalogFiles::replace`].
    fn deprecate(&mut self, folder: &str, of: &Deprecations) -> Result<(), CatalogError>;

    /// Puts the packages of the catalog in another folder in place of those of the same name.
    ///
    /// # Errors
    /// As of [`CatalogFiles::replace`]; the other folder is no catalog.
    fn merge(&mut self, fragment: &Path) -> Result<(), CatalogError>;

    /// Packages of which whoever reads the folder leaves something out, because an ignore file says so.
    ///
    /// # Errors
    /// The folder cannot be listed.
    fn unseen(&self) -> Result<BTreeSet<String>, CatalogError>;

    /// Makes the serve cache of the catalog, which has no faults (spec index-database §14, newest-opm §7), in files in
    /// the folder `store`. If that is the store of the cache that was made of it last, files of packages that did not
    /// change since are not made again; whatever else is in the folder goes. Nothing in a store is written to again, since it may
    /// have other names elsewhere. What it gives are words for people about what the cache does not carry.
    ///
    /// # Errors
    /// Something that no cache can hold.
    fn store_cache(&mut self, store: &Path, form: ServeForm) -> Result<Vec<String>, CatalogError>;

    /// All that is in the folder of the cache that was made last; nothing if none was made.
    fn cache_members(&self) -> Vec<CacheMember>;

    /// The content of [`CacheContent::Digest`], for which all files of the catalog and of its cache are read.
    ///
    /// # Errors
    /// A file cannot be read, or no cache was made.
    fn cache_digest(&self, store: &Path) -> Result<String, CatalogError>;
}

/// A folder or file of a serve cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMember {
    /// Relative to the folder of the cache.
    pub path: String,
    /// Permission bits. They count: whether a cache is accepted depends on them.
    pub mode: u32,
    /// What it is.
    pub content: CacheContent,
}

/// What a member of a serve cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheContent {
    /// A folder.
    Folder,
    /// A file with these bytes.
    Stored(Stretch),
    /// The file with the digest, of [`CACHE_DIGEST_BYTES`].
    Digest,
}

/// Bytes of a digest of a cache: its hexadecimal digits.
pub const CACHE_DIGEST_BYTES: u64 = 16;

/// Bytes in a file of a store. A cache has a file for each bundle in each channel, which would cost more to create
/// than to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The name of the file in the store.
    pub file: Arc<str>,
    /// Where they begin.
    pub at: u64,
    /// Their number.
    pub size: u64,
}

/// Why something could not be done with a catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// What is in its files is no catalog, or nothing that can be served.
    #[error(transparent)]
    Content(Box<dyn Error + Send + Sync>),
    /// The catalog has faults.
    #[error("{0}")]
    Invalid(Report),
    /// The file system failed.
    #[error("the system did not {action} a file of the catalog")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// A file is not what it was; nobody else may have touched it.
    #[error("the copy of the catalog changed while it was worked on")]
    Changed(#[source] Box<dyn Error + Send + Sync>),
}

impl Classify for CatalogError {
    fn class(&self) -> Class {
        match self {
            Self::Content(_) | Self::Invalid(_) => Class::Reject,
            Self::Io { .. } => Class::Retry,
            Self::Changed(_) => Class::Bug,
        }
    }
}
