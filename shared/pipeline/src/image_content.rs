//! What an image has, whatever kind of image it is.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use iib_bundle::BundleFiles;
use iib_oci::PullSpec;
use iib_oci::layer::{EntryPath, FolderTree, LayerError, LayerReader};
use iib_ports::Registry;

use crate::image;
use crate::labels;
use crate::linked_file::Layers;
use crate::transfer::{blocking, check_size, read_blob};
use crate::{ImageError, IndexCopy, IndexError, StageError, WorkError, read_bundle};

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

/// Files and directories of a catalog at most: two orders above the largest one known.
const CATALOG_FILES: usize = 200_000;

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
        let catalog = folder.join("catalog");
        fetch_catalog(registry, &image, path, &catalog, limits.index_bytes).await?;
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
) -> Result<(), StageError> {
    let variant = &image.any()?.pinned;
    let name = variant.to_string();
    let missing = || IndexError::NoCatalog {
        image: name.clone(),
        path: path.to_owned(),
    };
    let root = EntryPath::parse(path.trim_start_matches('/').as_bytes());
    let mut tree = FolderTree::new(root.map_err(|_| missing())?, CATALOG_FILES);
    let manifest = image::manifest(registry, variant).await?;
    let mut left = limit;
    for layer in manifest.layers.iter().rev() {
        if tree.is_settled() {
            break;
        }
        check_size(&name, layer, left)?;
        let doing = format!("Failed to read a layer of the index image {name}");
        let (image, target) = (name.clone(), folder.to_owned());
        let read = read_blob(
            registry,
            variant.repository(),
            layer,
            &doing,
            move |reader| {
                let refused = |source| ImageError::Layer { image, source };
                LayerReader::open(reader, left)
                    .and_then(|mut layer| {
                        tree.apply(&mut layer, |path, mode| create(&target.join(path), mode))?;
                        let unpacked = layer.finish()?.unpacked_size;
                        Ok((tree, left.saturating_sub(unpacked)))
                    })
                    .map_err(refused)
            },
        );
        (tree, left) = read.await?;
    }
    let links = tree.links().to_vec();
    for link in links.iter().filter(|link| link.copy_of.is_none()) {
        let layers = Layers {
            registry,
            repository: variant.repository(),
            image: &name,
            layers: manifest.layers.iter().rev().skip(link.layer).collect(),
            limit,
        };
        let path = folder.join(&link.path);
        // Its bits come last: they may forbid to write it.
        let file = layers
            .read(link, || create(&path, WRITABLE).map_err(not_written))
            .await?;
        let mode = Permissions::from_mode(link.mode);
        file.set_permissions(mode).map_err(not_written)?;
    }
    let directories = tree.finish().ok_or_else(missing)?;
    let folder = folder.to_owned();
    blocking(move || -> Result<(), StageError> {
        let scratch = not_written;
        // Copies take room as if they had been in the layer.
        let mut left = left;
        for link in &links {
            if let Some(original) = &link.copy_of {
                let mut original = File::open(folder.join(original)).map_err(scratch)?;
                let size = original.metadata().map_err(scratch)?.len();
                left = left.checked_sub(size).ok_or_else(|| ImageError::Layer {
                    image: name.clone(),
                    source: LayerError::TooLarge { limit },
                })?;
                let mut file = create(&folder.join(&link.path), WRITABLE).map_err(scratch)?;
                io::copy(&mut original, &mut file).map_err(scratch)?;
                let mode = Permissions::from_mode(link.mode);
                file.set_permissions(mode).map_err(scratch)?;
            }
        }
        // From the lowest up, because bits may take away the right to go further down.
        for (below, mode) in directories.iter().rev() {
            let path = folder.join(below);
            fs::create_dir_all(&path).map_err(scratch)?;
            fs::set_permissions(&path, Permissions::from_mode(*mode)).map_err(scratch)?;
        }
        Ok(())
    })
    .await
}

/// The bits of a file that is still written to.
const WRITABLE: u32 = 0o600;

fn not_written(source: io::Error) -> WorkError {
    WorkError::Scratch {
        action: "written",
        source,
    }
}

/// Permission bits count: the digest of a serve cache is made over them.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}
