//! What the stages hand on to one another, through the record.

use std::collections::BTreeMap;

use iib_oci::{Arch, Descriptor, Digest, Pinned};
use serde::{Deserialize, Serialize};

use crate::Scope;

/// A bundle of the request, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBundle {
    /// As the user wrote it.
    pub requested: String,
    /// The image its contents are read from. Of a manifest list it is the first entry, as the
    /// reference resolves it (worker flows §4).
    pub pinned: Pinned,
    /// The package label of the image, if it has one.
    pub package: Option<String>,
}

/// Where the database of the input index is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexToRead {
    /// The index as the user's pull spec resolved.
    pub resolved: Pinned,
    /// The image of one architecture whose layers hold the database.
    pub image: Pinned,
    /// Path of the database in the image, without a leading slash.
    pub database: String,
}

/// Everything that pin settled; the later stages look nothing up by tag again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The bundles asked for, in order; several may be the same image.
    pub bundles: Vec<PinnedBundle>,
    /// The index to start from; none: an empty one.
    pub from_index: Option<IndexToRead>,
    /// The image of each architecture to build on; a `scratch` index has no images here.
    pub binary_images: BTreeMap<Arch, Option<Pinned>>,
    /// Version label of the new index, such as `v4.6`.
    pub version: String,
    /// Scope of the new index.
    pub scope: Scope,
}

/// What mutate made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Name of the layer in the artifact store.
    pub artifact: String,
    /// The layer, as a manifest names it.
    pub layer: Descriptor,
    /// Digest of the uncompressed layer.
    pub diff_id: Digest,
}
