//! Making every blob of the images available in the output repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{Descriptor, Digest, Repository};
use iib_ports::{BlobSource, BlobStream, InMemory, Registry, RegistryError};

use super::{LayeredImage, MOVES, TopLayer};
use crate::ImageError;

/// Makes every blob of the images available in a repository, each once. `from` reads layers of the
/// base images.
pub(super) async fn push_blobs(
    registry: &dyn Registry,
    from: &Arc<dyn Registry>,
    to: &Repository,
    images: &[LayeredImage],
    (layer, content): (&TopLayer, &dyn BlobSource),
) -> Result<(), ImageError> {
    let mut blobs: BTreeMap<&Digest, Blob<'_>> = BTreeMap::new();
    for image in images {
        for layer in &image.base_layers {
            if let Some(from) = &image.base {
                blobs
                    .entry(&layer.digest)
                    .or_insert(Blob::Base(layer, from));
            }
        }
        blobs.insert(
            &image.config.digest,
            Blob::Config(&image.config, &image.config_bytes),
        );
    }
    let layer = &layer.descriptor;
    blobs.insert(&layer.digest, Blob::Top(layer, content));
    let uploads: Vec<_> = blobs
        .into_values()
        .map(|blob| push_blob(registry, from, to, blob))
        .collect();
    stream::iter(uploads)
        .buffer_unordered(MOVES)
        .try_collect()
        .await
}

async fn push_blob(
    registry: &dyn Registry,
    from: &Arc<dyn Registry>,
    to: &Repository,
    blob: Blob<'_>,
) -> Result<(), ImageError> {
    provide(registry, from, to, &blob)
        .await
        .map_err(|source| ImageError::Registry {
            doing: format!("Failed to push blob {} to {to}", blob.descriptor().digest),
            source,
        })
}

/// A blob and where its content is.
enum Blob<'a> {
    Base(&'a Descriptor, &'a Repository),
    Config(&'a Descriptor, &'a Bytes),
    Top(&'a Descriptor, &'a dyn BlobSource),
}

impl Blob<'_> {
    fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Base(descriptor, _) | Self::Config(descriptor, _) | Self::Top(descriptor, _) => {
                descriptor
            }
        }
    }
}

/// Asks first, mounts second, moves bytes last.
async fn provide(
    registry: &dyn Registry,
    reading: &Arc<dyn Registry>,
    to: &Repository,
    blob: &Blob<'_>,
) -> Result<(), RegistryError> {
    let descriptor = blob.descriptor();
    if registry.has_blob(to, &descriptor.digest).await? {
        return Ok(());
    }
    match blob {
        Blob::Base(_, from) => {
            if registry.mount_blob(to, from, &descriptor.digest).await? {
                return Ok(());
            }
            let elsewhere = Elsewhere {
                registry: reading.clone(),
                repository: (*from).clone(),
                descriptor: descriptor.clone(),
            };
            registry.push_blob(to, descriptor, &elsewhere).await
        }
        Blob::Config(_, bytes) => {
            registry
                .push_blob(to, descriptor, &InMemory((*bytes).clone()))
                .await
        }
        Blob::Top(_, content) => registry.push_blob(to, descriptor, *content).await,
    }
}

/// A layer of the base, read from where it is.
struct Elsewhere {
    registry: Arc<dyn Registry>,
    repository: Repository,
    descriptor: Descriptor,
}

#[async_trait]
impl BlobSource for Elsewhere {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        self.registry.blob(&self.repository, &self.descriptor).await
    }
}
