//! Reading the contents of images: the files of a bundle, the database of an index.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_bundle::BundleFiles;
use iib_catalog::CatalogShape;
use iib_oci::layer::{
    BundleLimits, BundleTree, EntryPath, Extracted, LayerError, LayerReader, PieceTable, Threads,
    unpack,
};
use iib_oci::{Descriptor, PullSpec};
use iib_ports::{IndexDb, Registry};
use iib_request::{IndexForm, IndexToRead};

use crate::linked_file::{CHAIN_LIMIT, Layers};
use crate::transfer::{blocking, read_blob};
use crate::{IndexCopy, StageError, image};

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
    let name = bundle.to_string();
    let mut tree = BundleTree::new(BundleLimits::default());
    let mut left = limit;
    for layer in &manifest.layers {
        check_size(&name, layer, left)?;
        let doing = format!("Failed to read a layer of the bundle {name}");
        let image = name.clone();
        (tree, left) = read_blob(
            registry,
            bundle.repository(),
            layer,
            &doing,
            move |reader| {
                let unpacked = apply(&mut tree, reader, left)
                    .map_err(|source| StageError::Layer { image, source })?;
                Ok((tree, left.saturating_sub(unpacked)))
            },
        )
        .await?;
    }
    for link in tree.links() {
        let layers = Layers {
            registry,
            repository: bundle.repository(),
            image: &name,
            layers: manifest.layers.iter().take(link.layer + 1).rev().collect(),
            limit,
        };
        let content = layers.read(&link, || Ok(Vec::new())).await?;
        let settled = tree.settle(&link, content);
        settled.map_err(|source| StageError::Layer {
            image: name.clone(),
            source,
        })?;
    }
    let content = tree.finish();
    Ok(BundleFiles {
        manifests: content.manifests.unwrap_or_default(),
        metadata: content.metadata,
    })
}

fn apply(tree: &mut BundleTree, reader: impl Read, limit: u64) -> Result<u64, LayerError> {
    let mut layer = LayerReader::open(reader, limit)?;
    tree.apply(&mut layer)?;
    Ok(layer.finish()?.unpacked_size)
}

/// A layer that says itself that it is too large is not even begun.
pub(crate) fn check_size(image: &str, layer: &Descriptor, limit: u64) -> Result<(), StageError> {
    if layer.size > limit {
        return Err(StageError::Layer {
            image: image.to_owned(),
            source: LayerError::TooLarge { limit },
        });
    }
    Ok(())
}

/// The layer a database came from, for taking over what did not change.
#[derive(Debug, Clone)]
pub(crate) struct InputLayer {
    /// Its pieces, if it is in our own form.
    pub(crate) pieces: PieceTable,
    /// Its compressed bytes.
    pub(crate) file: PathBuf,
}

/// Copies the database of an index to `database`. The layers are looked at from the top, because
/// the highest one that has the file counts, and mostly it is the only one.
///
/// # Errors
/// [`StageError`] naming the image.
pub(crate) async fn fetch_database(
    registry: &dyn Registry,
    index: &IndexToRead,
    database: &Path,
    limit: u64,
) -> Result<Option<InputLayer>, StageError> {
    let name = index.resolved.to_string();
    let IndexForm::Database(path) = &index.form;
    let missing = || StageError::NoDatabase {
        image: name.clone(),
        path: path.clone(),
    };
    let mut wanted = EntryPath::parse(path.as_bytes()).map_err(|_| StageError::DatabasePath {
        image: name.clone(),
        path: path.clone(),
    })?;
    let manifest = image::manifest(registry, &index.image).await?;
    let mut layers = manifest.layers.iter().rev().peekable();
    let mut followed = 0;
    while let Some(layer) = layers.peek() {
        check_size(&name, layer, limit)?;
        let doing = format!("Failed to read a layer of the index image {name}");
        let (image, wanted_here, target) = (name.clone(), wanted.clone(), database.to_owned());
        let copy = database.with_extension("layer");
        let copy_of_layer = copy.clone();
        let unpacked = read_blob(
            registry,
            index.image.repository(),
            layer,
            &doing,
            move |reader| {
                let scratch = |action| move |source| StageError::Scratch { action, source };
                let mut sink = File::create(&target).map_err(scratch("created"))?;
                let mut copy = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&copy_of_layer)
                    .map_err(scratch("created"))?;
                let threads = Threads::available();
                unpack(reader, &mut copy, &wanted_here, &mut sink, limit, threads)
                    .map_err(|source| StageError::Layer { image, source })
            },
        )
        .await?;
        match unpacked.file {
            Extracted::Found { .. } => {
                return Ok(unpacked
                    .pieces
                    .map(|pieces| InputLayer { pieces, file: copy }));
            }
            // What it is another name of is in the same layer or below.
            Extracted::Linked { target } if followed < CHAIN_LIMIT => {
                wanted = target;
                followed += 1;
            }
            Extracted::WhitedOut | Extracted::Linked { .. } => return Err(missing()),
            Extracted::Absent => {
                layers.next();
            }
        }
    }
    Err(missing())
}

/// The catalog of an index image: packages, channels, heads, bundles. Its database is copied to
/// the folder `scratch` on the way.
///
/// # Errors
/// [`StageError`] naming the image.
pub async fn read_catalog(
    registry: &dyn Registry,
    index_db: Arc<dyn IndexDb>,
    index: &PullSpec,
    scratch: &Path,
    limit: u64,
) -> Result<CatalogShape, StageError> {
    let index = IndexCopy::fetch(registry, index, scratch, limit).await?;
    blocking(move || {
        let image = index.resolved().to_string();
        index_db
            .shape(index.database())
            .map_err(|source| StageError::IndexDb { image, source })
    })
    .await
}
