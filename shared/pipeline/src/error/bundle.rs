//! Why a bundle cannot be made anew, or looked behind.

use iib_ports::Class;
use iib_regenerate::{RegenerateError, TooManyBundles};

use super::Meaning;

/// Why a bundle cannot be made anew, or looked behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// What is in it, or in the images that it names.
    #[error(transparent)]
    Regenerate(#[from] RegenerateError),
    /// There are too many bundles behind it.
    #[error(transparent)]
    TooMany(#[from] TooManyBundles),
    /// Its image is for no architecture.
    #[error("No arches were found in the resolved from_bundle_image {0}")]
    NoArches(String),
    /// It has no folder with manifests.
    #[error(
        "the image {0} is no bundle: it has no folder /manifests, or nothing in it; name the image of a bundle"
    )]
    NoManifests(String),
    /// The customizations of an organization cannot be used.
    #[error("the setting `organization_customizations` cannot be used for {organization}: {fault}")]
    Customizations {
        /// The organization.
        organization: String,
        /// What is wrong with them.
        fault: String,
    },
    /// Registries did not say what has to be known.
    #[error(
        "the {seconds} seconds for it were over before registries had told about {} of {asked} images: {}", .images.len(), told(.images)
    )]
    Unanswered {
        /// The time that there was, for reading the bundle, too.
        seconds: u64,
        /// How many images were asked for at once.
        asked: usize,
        /// Those that nobody told about.
        images: Vec<String>,
    },
}

/// How many of a list are told.
const TOLD: usize = 10;

fn told(images: &[String]) -> String {
    let first = images.iter().take(TOLD).cloned();
    let more = images.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    first.chain(more).collect::<Vec<_>>().join(", ")
}

impl BundleError {
    pub(super) fn means(&self) -> Meaning {
        let class = match self {
            Self::Regenerate(_) | Self::TooMany(_) | Self::NoArches(_) | Self::NoManifests(_) => {
                Class::Reject
            }
            // They are checked when the service starts.
            Self::Customizations { .. } => Class::Bug,
            Self::Unanswered { .. } => Class::Retry,
        };
        (class, None)
    }
}
