//! What an image has, whatever kind of image it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_bundle::BundleFiles;
use iib_oci::PullSpec;
use iib_oci::layer::EntryPath;
use iib_ports::Registry;

use crate::labels;
use crate::parts::{self, Copy};
use crate::{ImageError, IndexCopy, IndexError, StageError, Unpacked, image, read_bundle};

/// What was found in an image.
#[derive(Debug)]
pub enum ImageContent {
    /// An index with a database.
    Database(Box<IndexCopy>),
    /// An index with a file-based catalog, which is in this folder.
    Catalog(PathBuf),
    /// A bundle.
    Bundle(BundleFiles),
}

/// How much is read of an image.
#[derive(Debug, Clone, Copy)]
pub struct ContentLimits {
    /// Unpacked bytes of an index.
    pub index_bytes: u64,
    /// Unpacked bytes of a bundle.
    pub bundle_bytes: u64,
}

/// Reads what the labels of an image promise; what is large goes to `folder`, which is empty. A
/// database comes before a catalog (the reference's `render` has this order).
///
/// # Errors
/// [`StageError`] naming the image.
pub async fn fetch_content(
    registry: &dyn Registry,
    spec: &PullSpec,
    folder: &Path,
    limits: ContentLimits,
) -> Result<ImageContent, StageError> {
    let image = image::resolve(registry, spec).await?;
    let (_, config) = image::config(registry, &image.any()?.pinned).await?;
    let found = config.labels();
    if found.contains_key(labels::DATABASE) {
        let copy = IndexCopy::fetch(registry, spec, folder, limits.index_bytes).await?;
        Ok(ImageContent::Database(Box::new(copy)))
    } else if let Some(path) = found.get(labels::CONFIGS) {
        let catalog = fetch_catalog(registry, &image, path, folder, limits.index_bytes).await?;
        Ok(ImageContent::Catalog(catalog))
    } else if found.contains_key(labels::PACKAGE) {
        let files = read_bundle(registry, spec, limits.bundle_bytes).await?;
        Ok(ImageContent::Bundle(files))
    } else {
        Err(ImageError::UnknownKind(spec.to_string()).into())
    }
}

/// Copies the folder of a catalog out of an image.
async fn fetch_catalog(
    registry: &dyn Registry,
    image: &image::Image,
    path: &str,
    folder: &Path,
    limit: u64,
) -> Result<PathBuf, StageError> {
    let variant = &image.any()?.pinned;
    let missing = || IndexError::NoCatalog {
        image: variant.to_string(),
        path: path.to_owned(),
    };
    let root = EntryPath::parse(path.as_bytes()).map_err(|_| missing())?;
    let catalog = folder.join("catalog");
    let copies = [Copy::folder(root, catalog.clone())];
    let unpacked = Arc::new(Unpacked::off());
    match parts::copy(registry, variant, &copies, folder, limit, &unpacked)
        .await?
        .found[..]
    {
        [true] => Ok(catalog),
        _ => Err(missing().into()),
    }
}
