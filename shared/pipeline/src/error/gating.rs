//! What keeps bundles from passing a gate.

use iib_ports::{Class, Classify as _, GateError};

use super::Meaning;

/// The bundles of a request do not pass, or it cannot be said (worker flows §12).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatingError {
    /// Bundles of this queue have to pass, and nobody is there to ask. To be set: `work.greenwave_url`.
    #[error("IIB is not configured to handle gating of bundles")]
    NotConfigured,
    /// A bundle does not say which build it is.
    #[error(
        "the bundle {bundle} does not have the label {label}, by which Greenwave knows its build"
    )]
    NoBuild {
        /// The bundle, pinned.
        bundle: String,
        /// The label.
        label: &'static str,
    },
    /// Greenwave answered with a failure.
    #[error("Gating check failed for {bundle}: {said}")]
    Failed {
        /// The bundle, pinned.
        bundle: String,
        /// What it said.
        said: String,
        /// Whether it may be another answer later.
        may_pass: bool,
    },
    /// Greenwave answered, and did not say.
    #[error("Key \"policies_satisfied\" missing in Greenwave response for {bundle}")]
    Unsaid {
        /// The bundle, pinned.
        bundle: String,
    },
    /// Bundles that may not be added.
    #[error("{0}")]
    Unsatisfied(String),
    /// Greenwave could not be asked.
    #[error("Gating check failed for {bundle}")]
    NotAsked {
        /// The bundle, pinned.
        bundle: String,
        /// Why not.
        source: GateError,
    },
}

impl GatingError {
    pub(super) fn means(&self) -> Meaning {
        let class = match self {
            Self::Failed { may_pass: true, .. } => Class::Retry,
            Self::NotAsked { source, .. } => source.class(),
            Self::NotConfigured
            | Self::NoBuild { .. }
            | Self::Failed { .. }
            | Self::Unsaid { .. }
            | Self::Unsatisfied(_) => Class::Reject,
        };
        (class, None)
    }
}
