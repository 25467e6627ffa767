//! The media types of both image families.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type as text. Unknown ones are kept, so that nothing foreign is lost on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

impl MediaType {
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &'static str =
        "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &'static str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &'static str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer, plain tar.
    pub const DOCKER_LAYER_TAR: &'static str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, zstd: in no specification, but written by some tools.
    pub const DOCKER_LAYER_ZSTD: &'static str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    pub const OCI_LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &'static str = "application/vnd.oci.image.layer.v1.tar+zstd";

    /// Everything this service can read as a manifest or a list, for `Accept` headers.
    pub const MANIFESTS: [&'static str; 4] = [
        Self::DOCKER_MANIFEST,
        Self::DOCKER_LIST,
        Self::OCI_MANIFEST,
        Self::OCI_INDEX,
    ];

    /// The text without parameters such as `; charset=utf-8`.
    pub fn new(text: &str) -> Self {
        Self(text.split(';').next().unwrap_or_default().trim().to_owned())
    }

    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A Docker manifest list or an OCI index.
    pub fn is_list(&self) -> bool {
        matches!(self.as_str(), Self::DOCKER_LIST | Self::OCI_INDEX)
    }

    /// An image manifest of either family.
    pub fn is_manifest(&self) -> bool {
        matches!(self.as_str(), Self::DOCKER_MANIFEST | Self::OCI_MANIFEST)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}
