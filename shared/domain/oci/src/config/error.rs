//! What can be wrong with an image configuration.

use crate::DigestError;

/// A configuration that cannot be used. The image is at fault (class Reject).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Larger than any real one.
    #[error("the image configuration has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not a JSON object.
    #[error("the image configuration is not a JSON object; push the image again")]
    Malformed(#[source] serde_json::Error),
    /// A field of another type than it must have.
    #[error("`{path}` in the image configuration is not {expected}; build the image again")]
    Field {
        /// The field, from the top.
        path: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A label whose value is not text.
    #[error("the label `{0}` in the image configuration is not text; build the image again")]
    Label(String),
    /// A digest of an unpacked layer that is none.
    #[error("`rootfs.diff_ids[{number}]` in the image configuration is not usable")]
    DiffId {
        /// Which one, from 0.
        number: usize,
        /// What is wrong with it.
        source: DigestError,
    },
    /// Manifest and configuration are of different images.
    #[error(
        "the image's configuration lists {diff_ids} layers and its manifest {layers}; push the \
         image again"
    )]
    LayerCount {
        /// In the configuration.
        diff_ids: usize,
        /// In the manifest.
        layers: usize,
    },
    /// The base wants commands to be run when something is built on it.
    #[error("the base image has ONBUILD triggers, which cannot be run here; use one without them")]
    OnBuild,
}
