//! The two families of documents that an image can be made of.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MediaType;

/// Which documents an image has: those of Docker, or those of OCI. Their content is the same but for
/// media types; layers in zstd are of OCI only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Manifest list, manifests of version 2 schema 2, layers in gzip.
    #[default]
    Docker,
    /// Image index, OCI manifests; layers are plain, in gzip or in zstd (OCI image specification 1.1).
    Oci,
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of images: write docker or oci")]
pub struct NoImageFormat(String);

impl FromStr for ImageFormat {
    type Err = NoImageFormat;

    fn from_str(text: &str) -> Result<Self, NoImageFormat> {
        match text {
            "docker" => Ok(Self::Docker),
            "oci" => Ok(Self::Oci),
            _ => Err(NoImageFormat(text.to_owned())),
        }
    }
}

impl ImageFormat {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Oci => "oci",
        }
    }

    /// Whether it is that of Docker.
    pub fn is_docker(&self) -> bool {
        *self == Self::Docker
    }

    /// The type of a manifest.
    pub fn manifest_type(self) -> MediaType {
        MediaType::new(match self {
            Self::Docker => MediaType::DOCKER_MANIFEST,
            Self::Oci => MediaType::OCI_MANIFEST,
        })
    }

    /// The type of a list of manifests.
    pub fn list_type(self) -> MediaType {
        MediaType::new(match self {
            Self::Docker => MediaType::DOCKER_LIST,
            Self::Oci => MediaType::OCI_INDEX,
        })
    }

    /// The type of an image configuration.
    pub fn config_type(self) -> MediaType {
        MediaType::new(match self {
            Self::Docker => MediaType::DOCKER_CONFIG,
            Self::Oci => MediaType::OCI_CONFIG,
        })
    }

    /// The type of the layers that are written here: gzip of pieces for Docker, a zstd frame for OCI.
    pub fn own_layer_type(self) -> MediaType {
        MediaType::new(match self {
            Self::Docker => MediaType::DOCKER_LAYER,
            Self::Oci => MediaType::OCI_LAYER_ZSTD,
        })
    }

    /// The type that a layer of either family has in such a manifest, its bytes staying what they are.
    /// `None` where such a manifest cannot hold it: of Docker's, what is not gzip; of both, foreign
    /// layers, which lie elsewhere.
    pub fn layer_type(self, layer: &MediaType) -> Option<MediaType> {
        let as_oci = match layer.as_str() {
            MediaType::DOCKER_LAYER | MediaType::OCI_LAYER_GZIP => MediaType::OCI_LAYER_GZIP,
            MediaType::DOCKER_LAYER_TAR | MediaType::OCI_LAYER => MediaType::OCI_LAYER,
            MediaType::DOCKER_LAYER_ZSTD | MediaType::OCI_LAYER_ZSTD => MediaType::OCI_LAYER_ZSTD,
            _ => return None,
        };
        match (self, as_oci) {
            (Self::Oci, _) => Some(MediaType::new(as_oci)),
            (Self::Docker, MediaType::OCI_LAYER_GZIP) => {
                Some(MediaType::new(MediaType::DOCKER_LAYER))
            }
            (Self::Docker, _) => None,
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for format in [ImageFormat::Docker, ImageFormat::Oci] {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::json!(format), format.as_str());
        }
        for text in ["", "OCI", "v2s2"] {
            let refused = text.parse::<ImageFormat>().unwrap_err().to_string();
            assert!(refused.contains("write docker or oci"), "{refused}");
        }
    }

    #[test]
    fn a_layer_has_the_type_that_fits_its_bytes() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        for (layer, docker, oci) in [
            (
                MediaType::DOCKER_LAYER,
                Some(MediaType::DOCKER_LAYER),
                Some(MediaType::OCI_LAYER_GZIP),
            ),
            (
                MediaType::OCI_LAYER_GZIP,
                Some(MediaType::DOCKER_LAYER),
                Some(MediaType::OCI_LAYER_GZIP),
            ),
            (
                MediaType::DOCKER_LAYER_TAR,
                None,
                Some(MediaType::OCI_LAYER),
            ),
            (MediaType::OCI_LAYER, None, Some(MediaType::OCI_LAYER)),
            (
                MediaType::DOCKER_LAYER_ZSTD,
                None,
                Some(MediaType::OCI_LAYER_ZSTD),
            ),
            (
                MediaType::OCI_LAYER_ZSTD,
                None,
                Some(MediaType::OCI_LAYER_ZSTD),
            ),
            (foreign, None, None),
        ] {
            let layer = MediaType::new(layer);
            for (format, fits) in [(ImageFormat::Docker, docker), (ImageFormat::Oci, oci)] {
                let found = format.layer_type(&layer);
                assert_eq!(found, fits.map(MediaType::new), "{layer} in {format}");
            }
        }
    }
}
