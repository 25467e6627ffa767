//! What is wrong with an image, or with the registry it is in.

use iib_bundle::BundleError;
use iib_oci::layer::LayerError;
use iib_oci::{Arch, ArchError, ConfigError, ImageFormat, ManifestError, MediaType};
use iib_ports::{Class, Classify as _, RegistryError};

use super::Meaning;

/// An image, or the registry it is in, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// An image cannot be looked up. The first sentence is the reference's (worker flows §4).
    #[error("Failed to inspect docker://{image}. Make sure it exists and is accessible to IIB.")]
    Inspect {
        /// The image as the user wrote it.
        image: String,
        /// What the registry said.
        source: RegistryError,
    },
    /// An image that was not there when it was looked up.
    #[error("Failed to inspect docker://{0}. Make sure it exists and is accessible to IIB.")]
    Absent(String),
    /// A call to a registry failed while content was moved.
    #[error("{doing}")]
    Registry {
        /// What was tried, as a sentence about its failure.
        doing: String,
        /// What the registry said.
        source: RegistryError,
    },
    /// The result could not be put in the place of an index.
    #[error("Failed to overwrite the input from_index container image of {image}")]
    Overwrite {
        /// The index.
        image: String,
        /// What failed.
        source: Box<ImageError>,
    },
    /// A manifest cannot be used.
    #[error("the image {image} cannot be used")]
    Manifest {
        /// The image.
        image: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// A manifest of a type that no image has which is worked with. Text as worker flows §4 has it.
    #[error("The pull specification of {image} is neither a v2 manifest list nor a v2 manifest")]
    ManifestType {
        /// The image.
        image: String,
        /// Its type.
        source: ManifestError,
        /// The schema version that it states.
        schema_version: Option<u64>,
    },
    /// The same of a bundle. Text as worker flows §4 has it, table `resolved_bundles`.
    #[error(
        "The pull specification of {image} is neither a v2 manifest list nor a v2s2 manifest. Type {media_type} and schema version {} is not supported by IIB.",
        schema_version.map_or("none".to_owned(), |version| version.to_string())
    )]
    BundleType {
        /// The bundle.
        image: String,
        /// Its type.
        media_type: MediaType,
        /// The schema version that it states.
        schema_version: Option<u64>,
        /// What to do about it.
        source: ManifestError,
    },
    /// A bundle whose manifest does not say what it is, and neither does the registry. Text as the
    /// reference's, table `resolved_bundles`.
    #[error("mediaType not found")]
    BundleWithoutType {
        /// Which image that is.
        source: Box<ImageError>,
    },
    /// A manifest list without a usable entry.
    #[error("the manifest list {0} has no image for Linux in it: push the image again")]
    EmptyList(String),
    /// The configuration of an image cannot be used.
    #[error("the configuration of the image {image} cannot be used")]
    Config {
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
        /// The image.
        image: String,
        /// What is wrong.
        source: ArchError,
    },
    /// An image that is built on says it is for another one (worker flows §5.1).
    #[error(
        "the image {image}, which is built on, is for {arch} but its label `architecture` is `{label}`: build it again"
    )]
    WrongArch {
        /// The image.
        image: String,
        /// What the list says.
        arch: Arch,
        /// What the image says.
        label: String,
    },
    /// A layer cannot be read.
    #[error("a layer of the image {image} cannot be read")]
    Layer {
        /// The image.
        image: String,
        /// What is wrong.
        source: LayerError,
    },
    /// A layer of the image to build on is of a type that the result's manifests cannot hold.
    #[error(
        "layer {digest} of the image {image} is of type {media_type}, which {} manifests cannot hold: {}", name_of(*format), instead(*format, media_type)
    )]
    LayerType {
        /// The image.
        image: String,
        /// The layer.
        digest: String,
        /// Its type.
        media_type: MediaType,
        /// What the result is made of.
        format: ImageFormat,
    },
    /// A bundle cannot be read. Text as worker flows §7.5 has it.
    #[error("Failed to add the bundles to the index image: {image} is not a usable bundle")]
    Bundle {
        /// The bundle's image.
        image: String,
        /// What is wrong with it.
        source: BundleError,
    },
    /// An image that is neither an index nor a bundle.
    #[error(
        "the image {0} is neither an index nor a bundle: it has none of the labels `operators.operatorframework.io.index.database.v1`, `operators.operatorframework.io.index.configs.v1` and `operators.operatorframework.io.bundle.package.v1`"
    )]
    UnknownKind(String),
}

fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Docker => "Docker",
        ImageFormat::Oci => "OCI",
    }
}

/// What to do about a layer that does not fit.
fn instead(format: ImageFormat, layer: &MediaType) -> &'static str {
    let fits_oci = ImageFormat::Oci.layer_type(layer).is_some();
    match format {
        ImageFormat::Docker if fits_oci => {
            "build on an image with gzip layers, or set \"output_format\" to \"oci\""
        }
        ImageFormat::Docker => "build on an image with gzip layers",
        ImageFormat::Oci => "build on an image whose layers are in the registry",
    }
}

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

impl ImageError {
    /// The same of a bundle, of which the reference says some things in other words.
    pub(crate) fn of_bundle(self) -> Self {
        match self {
            Self::ManifestType {
                image,
                source,
                schema_version,
            } => match &source {
                ManifestError::Type(media_type) => Self::BundleType {
                    media_type: media_type.clone(),
                    image,
                    schema_version,
                    source,
                },
                _ => Self::BundleWithoutType {
                    source: Box::new(Self::ManifestType {
                        image,
                        source,
                        schema_version,
                    }),
                },
            },
            other => other,
        }
    }

    pub(super) fn means(&self) -> Meaning {
        match self {
            Self::Overwrite { source, .. } | Self::BundleWithoutType { source } => source.means(),
            Self::Inspect { source, .. } | Self::Registry { source, .. } => {
                (source.class(), for_registry(source))
            }
            Self::Manifest { source, .. } => (Class::Reject, for_manifest(source)),
            Self::Config { source, .. } => (Class::Reject, for_config(source)),
            Self::Layer { source, .. } => (of_layer(source), for_layer(source)),
            Self::Bundle { source, .. } => {
                (Class::Reject, Some(source.hint().unwrap_or(MEND_BUNDLE)))
            }
            // They say it.
            Self::Absent(_)
            | Self::ManifestType { .. }
            | Self::BundleType { .. }
            | Self::EmptyList(_)
            | Self::NoArch(_)
            | Self::Arch { .. }
            | Self::WrongArch { .. }
            | Self::LayerType { .. }
            | Self::UnknownKind(_) => (Class::Reject, None),
        }
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

fn of_layer(error: &LayerError) -> Class {
    match error.is_transient() {
        true => Class::Retry,
        false => Class::Reject,
    }
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
