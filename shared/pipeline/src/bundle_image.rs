//! Reading the files of a bundle image.

use std::collections::BTreeMap;
use std::io::Read;

use futures::{StreamExt as _, stream};
use iib_bundle::BundleFiles;
use iib_oci::layer::{BundleContent, BundleLimits, BundleTree, Depth, LayerError, LayerReader};
use iib_oci::{Descriptor, PullSpec, Repository};
use iib_ports::Registry;

use crate::linked_file::Layers;
use crate::transfer::{check_size, read_opened};
use crate::{BundleError, ImageError, StageError, image};

/// Reads the files of a bundle image: `/manifests` and `/metadata`, layers applied in order. A
/// manifest list stands for its first image.
///
/// # Errors
/// [`StageError`] naming the image. At most `limit` bytes are unpacked of its layers together; a hard
/// link to a file elsewhere may take as much once more.
pub async fn read_bundle(
    registry: &dyn Registry,
    bundle: &PullSpec,
    limit: u64,
) -> Result<BundleFiles, StageError> {
    let manifest = image::first_manifest(registry, bundle).await?;
    let (repository, name) = (bundle.repository(), bundle.to_string());
    read_layers(registry, repository, &name, &manifest.layers, limit).await
}

/// The layers of a bundle, the lowest first; of a list, those of the image that [`image::Image::any`] takes, which is
/// the one that today's service pulls.
///
/// # Errors
/// [`ImageError`] naming the image.
pub(crate) async fn any_layers(
    registry: &dyn Registry,
    bundle: &PullSpec,
) -> Result<Vec<Descriptor>, ImageError> {
    let image = image::resolve(registry, bundle).await?;
    let any = image.any()?;
    Ok(match &any.manifest {
        Some(known) => known.layers.clone(),
        None => image::manifest(registry, &any.pinned).await?.layers,
    })
}

/// All files below `/manifests` and `/metadata` of a bundle whose layers are known, at any depth, by their paths.
///
/// # Errors
/// As [`read_bundle`]; [`BundleError::NoManifests`].
pub(crate) async fn read_all(
    registry: &dyn Registry,
    repository: &Repository,
    name: &str,
    layers: &[Descriptor],
    limit: u64,
) -> Result<BTreeMap<String, Vec<u8>>, StageError> {
    let content = read(registry, repository, name, layers, limit, Depth::All).await?;
    let of = |folder: &'static str, files: BTreeMap<String, Vec<u8>>| {
        let files = files.into_iter();
        files.map(move |(file, content)| (format!("{folder}/{file}"), content))
    };
    let manifests = content.manifests;
    let manifests = manifests.ok_or_else(|| BundleError::NoManifests(name.to_owned()))?;
    Ok(of("manifests", manifests)
        .chain(of("metadata", content.metadata.unwrap_or_default()))
        .collect())
}

/// Those of a bundle whose layers are known, the lowest first. `name` is that of the image, for messages.
///
/// # Errors
/// As [`read_bundle`].
pub(crate) async fn read_layers(
    registry: &dyn Registry,
    repository: &Repository,
    name: &str,
    layers: &[Descriptor],
    limit: u64,
) -> Result<BundleFiles, StageError> {
    let content = read(registry, repository, name, layers, limit, Depth::Direct).await?;
    Ok(BundleFiles {
        manifests: content.manifests.unwrap_or_default(),
        metadata: content.metadata,
    })
}

async fn read(
    registry: &dyn Registry,
    repository: &Repository,
    name: &str,
    layers: &[Descriptor],
    limit: u64,
    depth: Depth,
) -> Result<BundleContent, StageError> {
    let mut tree = BundleTree::new(BundleLimits::default()).with_depth(depth);
    let mut left = limit;
    // While one is read the next is on its way.
    let downloads: Vec<_> = layers
        .iter()
        .map(|layer| registry.blob(repository, layer))
        .collect();
    let mut opened = stream::iter(downloads)
        .buffered(2)
        .zip(stream::iter(layers));
    while let Some((blob, layer)) = opened.next().await {
        check_size(name, layer, left)?;
        let doing = format!("Failed to read a layer of the bundle {name}");
        let image = name.to_owned();
        (tree, left) = read_opened(blob, &doing, move |reader| {
            let unpacked = apply(&mut tree, reader, left);
            unpacked
                .map(|unpacked| (tree, left.saturating_sub(unpacked)))
                .map_err(|source| ImageError::Layer { image, source })
        })
        .await?;
    }
    for link in tree.links() {
        let layers = Layers {
            registry,
            repository,
            image: name,
            layers: layers.iter().take(link.layer + 1).rev().collect(),
            limit,
        };
        let content = layers.read(&link, || Ok(Vec::new())).await?;
        let settled = tree.settle(&link, content);
        settled.map_err(|source| ImageError::Layer {
            image: name.to_owned(),
            source,
        })?;
    }
    Ok(tree.finish())
}

fn apply(tree: &mut BundleTree, reader: impl Read, limit: u64) -> Result<u64, LayerError> {
    let mut layer = LayerReader::open(reader, limit)?;
    tree.apply(&mut layer)?;
    Ok(layer.finish()?.unpacked_size)
}
