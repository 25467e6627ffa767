//! Images that are one layer on top of others: one for each architecture, a manifest list over them
//! (worker flows §5). What is in the layer is not told apart here.

mod assemble;
mod blobs;

use std::sync::Arc;

pub(crate) use assemble::Edit;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{
    Arch, Descriptor, Digest, ImageConfig, ImageFormat, ManifestList, ManifestListEntry, Pinned,
    Platform, PullSpec, RawManifest, Reference, Repository,
};
use iib_ports::{ArtifactKey, Artifacts, BlobSource, BlobStream, Registry, RegistryError};
use iib_request::BuiltLayer;

use crate::{ImageError, StageError, WorkError, image};

/// Blobs and manifests moved at the same time: layers of a few architectures side by side,
/// without flooding the registry.
const MOVES: usize = 4;

/// What an image is built on.
pub(crate) struct Base {
    /// The image, for messages.
    name: String,
    /// Where its layers are; `None` if it has none.
    repository: Option<Repository>,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) config: ImageConfig,
    /// The layer that was taken away to be replaced.
    pub(crate) replaced: Option<Digest>,
}

/// The layer on top, the same for all architectures.
pub(crate) struct TopLayer {
    pub(crate) descriptor: Descriptor,
    /// Digest of the unpacked layer.
    pub(crate) diff_id: Digest,
}

/// An image for one architecture, ready to be pushed.
pub(crate) struct LayeredImage {
    pub(crate) arch: Arch,
    variant: Option<String>,
    manifest: RawManifest,
    config: Descriptor,
    config_bytes: Bytes,
    /// Layers of the image it is built on.
    base_layers: Vec<Descriptor>,
    /// Where those are.
    base: Option<Repository>,
}

impl Base {
    /// Nothing: an image with the layer alone.
    pub(crate) fn scratch(arch: &Arch) -> Self {
        Self {
            name: "scratch".to_owned(),
            repository: None,
            layers: Vec::new(),
            config: ImageConfig::scratch(arch),
            replaced: None,
        }
    }

    /// An image in a registry.
    ///
    /// # Errors
    /// As [`image::config`].
    pub(crate) async fn image(registry: &dyn Registry, image: &Pinned) -> Result<Self, StageError> {
        let (manifest, config) = image::config(registry, image).await?;
        Ok(Self {
            name: image.to_string(),
            repository: Some(image.repository().clone()),
            layers: manifest.layers,
            config,
            replaced: None,
        })
    }
}

impl Base {
    /// Takes the layer on top away if its history says that it was made here, with just this
    /// content.
    pub(crate) fn remove_layer(&mut self, content: &str) {
        if let Some(config) = self.config.without_layer(content)
            && let Some(layer) = self.layers.pop()
        {
            self.config = config;
            self.replaced = Some(layer.digest);
        }
    }
}

impl LayeredImage {
    /// The digest of its manifest.
    pub(crate) fn digest(&self) -> Digest {
        self.manifest.digest()
    }
}

/// Pushes blobs, and then the images under what `reference` says. `layer` comes with its content; what
/// the images are built on is read through `from`.
///
/// # Errors
/// [`ImageError::Registry`].
pub(crate) async fn push_images(
    registry: &dyn Registry,
    from: &Arc<dyn Registry>,
    to: &PullSpec,
    images: &[LayeredImage],
    layer: (&TopLayer, &dyn BlobSource),
    reference: impl Fn(&LayeredImage) -> Reference,
) -> Result<(), ImageError> {
    blobs::push_blobs(registry, from, to.repository(), images, layer).await?;
    let pushes: Vec<_> = images
        .iter()
        .map(|image| push_image(registry, to, image, reference(image)))
        .collect();
    stream::iter(pushes)
        .buffer_unordered(MOVES)
        .try_collect()
        .await
}

async fn push_image(
    registry: &dyn Registry,
    to: &PullSpec,
    image: &LayeredImage,
    reference: Reference,
) -> Result<(), ImageError> {
    let pushed = registry
        .push_manifest(to.repository(), &reference, &image.manifest)
        .await;
    pushed.map_err(|source| ImageError::Registry {
        doing: format!(
            "Failed to push the container image to docker://{to}-{arch} for the arch {arch}",
            arch = image.arch
        ),
        source,
    })
}

/// Pushes the manifest list under a tag.
///
/// # Errors
/// [`ImageError::Registry`].
pub(crate) async fn push_list(
    registry: &dyn Registry,
    target: &PullSpec,
    list: &RawManifest,
) -> Result<(), ImageError> {
    registry
        .push_manifest(target.repository(), target.reference(), list)
        .await
        .map_err(|source| ImageError::Registry {
            doing: format!("Failed to push the manifest list to {target}"),
            source,
        })
}

/// The list over the images, which are of the same format.
///
/// # Errors
/// [`WorkError::Write`], which does not happen.
pub(crate) fn manifest_list(
    format: ImageFormat,
    images: &[LayeredImage],
) -> Result<RawManifest, WorkError> {
    let entries = images.iter().map(|image| ManifestListEntry {
        descriptor: Descriptor {
            media_type: image.manifest.media_type.clone(),
            size: image.manifest.bytes.len() as u64,
            digest: image.manifest.digest(),
        },
        platform: Some(Platform {
            variant: image.variant.clone(),
            ..Platform::linux(&image.arch)
        }),
        artifact_type: None,
    });
    ManifestList::of(format, entries.collect())
        .to_raw()
        .map_err(WorkError::Write)
}

/// A layer in the artifact store.
pub(crate) struct StoredLayer {
    artifacts: Arc<dyn Artifacts>,
    key: ArtifactKey,
}

impl StoredLayer {
    /// The layer that mutate made, and its content.
    ///
    /// # Errors
    /// [`WorkError::Incomplete`] for a record that lacks something.
    pub(crate) fn of(
        built: BuiltLayer,
        artifacts: &Arc<dyn Artifacts>,
    ) -> Result<(TopLayer, Self), WorkError> {
        let layer = TopLayer {
            descriptor: built.layer,
            diff_id: built.diff_id,
        };
        let content = Self {
            artifacts: artifacts.clone(),
            key: (built.artifact.parse()).map_err(|_| WorkError::Incomplete("mutate"))?,
        };
        Ok((layer, content))
    }
}

#[async_trait]
impl BlobSource for StoredLayer {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let key = self.key.clone();
        let failed = move |error| RegistryError::Source {
            what: format!("artifact {key}"),
            source: Box::new(error),
        };
        let stream = self
            .artifacts
            .get(&self.key)
            .await
            .map_err(failed.clone())?;
        Ok(Box::pin(stream.map_err(failed)))
    }
}
