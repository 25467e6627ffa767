//! Images whose every part a test can spoil.

use iib_oci::{Descriptor, Digest, MediaType, RawManifest};
use serde_json::{Value, json};

use crate::tar_file::{TarFile, gzip};

/// Which family of documents an image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Docker,
    Oci,
}

/// A layer as it is stored, and what is said about it.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The size in the manifest, if it is not the true one.
    pub(crate) stated_size: Option<u64>,
    pub(crate) diff_id: Digest,
}

impl Layer {
    /// A gzip layer with these files.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self::of_tar(&TarFile::of(files).end())
    }

    /// A gzip layer of this archive.
    pub(crate) fn of_tar(archive: &[u8]) -> Self {
        Self {
            diff_id: Digest::of(archive),
            ..Self::stored(MediaType::DOCKER_LAYER, gzip(archive))
        }
    }

    /// A layer of these bytes.
    pub(crate) fn stored(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            media_type,
            diff_id: Digest::of(&bytes),
            bytes,
            stated_size: None,
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "size": self.stated_size.unwrap_or(self.bytes.len() as u64),
            "digest": self.digest(),
        })
    }
}

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) family: Family,
    pub(crate) layers: Vec<Layer>,
    pub(crate) config: Value,
}

impl Image {
    /// A Docker image for this architecture.
    pub(crate) fn new(arch: &str, layers: Vec<Layer>) -> Self {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({
            "architecture": arch,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        Self {
            family: Family::Docker,
            layers,
            config,
        }
    }

    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        self.config["config"]["Labels"][name] = value.into();
        self
    }

    pub(crate) fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    pub(crate) fn config_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.config).unwrap()
    }

    pub(crate) fn manifest(&self) -> RawManifest {
        let (media_type, config_type) = match self.family {
            Family::Docker => (MediaType::DOCKER_MANIFEST, MediaType::DOCKER_CONFIG),
            Family::Oci => (MediaType::OCI_MANIFEST, MediaType::OCI_CONFIG),
        };
        let config = self.config_bytes();
        let layers: Vec<Value> = self.layers.iter().map(Layer::descriptor).collect();
        document(
            media_type,
            &json!({
                "schemaVersion": 2,
                "mediaType": media_type,
                "config": {
                    "mediaType": config_type,
                    "size": config.len(),
                    "digest": Digest::of(&config),
                },
                "layers": layers,
            }),
        )
    }
}

/// A list over manifests, each with the architecture it is said to be for.
pub(crate) fn list(family: Family, entries: &[(&str, &RawManifest)]) -> RawManifest {
    let media_type = match family {
        Family::Docker => MediaType::DOCKER_LIST,
        Family::Oci => MediaType::OCI_INDEX,
    };
    let manifests: Vec<Value> = entries
        .iter()
        .map(|(arch, manifest)| {
            let mut entry = serde_json::to_value(descriptor(manifest)).unwrap();
            entry["platform"] = json!({"architecture": arch, "os": "linux"});
            entry
        })
        .collect();
    document(
        media_type,
        &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}),
    )
}

/// A manifest of any content.
pub(crate) fn document(media_type: &str, content: &Value) -> RawManifest {
    RawManifest {
        media_type: MediaType::new(media_type),
        bytes: serde_json::to_vec(content).unwrap(),
    }
}

fn descriptor(manifest: &RawManifest) -> Descriptor {
    Descriptor {
        media_type: manifest.media_type.clone(),
        size: manifest.bytes.len() as u64,
        digest: manifest.digest(),
    }
}
