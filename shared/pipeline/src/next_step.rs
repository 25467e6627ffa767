//! What a user can do about a failure.

use iib_oci::layer::LayerError;
use iib_oci::{ConfigError, ManifestError, PullSpecError};
use iib_ports::RegistryError;

use crate::StageError;

/// For images that do not hold together.
const PUSH_AGAIN: &str = "push the image again";
/// For images that hold together and are wrong.
const BUILD_AGAIN: &str = "build the image again";
/// For bundles whose files are wrong.
const MEND_BUNDLE: &str = "correct the files of the bundle and build its image again";
/// For images that pass a limit of the settings.
const TOO_LARGE: &str =
    "use a smaller image, or ask the operators of this service to raise the limit";
/// For registries that refuse a call for a reason of their own.
const ASK: &str = "if that does not say what to do, ask the operators of this service";

impl StageError {
    /// What the user can do, where the texts of the failure and its causes do not say it. What
    /// may pass needs none: the work is repeated, and at the end the user is told to come back.
    pub(crate) fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::PullSpec { source, .. } => for_pull_spec(source),
            Self::ScopeLabel { .. } => Some("fix the image's label"),
            Self::Bundle { source, .. } => Some(source.hint().unwrap_or(MEND_BUNDLE)),
            Self::Manifest { source, .. } => for_manifest(source),
            Self::ImageConfig { source, .. } => for_config(source),
            Self::Layer { source, .. } => for_layer(source),
            Self::Inspect { source, .. } | Self::Registry { source, .. } => for_registry(source),
            // They say it, or have the reference's text and no other.
            Self::NotBuilt(_)
            | Self::FileBased(_)
            | Self::DatabaseOfCatalog
            | Self::EmptyList(_)
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
            | Self::Moved { .. }
            | Self::LayerType { .. }
            | Self::WrongArch { .. }
            | Self::BundlesTooLarge { .. }
            | Self::Add(_)
            | Self::IndexDb { .. } => None,
            // They may pass, or are nothing a user can do anything about.
            Self::OutputName(_)
            | Self::Pack(_)
            | Self::StoredOther { .. }
            | Self::Artifact(_)
            | Self::Store(_)
            | Self::Queue(_)
            | Self::Scratch { .. }
            | Self::Timeout(_)
            | Self::Lost
            | Self::Incomplete(_)
            | Self::Write(_)
            | Self::Panicked
            | Self::BrokenOff(_) => None,
        }
    }
}

fn for_pull_spec(error: &PullSpecError) -> Option<&'static str> {
    matches!(error, PullSpecError::NoReference(_))
        .then_some("write it as registry/repository:tag or registry/repository@digest")
}

fn for_manifest(error: &ManifestError) -> Option<&'static str> {
    matches!(error, ManifestError::Malformed { .. }).then_some(PUSH_AGAIN)
}

fn for_config(error: &ConfigError) -> Option<&'static str> {
    matches!(
        error,
        ConfigError::TooLarge { .. } | ConfigError::DiffId { .. }
    )
    .then_some(BUILD_AGAIN)
}

fn for_layer(error: &LayerError) -> Option<&'static str> {
    match error {
        LayerError::Tar { .. } => Some(PUSH_AGAIN),
        LayerError::TooLarge { .. }
        | LayerError::FileTooLarge { .. }
        | LayerError::FilesTooLarge { .. }
        | LayerError::TooManyFiles { .. } => Some(TOO_LARGE),
        _ => None,
    }
}

fn for_registry(error: &RegistryError) -> Option<&'static str> {
    match error {
        RegistryError::NotFound { .. } | RegistryError::Mismatch { .. } => Some(PUSH_AGAIN),
        RegistryError::TooLarge { .. } => Some(TOO_LARGE),
        RegistryError::Refused { .. } => Some(ASK),
        _ => None,
    }
}
