//! Why a stage could not do its work.

use iib_bundle::BundleError;
use iib_oci::layer::LayerError;
use iib_oci::{ArchError, ConfigError, ManifestError, PullSpecError};
use iib_ports::{
    ArtifactError, Class, Classify, IndexDbError, QueueError, RegistryError, StoreError,
};
use iib_request::ScopeError;

use crate::steps::binary_image::BinaryImageError;

/// Why a stage could not do its work. What the user reads is [`StageError::reason`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The request asks for work this version does not do.
    #[error("this version of the service does not support {0} yet: send the request without")]
    NotBuilt(String),
    /// An index without a database, which this version needs.
    #[error(
        "this version of the service does not support file-based catalogs yet, and {0} has one: name an index with a database"
    )]
    FileBased(String),
    /// A database is asked for, and the index has a catalog (worker flows §10).
    #[error("Cannot create SQLite index image from File-Based Catalog index image")]
    DatabaseOfCatalog,
    /// An image cannot be looked up. The first sentence is the reference's (worker flows §4).
    #[error("Failed to inspect docker://{image}. Make sure it exists and is accessible to IIB.")]
    Inspect {
        /// The image as the user wrote it.
        image: String,
        /// What the registry said.
        source: RegistryError,
    },
    /// A text of the request is no pull spec.
    #[error("a pull spec in the request's \"{field}\" cannot be used")]
    PullSpec {
        /// The parameter.
        field: &'static str,
        /// What is wrong.
        source: PullSpecError,
    },
    /// The setting with the name of results gives none.
    #[error("the setting `image_push_template` does not give the name of an image")]
    OutputName(#[source] PullSpecError),
    /// A manifest cannot be used.
    #[error("the image {image} cannot be used")]
    Manifest {
        /// The image.
        image: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// A manifest list without a usable entry.
    #[error("the manifest list {0} has no image for Linux in it: push the image again")]
    EmptyList(String),
    /// The configuration of an image cannot be used.
    #[error("the configuration of the image {image} cannot be used")]
    ImageConfig {
        /// The image.
        image: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// An image that is in no list and does not say what it runs on.
    #[error(
        "the configuration of the image {0} does not name its architecture: build the image again"
    )]
    NoArch(String),
    /// An architecture that cannot be part of a tag.
    #[error("the architecture in {image} cannot be built for")]
    Arch {
        /// The image, or the parameter, that names it.
        image: String,
        /// What is wrong.
        source: ArchError,
    },
    /// Scope rules (worker flows §4.2).
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The index says nothing usable about its scope.
    #[error("the index {image} cannot be used")]
    ScopeLabel {
        /// The index.
        image: String,
        /// What is wrong.
        source: ScopeError,
    },
    /// Binary image rules (worker flows §4.3).
    #[error(transparent)]
    BinaryImage(#[from] BinaryImageError),
    /// Nothing says what to build for (worker flows §4.4).
    #[error("No arches were provided to build the index image")]
    NoArches,
    /// The binary image lacks architectures (worker flows §4.4); the list is sorted.
    #[error("The binary image is not available for the following arches: {0}")]
    MissingArches(String),
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
    /// An image that is neither an index nor a bundle.
    #[error(
        "the image {0} is neither an index nor a bundle: it has none of the labels `operators.operatorframework.io.index.database.v1`, `operators.operatorframework.io.index.configs.v1` and `operators.operatorframework.io.bundle.package.v1`"
    )]
    UnknownKind(String),
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
    /// A layer cannot be read.
    #[error("a layer of the image {image} cannot be read")]
    Layer {
        /// The image.
        image: String,
        /// What is wrong.
        source: LayerError,
    },
    /// A layer of the image to build on is of a type a Docker manifest cannot hold.
    #[error(
        "layer {digest} of the image {image} is of type {media_type}, which Docker manifests cannot hold: build on an image with gzip layers"
    )]
    LayerType {
        /// The image.
        image: String,
        /// The layer.
        digest: String,
        /// Its type.
        media_type: String,
    },
    /// A bundle cannot be read. Text as worker flows §7.5 has it.
    #[error("Failed to add the bundles to the index image: {image} is not a usable bundle")]
    Bundle {
        /// The bundle's image.
        image: String,
        /// What is wrong with it.
        source: BundleError,
    },
    /// The bundles were refused, or the database cannot be used.
    #[error("Failed to add the bundles to the index image")]
    Add(#[source] IndexDbError),
    /// The database of `from_index` cannot be used.
    #[error("the index database of {image} cannot be used")]
    IndexDb {
        /// The index image.
        image: String,
        /// What is wrong.
        source: IndexDbError,
    },
    /// A call to a registry failed while content was moved.
    #[error("{doing}")]
    Registry {
        /// What was tried, as a sentence about its failure.
        doing: String,
        /// What the registry said.
        source: RegistryError,
    },
    /// The binary image for an architecture says it is for another one (worker flows §5.1).
    #[error(
        "the binary image {image} is listed for {arch} but its label `architecture` is `{label}`: rebuild the binary image"
    )]
    WrongArch {
        /// The image.
        image: String,
        /// What the list says.
        arch: iib_oci::Arch,
        /// What the image says.
        label: String,
    },
    /// The new layer cannot be written.
    #[error("the index layer could not be packed")]
    Pack(#[source] iib_oci::layer::PackError),
    /// The artifact store has other bytes than were sent to it.
    #[error("the artifact store holds {got} where {sent} was written")]
    StoredOther {
        /// What was written.
        sent: String,
        /// What the store reports.
        got: String,
    },
    /// The artifact store failed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The request store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A file of ours could not be used.
    #[error("a scratch file could not be {action}: is the disk full?")]
    Scratch {
        /// What was tried, as a participle.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The stage's time ran out.
    #[error("the work was not done within {0} seconds")]
    Timeout(u32),
    /// A stage before this one left nothing behind.
    #[error("the record lacks what stage {0} should have left in it")]
    Incomplete(&'static str),
    /// A value of ours could not be written as JSON.
    #[error("a JSON document could not be written")]
    Write(#[source] serde_json::Error),
    /// More bundle content than one request may hold in memory.
    #[error(
        "the bundles of the request have more than {limit} bytes together, the limit set for a request: add them in several requests"
    )]
    BundlesTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The request has ended, or its lease has another owner. Nothing that this attempt did counts.
    #[error("somebody else took the request over, or it has ended")]
    Lost,
    /// The work panicked; the process's log has where.
    #[error("the work broke off by a fault of this service")]
    Panicked,
    /// A blocking task ended without a result.
    #[error("a computation broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl StageError {
    /// The request asks for work, by these parameters, that this version does not do.
    pub(crate) fn not_built(parameters: &[&str]) -> Self {
        let names: Vec<String> = parameters
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        Self::NotBuilt(names.join(", "))
    }

    /// What the user reads, on one line: the failure, its causes, and what to do next unless
    /// they say so themselves. Where the reference has a text of its own for an image that is not
    /// there, it stands alone, because users match it.
    pub fn reason(&self) -> String {
        if let Self::Inspect {
            source: RegistryError::NotFound { .. },
            ..
        } = self
        {
            return self.to_string();
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let told = error.to_string();
            if !text.contains(&told) {
                // Some texts of the reference are whole sentences.
                text.push_str(if text.ends_with('.') { " " } else { ": " });
                text.push_str(&told);
            }
            // What the database engine says is about statements and pages of ours; it is logged.
            cause = match error.downcast_ref::<IndexDbError>() {
                Some(_) => None,
                None => error.source(),
            };
        }
        if let Some(next) = self.next_step() {
            text.push_str("; ");
            text.push_str(next);
        }
        text
    }
}

impl Classify for StageError {
    fn class(&self) -> Class {
        match self {
            Self::Inspect { source, .. } | Self::Registry { source, .. } => source.class(),
            Self::NotBuilt(_)
            | Self::FileBased(_)
            | Self::DatabaseOfCatalog
            | Self::ScopeLabel { .. }
            | Self::PullSpec { .. }
            | Self::Manifest { .. }
            | Self::EmptyList(_)
            | Self::ImageConfig { .. }
            | Self::NoArch(_)
            | Self::Arch { .. }
            | Self::Scope(_)
            | Self::BinaryImage(_)
            | Self::NoArches
            | Self::MissingArches(_)
            | Self::NoDatabaseLabel(_)
            | Self::DatabasePath { .. }
            | Self::NoDatabase { .. }
            | Self::UnknownKind(_)
            | Self::NoCatalog { .. }
            | Self::LayerType { .. }
            | Self::WrongArch { .. }
            | Self::BundlesTooLarge { .. }
            | Self::Bundle { .. } => Class::Reject,
            Self::Layer { source, .. } if source.is_transient() => Class::Retry,
            Self::Layer { .. } => Class::Reject,
            Self::Pack(source) if source.is_transient() => Class::Retry,
            Self::Pack(_) | Self::StoredOther { .. } => Class::Bug,
            Self::Add(source) | Self::IndexDb { source, .. } => source.class(),
            Self::Artifact(source) => source.class(),
            Self::Store(source) => source.class(),
            Self::Queue(source) => source.class(),
            Self::Scratch { .. } | Self::Timeout(_) | Self::Moved { .. } | Self::Lost => {
                Class::Retry
            }
            Self::OutputName(_)
            | Self::Incomplete(_)
            | Self::Write(_)
            | Self::Panicked
            | Self::BrokenOff(_) => Class::Bug,
        }
    }
}
