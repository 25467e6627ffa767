//! What is wrong with an index, or with what shall be done to it.

use std::fmt;

use iib_catalog::{InvalidPlatform, NoDigest, NoLatest, nearest_package};
use iib_fbc::{DeprecationsFault, FilterFault, Report};
use iib_ports::{CatalogError, Class, Classify as _, IndexDbError};
use iib_request::ScopeError;

use super::Meaning;

/// A package that is not there. As a text it says so: `no package NAME: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPackage {
    /// Its name.
    pub package: String,
    /// The name there is that is most like it, if one is like it at all.
    pub near: Option<String>,
}

impl NoPackage {
    /// That a package is not among these.
    pub(crate) fn among<'n>(known: impl IntoIterator<Item = &'n String>, package: &str) -> Self {
        let known = known.into_iter().map(String::as_str);
        Self {
            package: package.to_owned(),
            near: nearest_package(package, known).map(str::to_owned),
        }
    }
}

impl fmt::Display for NoPackage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, near } = self;
        match near {
            Some(near) => write!(out, "no package {package}: is {near} meant?"),
            None => write!(out, "no package {package}: check its spelling"),
        }
    }
}

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
    /// A database is worked on, and the index has a catalog.
    #[error("{0} has a file-based catalog: name an index with a database, or use `iib catalog`")]
    FileBased(String),
    /// The same the other way round, for commands.
    #[error(
        "{0} has a database and no file-based catalog: use `iib index`, or write its catalog with `iib index migrate`"
    )]
    DatabaseBased(String),
    /// A package that a command names is not there.
    #[error("{image} has {missing}")]
    NoPackage {
        /// The index, or where the catalog is.
        image: String,
        /// The package.
        missing: NoPackage,
    },
    /// The catalog cannot be filtered so.
    #[error(transparent)]
    Filter(FilterFault),
    /// Deprecations that a command brings do not fit.
    #[error("the deprecations do not fit {image}")]
    UnfitDeprecations {
        /// The index, or where the catalog is.
        image: String,
        /// Why not.
        source: DeprecationsFault,
    },
    /// The image is served with a cache at a place where none is written.
    #[error(
        "{image} is run with its serve cache in {cache}, and a new one is written to /tmp/cache: name an image to build on with --binary-image"
    )]
    CacheElsewhere {
        /// The index.
        image: String,
        /// The folder.
        cache: String,
    },
    /// A catalog is worked on, and the index has none.
    #[error("Index image {0} does not contain file-based catalog.")]
    NotACatalog(String),
    /// A fragment of a catalog has no package.
    #[error("No operator packages in fbc_fragment {0}")]
    EmptyFragment(String),
    /// A fragment of a catalog cannot be used.
    #[error("the fbc_fragment {image} cannot be used")]
    Fragment {
        /// Its image.
        image: String,
        /// What is wrong.
        source: CatalogError,
    },
    /// Deprecations for a package that the database behind the catalog does not have.
    #[error("Cannot add deprecations for {}, It is either not present in index or opted in fbc", .0.package)]
    NotInDatabase(NoPackage),
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
        "the {what} label of {image} is `{path}`, which is no path in an image: fix the image's label"
    )]
    LabelPath {
        /// The image.
        image: String,
        /// What is to be there.
        what: &'static str,
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
    /// The catalog of an index cannot be used.
    #[error("the catalog of {image} cannot be used")]
    Catalog {
        /// The index image.
        image: String,
        /// What is wrong.
        source: CatalogError,
    },
    /// The database behind a catalog cannot be used.
    #[error("the database behind the catalog of {image} cannot be used")]
    Hidden {
        /// The index image.
        image: String,
        /// What is wrong.
        source: IndexDbError,
    },
    /// What the database behind a catalog has of a package is no catalog.
    #[error("Failed to migrate index.db to file-based catalog")]
    Migrate(#[source] IndexDbError),
    /// Bundles for packages that came in as fragments, which what they bring would replace.
    #[error(
        "the index has the packages {0} as file-based catalogs and not as bundles, which adding bundles would replace: send their new catalog with fbc-operations, or take them out with rm first"
    )]
    OptedIn(String),
    /// With the change the catalog would be none.
    #[error("Failed to validate the content from config_dir configs: {0}")]
    InvalidCatalog(Report),
    /// Some of what was put into a catalog is left out by whoever reads it.
    #[error(
        "the packages {0} are not served as they were put into the catalog: an .indexignore file of the catalog leaves some of their files out"
    )]
    Unseen(String),
    /// A fragment has objects of packages that it does not have.
    #[error(
        "the fbc_fragment {image} has objects of the packages {packages} and not the packages themselves: a fragment has all of its packages"
    )]
    Stray {
        /// The fragment.
        image: String,
        /// The packages.
        packages: String,
    },
    /// A package of a fragment whose name no file of an image can have.
    #[error(
        "the fbc_fragment {image} has a package {package:?}, whose name cannot be that of a folder: give it another"
    )]
    PackageName {
        /// The fragment.
        image: String,
        /// The name.
        package: String,
    },
    /// A package that two fragments have, where the settings refuse that.
    #[error(
        "the package {package} is in the fbc_fragment {earlier} and in {later}, and this service takes it from one only: send the other without it, or in a request of its own"
    )]
    InTwoFragments {
        /// The package.
        package: String,
        /// A fragment.
        earlier: String,
        /// One behind it.
        later: String,
    },
    /// What the catalog has cannot be served.
    #[error("Failed to generate cache for file-based catalog")]
    Cache(#[source] CatalogError),
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
    /// The index that is to be overwritten changed again and again. The first sentences are the reference's.
    #[error(
        "The supplied from_index image changed during the IIB request. Please resubmit the request. {index} was {before} when the work began for the last time and is {now} now; all of it was done anew {times} times"
    )]
    ChangedAgain {
        /// The index.
        index: String,
        /// Its digest when the work began.
        before: String,
        /// What it names now.
        now: String,
        /// How often all was done anew.
        times: u32,
    },
    /// A merge that would need a catalog to become a database (worker flows §9).
    #[error("Cannot merge source File-Based Catalog index image into target SQLite index image.")]
    CatalogIntoDatabase,
    /// A merge of a catalog without the database that a merge works on.
    #[error(
        "{0} has no database behind its file-based catalog, which is what a merge works on: put its packages into the other index with fbc-operations"
    )]
    NothingBehind(String),
    /// A bundle of an index that is merged has no digest.
    #[error(transparent)]
    NoDigest(NoDigest),
    /// Bundles that cannot be reduced to the latest of each package.
    #[error(transparent)]
    NoLatest(NoLatest),
    /// The version of an index cannot be read.
    #[error(transparent)]
    Platform(InvalidPlatform),
    /// Bundles that cannot be deprecated.
    #[error("Failed to deprecate the bundles")]
    Deprecate(#[source] IndexDbError),
    /// Packages that are to go are not there. It is the reference's text, with which clients compare; beside it what
    /// to do.
    #[error("Error deleting packages from database")]
    Remove(Vec<String>),
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
    /// Whether it hangs on what the index has or is, and not on the request alone.
    pub(super) fn is_of_the_index(&self) -> bool {
        match self {
            Self::ScopeLabel { .. }
            | Self::NotACatalog(_)
            | Self::NotInDatabase(_)
            | Self::DatabaseOfCatalog
            | Self::NoDatabaseLabel(_)
            | Self::LabelPath { .. }
            | Self::NoDatabase { .. }
            | Self::NoCatalog { .. }
            | Self::Catalog { .. }
            | Self::Hidden { .. }
            | Self::Migrate(_)
            | Self::OptedIn(_)
            | Self::InvalidCatalog(_)
            | Self::Unseen(_)
            | Self::Cache(_)
            | Self::Database { .. }
            | Self::Add(IndexDbError::Refused(_))
            | Self::CatalogIntoDatabase
            | Self::NothingBehind(_)
            | Self::NoDigest(_)
            | Self::NoLatest(_)
            | Self::Platform(_)
            | Self::Deprecate(_)
            | Self::Remove(_) => true,
            Self::Add(_)
            | Self::EmptyFragment(_)
            | Self::Fragment { .. }
            | Self::Stray { .. }
            | Self::PackageName { .. }
            | Self::InTwoFragments { .. }
            // They say it themselves.
            | Self::ChangedAgain { .. }
            | Self::Moved { .. }
            // Of commands, which have no request.
            | Self::FileBased(_)
            | Self::DatabaseBased(_)
            | Self::NoPackage { .. }
            | Self::Filter(_)
            | Self::UnfitDeprecations { .. }
            | Self::CacheElsewhere { .. } => false,
        }
    }

    /// What the user can do, where the text alone, which is the reference's, does not say it: sentences
    /// without a full stop.
    pub(super) fn hints(&self) -> Vec<String> {
        match self {
            Self::Add(IndexDbError::Refused(refusals))
            | Self::Deprecate(IndexDbError::Refused(refusals)) => refusals.hints(),
            Self::Remove(hints) => hints.clone(),
            Self::NotInDatabase(NoPackage {
                near: Some(near), ..
            }) => vec![format!("is {near} meant?")],
            _ => Vec::new(),
        }
    }
    pub(super) fn means(&self) -> Meaning {
        match self {
            Self::ScopeLabel { .. } => (Class::Reject, Some("fix the image's label")),
            Self::FileBased(_)
            | Self::NotACatalog(_)
            | Self::DatabaseBased(_)
            | Self::NoPackage { .. }
            | Self::UnfitDeprecations { .. }
            | Self::Filter(_)
            | Self::CacheElsewhere { .. }
            | Self::InvalidCatalog(_)
            | Self::OptedIn(_)
            | Self::Unseen(_)
            | Self::Stray { .. }
            | Self::PackageName { .. }
            | Self::InTwoFragments { .. }
            | Self::ChangedAgain { .. }
            | Self::CatalogIntoDatabase
            | Self::NothingBehind(_)
            | Self::NoDigest(_)
            | Self::NoLatest(_)
            | Self::Platform(_)
            | Self::EmptyFragment(_)
            | Self::NotInDatabase(_)
            | Self::DatabaseOfCatalog
            | Self::NoDatabaseLabel(_)
            | Self::LabelPath { .. }
            | Self::NoDatabase { .. }
            | Self::NoCatalog { .. }
            | Self::Remove(_) => (Class::Reject, None),
            Self::Catalog { source, .. } | Self::Fragment { source, .. } | Self::Cache(source) => {
                (source.class(), None)
            }
            Self::Database { source, .. }
            | Self::Hidden { source, .. }
            | Self::Migrate(source)
            | Self::Deprecate(source)
            | Self::Add(source) => (source.class(), None),
            Self::Moved { .. } => (Class::Retry, None),
        }
    }
}
