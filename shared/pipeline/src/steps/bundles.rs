//! The bundles of a request: pinned, labelled, read.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use iib_bundle::BundleFiles;
use iib_oci::{ImageConfig, Manifest, Pinned};
use iib_ports::Registry;
use iib_request::{PinnedBundle, Unknown};

use super::inputs::pull_spec;
use crate::bundle_image::{read_bundle, read_layers};
use crate::image::Variant;
use crate::labels::{self, label};
use crate::{Deps, ImageError, InputError, StageError, image};

/// Bundles looked up at the same time: enough to hide the round trips, few enough not to be
/// throttled.
const LOOKUPS: usize = 8;

/// Bundles read at the same time: they are small, but each is held in memory.
const READS: usize = 4;

/// A bundle whose labels are not known yet.
pub(crate) struct Resolved {
    requested: String,
    image: Variant,
}

impl Resolved {
    /// The bundle by digest.
    pub(crate) fn pinned(&self) -> &Pinned {
        &self.image.pinned
    }

    /// Its manifest and configuration.
    ///
    /// # Errors
    /// [`ImageError`] naming the image.
    pub(crate) async fn config(
        &self,
        registry: &dyn Registry,
    ) -> Result<(Manifest, ImageConfig), ImageError> {
        self.image.config(registry).await
    }
}

/// Resolves the bundles, keeping their order.
///
/// # Errors
/// [`StageError`] naming the pull spec.
pub(crate) async fn resolve(
    registry: &dyn Registry,
    texts: &[String],
) -> Result<Vec<Resolved>, StageError> {
    let lookups: Vec<_> = texts
        .iter()
        .map(|text| resolve_one(registry, "bundles", text))
        .collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

/// Resolves a bundle of the parameter `field`.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn resolve_one(
    registry: &dyn Registry,
    field: &'static str,
    text: &str,
) -> Result<Resolved, StageError> {
    let image = image::resolve(registry, &pull_spec(field, text)?).await;
    let image = image.map_err(ImageError::of_bundle)?;
    // A list stands for its first entry, as in the reference (worker flows §4).
    let first = image.variants.into_iter().next();
    Ok(Resolved {
        requested: text.to_owned(),
        image: first.ok_or_else(|| ImageError::EmptyList(text.to_owned()))?,
    })
}

/// Reads the package label of each bundle. Where its layers are goes with it, so that nothing is
/// asked for twice.
///
/// # Errors
/// [`StageError`] naming the image.
pub(crate) async fn label_with_packages(
    registry: &dyn Registry,
    bundles: Vec<Resolved>,
) -> Result<Vec<PinnedBundle>, StageError> {
    let lookups: Vec<_> = bundles
        .into_iter()
        .map(|bundle| label_one(registry, bundle))
        .collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

/// The bundles by digest, each with its labels.
///
/// # Errors
/// As [`label_with_packages`].
pub(crate) async fn labelled(
    registry: &dyn Registry,
    bundles: &[Resolved],
) -> Result<Vec<(String, BTreeMap<String, String>)>, ImageError> {
    let lookups: Vec<_> = bundles
        .iter()
        .map(|bundle| async move {
            let (_, config) = bundle.config(registry).await?;
            let labels = config.labels().clone();
            Ok((bundle.pinned().to_string(), labels.into_iter().collect()))
        })
        .collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

/// Sees that the bundles have the labels that the settings ask for.
///
/// # Errors
/// [`InputError::RequiredLabel`], the first; as [`labelled`].
pub(crate) async fn check_labels(
    registry: &dyn Registry,
    bundles: &[Resolved],
    required: &BTreeMap<String, String>,
) -> Result<(), StageError> {
    if required.is_empty() {
        return Ok(());
    }
    for (bundle, labels) in labelled(registry, bundles).await? {
        for (label, value) in required {
            if labels.get(label) != Some(value) {
                return Err(InputError::RequiredLabel {
                    bundle,
                    label: label.clone(),
                    value: value.clone(),
                }
                .into());
            }
        }
    }
    Ok(())
}

async fn label_one(registry: &dyn Registry, bundle: Resolved) -> Result<PinnedBundle, StageError> {
    let (manifest, config) = bundle.image.config(registry).await?;
    let package = label(&config, labels::PACKAGE).filter(|package| !package.is_empty());
    Ok(PinnedBundle {
        requested: bundle.requested,
        pinned: bundle.image.pinned,
        package: package.map(ToOwned::to_owned),
        layers: manifest.layers,
        unknown: Unknown::default(),
    })
}

/// Package to bundles as requested; unlabelled ones are left out (worker flows §4.5).
pub(crate) fn mapping(bundles: &[PinnedBundle]) -> BTreeMap<String, Vec<String>> {
    let mut mapping: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for bundle in bundles {
        if let Some(package) = &bundle.package {
            mapping
                .entry(package.clone())
                .or_default()
                .push(bundle.requested.clone());
        }
    }
    mapping
}

/// The images to read, each once: several pull specs may name the same one.
pub(crate) fn distinct(bundles: &[PinnedBundle]) -> Vec<&PinnedBundle> {
    let mut seen = BTreeSet::new();
    bundles
        .iter()
        .filter(|bundle| seen.insert(bundle.pinned.digest().clone()))
        .collect()
}

pub(crate) type Contents = Vec<Result<BundleFiles, StageError>>;

/// Reads all bundles while the index still downloads. One that cannot be read matters only if
/// it turns out not to be in the index already, so failures are kept, not returned. All that is
/// kept together has the limit of a single bundle, because it is in memory at the same time.
pub(crate) async fn read(
    deps: &Deps,
    registry: &dyn Registry,
    wanted: &[&PinnedBundle],
) -> Result<Contents, std::convert::Infallible> {
    let limit = deps.work.max_bundle_bytes;
    let reads: Vec<_> = wanted
        .iter()
        .map(|bundle| read_one(registry, bundle, limit))
        .collect();
    let mut reads = stream::iter(reads).buffered(READS);
    let (mut held, mut contents) = (0, Vec::new());
    while let Some(read) = reads.next().await {
        contents.push(read.and_then(|files| {
            held += size(&files);
            if held > limit {
                Err(InputError::BundlesTooLarge { limit }.into())
            } else {
                Ok(files)
            }
        }));
    }
    Ok(contents)
}

async fn read_one(
    registry: &dyn Registry,
    bundle: &PinnedBundle,
    limit: u64,
) -> Result<BundleFiles, StageError> {
    // A plan of an older version does not say where the layers are.
    if bundle.layers.is_empty() {
        return read_bundle(registry, &bundle.pinned.to_pull_spec(), limit).await;
    }
    let (repository, name) = (bundle.pinned.repository(), bundle.pinned.to_string());
    read_layers(registry, repository, &name, &bundle.layers, limit).await
}

fn size(files: &BundleFiles) -> u64 {
    let metadata = files.metadata.iter().flat_map(|files| files.values());
    files
        .manifests
        .values()
        .chain(metadata)
        .map(|content| content.len() as u64)
        .sum()
}
