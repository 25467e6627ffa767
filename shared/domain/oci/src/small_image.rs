//! Whole images of a few small files, held in memory: bundles, stand-ins, examples.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::layer::{EntryPath, PackEntry, PackError, PathFault, Threads, pack};
use crate::{
    Arch, ConfigEdit, ConfigError, Descriptor, Digest, ImageConfig, Manifest, MediaType,
    RawManifest,
};

/// An image with one layer, ready to be pushed: the blobs first, then the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmallImage {
    /// The Docker v2 schema 2 manifest.
    pub manifest: RawManifest,
    /// Layer and configuration.
    pub blobs: Vec<(Descriptor, Vec<u8>)>,
}

/// The image could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmallImageError {
    /// A path that no layer may hold.
    #[error("`{path}` cannot be the path of a file in an image")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: PathFault,
    },
    /// The layer.
    #[error("the image's layer could not be made")]
    Layer(#[from] PackError),
    /// The configuration.
    #[error("the image's configuration could not be made")]
    Config(#[from] ConfigError),
    /// The JSON writer.
    #[error("the image's documents could not be written")]
    Json(#[from] serde_json::Error),
}

impl SmallImage {
    /// An image for Linux on `arch` with these files (path and content, in any order) and labels.
    ///
    /// # Errors
    /// [`SmallImageError`] for paths that cannot be in an image, or come twice.
    pub fn new(
        arch: &Arch,
        files: &BTreeMap<String, Vec<u8>>,
        labels: BTreeMap<String, String>,
    ) -> Result<Self, SmallImageError> {
        let mut contents: Vec<&[u8]> = files.values().map(Vec::as_slice).collect();
        let mut entries = Vec::new();
        for (path, content) in files.keys().zip(&mut contents) {
            let entry =
                EntryPath::parse(path.as_bytes()).map_err(|source| SmallImageError::Path {
                    path: path.clone(),
                    source,
                })?;
            let size = content.len() as u64;
            entries.push(PackEntry::file(entry, size, content));
        }
        let mut layer = Vec::new();
        let packed = pack(&mut entries, None, Threads::available(), &mut layer)?;
        let edit = ConfigEdit {
            diff_id: packed.diff_id,
            layer_content: format!("{} files", files.len()),
            labels,
            run: None,
            created: Timestamp::UNIX_EPOCH,
        };
        let config = ImageConfig::scratch(arch)
            .with_layer(0, &edit)?
            .to_bytes()?;
        let layer_descriptor = Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_LAYER),
            size: packed.size,
            digest: packed.digest,
        };
        let config_descriptor = Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_CONFIG),
            size: config.len() as u64,
            digest: Digest::of(&config),
        };
        let manifest =
            Manifest::docker(config_descriptor.clone(), vec![layer_descriptor.clone()]).to_raw()?;
        Ok(Self {
            manifest,
            blobs: vec![(layer_descriptor, layer), (config_descriptor, config)],
        })
    }

    /// What a manifest list says of this image.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.manifest.media_type.clone(),
            size: self.manifest.bytes.len() as u64,
            digest: self.manifest.digest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Resolved;
    use crate::layer::{BundleLimits, BundleTree, LayerReader};

    #[test]
    fn the_files_of_a_small_image_can_be_read_back() {
        let files = BTreeMap::from([
            ("manifests/a.yaml".to_owned(), b"a".to_vec()),
            ("metadata/annotations.yaml".to_owned(), b"b".to_vec()),
        ]);
        let image = SmallImage::new(&Arch::amd64(), &files, BTreeMap::new()).unwrap();
        let Resolved::Image(manifest) = image.manifest.read().unwrap() else {
            panic!("a list")
        };
        let (layer, bytes) = &image.blobs[0];
        assert_eq!(manifest.layers, std::slice::from_ref(layer));
        assert_eq!(layer.digest, Digest::of(bytes));
        let mut tree = BundleTree::new(BundleLimits::default());
        tree.apply(&mut LayerReader::open(bytes.as_slice(), 1 << 20).unwrap())
            .unwrap();
        assert_eq!(tree.finish().manifests.unwrap()["a.yaml"], b"a");
    }

    #[test]
    fn a_path_out_of_the_image_is_refused() {
        let files = BTreeMap::from([("../a".to_owned(), Vec::new())]);
        let refused = SmallImage::new(&Arch::amd64(), &files, BTreeMap::new());
        assert!(matches!(refused, Err(SmallImageError::Path { .. })));
    }
}
