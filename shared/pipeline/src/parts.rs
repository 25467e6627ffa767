//! Parts of an image, copied to files of this machine.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_oci::layer::{EntryPath, FolderTree, LayerError, Part, PieceTable, Threads, unpack_tree};
use iib_oci::{Descriptor, Digest, Pinned, Repository};
use iib_ports::Registry;

use crate::linked_file::Layers;
use crate::transfer::{blocking, check_size, read_blob};
use crate::unpacked::{Held, Made, Manner, Unpacked, parts_of};
use crate::{ImageError, StageError, WorkError, image};

/// A part of an image, and where its copy goes: a file, or a folder that is absent or empty.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) part: Part,
    pub(crate) to: PathBuf,
}

impl Copy {
    /// A folder of the image.
    pub(crate) fn folder(path: EntryPath, to: PathBuf) -> Self {
        let part = Part::Folder(path);
        Self { part, to }
    }

    /// A file of the image.
    pub(crate) fn file(path: EntryPath, to: PathBuf) -> Self {
        let part = Part::File(path);
        Self { part, to }
    }

    /// Where the copy of a path goes that is in this part.
    fn target(&self, path: &EntryPath) -> Option<PathBuf> {
        let (Part::Folder(root) | Part::File(root)) = &self.part;
        let below = path.as_str().strip_prefix(root.as_str())?;
        match (below.strip_prefix('/'), below.is_empty()) {
            (Some(below), _) => Some(self.to.join(below)),
            (None, true) => Some(self.to.clone()),
            (None, false) if root.as_str().is_empty() => Some(self.to.join(below)),
            (None, false) => None,
        }
    }
}

/// The layer in our own form that things came from, for taking over what did not change.
#[derive(Debug, Clone)]
pub(crate) struct InputLayer {
    /// Its pieces.
    pub(crate) pieces: PieceTable,
    /// Its compressed bytes.
    pub(crate) file: PathBuf,
}

/// What was copied.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Of each part, whether the image has it.
    pub(crate) found: Vec<bool>,
    /// The highest layer that is in our own form.
    pub(crate) input: Option<InputLayer>,
    /// The catalog that was copied, if it was made on this machine before.
    pub(crate) made: Option<Made>,
}

/// Files and directories that are copied from one image at most: two orders above the largest
/// catalog known.
const FILES: usize = 200_000;
/// How much room a layer may take, as a multiple of its compressed bytes: databases shrink to a seventh, and the database, its
/// journal and two layers are on the disk at once.
const ROOM: u64 = 16;

/// Copies parts of an image. Its layers are looked at from the top down, each once, until nothing of
/// the parts can be below. At most `limit` bytes are unpacked. `scratch` is a folder for copies of
/// layers. What was unpacked before is not unpacked again.
///
/// # Errors
/// [`StageError`] naming the image.
pub(crate) async fn copy(
    registry: &dyn Registry,
    image: &Pinned,
    copies: &[Copy],
    scratch: &Path,
    limit: u64,
    unpacked: &Arc<Unpacked>,
) -> Result<Copied, StageError> {
    let name = image.to_string();
    let manifest = image::manifest(registry, image).await?;
    let names = parts_of(copies);
    let layers = manifest.layers.iter().rev().enumerate();
    let layers: Vec<(usize, &Descriptor)> = layers
        .filter(|(_, layer)| !unpacked.is_without(&layer.digest, &names))
        .collect();
    let digests: Vec<Digest> = layers
        .iter()
        .map(|(_, layer)| layer.digest.clone())
        .collect();
    {
        let (unpacked, repository) = (unpacked.clone(), image.repository().clone());
        let (copies, scratch) = (copies.to_vec(), scratch.to_owned());
        let take = move || {
            let taken = unpacked.take(&repository, &digests, &copies, &scratch, limit);
            Ok::<_, StageError>(taken)
        };
        if let Some(copied) = blocking(take).await? {
            return Ok(copied);
        }
    }
    let parts = copies.iter().map(|copy| copy.part.clone()).collect();
    let mut tree = FolderTree::new(parts, FILES);
    let (mut left, mut input, mut read_layers) = (limit, None, Vec::new());
    // The tree counts the layers that it was shown.
    let mut shown = Vec::new();
    for (number, layer) in layers {
        if tree.is_settled() {
            break;
        }
        let entries = tree.entries();
        shown.push(number);
        check_size(&name, layer, left)?;
        {
            let (unpacked, scratch) = (unpacked.clone(), scratch.to_owned());
            let bytes = layer.size.saturating_mul(ROOM).min(left);
            blocking(move || {
                unpacked.make_way(&scratch, bytes);
                Ok::<_, StageError>(())
            })
            .await?;
        }
        let doing = format!("Failed to read a layer of the index image {name}");
        let (image_name, copies) = (name.clone(), copies.to_vec());
        let kept = scratch.join(format!("input-{number}.layer"));
        let read = read_blob(
            registry,
            image.repository(),
            layer,
            &doing,
            move |reader| -> Result<_, StageError> {
                let mut file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&kept)
                    .map_err(not_written)?;
                let create = |path: &EntryPath, mode| {
                    let copy = copies
                        .iter()
                        .find(|copy| copy.part == Part::File(path.clone()));
                    // A file is to be worked on; that of a folder is to be as it was.
                    let mode = if copy.is_some() { WRITABLE } else { mode };
                    create(&target(&copies, path)?, mode)
                };
                let threads = Threads::available();
                let read = unpack_tree(reader, &mut file, &mut tree, create, left, threads);
                let (digests, pieces) = read.map_err(|source| ImageError::Layer {
                    image: image_name,
                    source,
                })?;
                if pieces.is_none() {
                    fs::remove_file(&kept).map_err(not_written)?;
                }
                let input = pieces.map(|pieces| InputLayer { pieces, file: kept });
                Ok((tree, left.saturating_sub(digests.unpacked_size), input))
            },
        );
        let layer_input;
        (tree, left, layer_input) = read.await?;
        match tree.entries() == entries {
            true => unpacked.note_without(&layer.digest, &names),
            false => read_layers.push(layer.digest.clone()),
        }
        input = input.or(layer_input);
    }
    let settles = tree.is_settled();
    let links = tree.links().to_vec();
    for link in links.iter().filter(|link| !link.is_read) {
        let layers = Layers {
            registry,
            repository: image.repository(),
            image: &name,
            layers: (manifest.layers.iter().rev())
                .skip(shown.get(link.layer).copied().unwrap_or_default())
                .collect(),
            limit,
        };
        let path = target(copies, &link.path).map_err(not_written)?;
        // Its bits come last: they may forbid to write it.
        let file = layers
            .read(link, || create(&path, WRITABLE).map_err(not_written))
            .await?;
        let mode = Permissions::from_mode(link.mode);
        file.set_permissions(mode).map_err(not_written)?;
    }
    let is_whole = links.is_empty();
    let all_copies = copies;
    let found = copies.iter().map(|copy| tree.has(&copy.part)).collect();
    let directories = tree.into_directories();
    let copies = copies.to_vec();
    blocking(move || -> Result<(), StageError> {
        // Copies take room as if they had been in the layer.
        let mut left = left;
        for link in links.iter().filter(|link| link.is_read) {
            let original = target(&copies, &link.target).map_err(not_written)?;
            let mut original = File::open(original).map_err(not_written)?;
            let size = original.metadata().map_err(not_written)?.len();
            left = left.checked_sub(size).ok_or_else(|| ImageError::Layer {
                image: name.clone(),
                source: LayerError::TooLarge { limit },
            })?;
            let path = target(&copies, &link.path).map_err(not_written)?;
            let mut file = create(&path, WRITABLE).map_err(not_written)?;
            io::copy(&mut original, &mut file).map_err(not_written)?;
            let mode = Permissions::from_mode(link.mode);
            file.set_permissions(mode).map_err(not_written)?;
        }
        // From the lowest up, because bits may take away the right to go further down.
        for (path, mode) in directories.iter().rev() {
            let path = target(&copies, path).map_err(not_written)?;
            fs::create_dir_all(&path).map_err(not_written)?;
            fs::set_permissions(&path, Permissions::from_mode(*mode)).map_err(not_written)?;
        }
        Ok(())
    })
    .await?;
    let copied = Copied {
        found,
        input,
        made: None,
    };
    if is_whole && unpacked.was_read(&read_layers, &names) {
        let repository = image.repository().clone();
        return keep(
            unpacked,
            copied,
            repository,
            read_layers,
            settles,
            all_copies,
        )
        .await;
    }
    Ok(copied)
}

/// Keeps a copy of what was read.
async fn keep(
    unpacked: &Arc<Unpacked>,
    copied: Copied,
    repository: Repository,
    layers: Vec<Digest>,
    settles: bool,
    copies: &[Copy],
) -> Result<Copied, StageError> {
    let (unpacked, copies) = (unpacked.clone(), copies.to_vec());
    let keep = move || {
        let held = Held {
            repositories: &[repository].into(),
            layers: &layers,
            settles,
            copies: &copies,
            found: &copied.found,
            input: copied.input.as_ref(),
            made: None,
        };
        unpacked.keep(&held, Manner::Copy);
        Ok::<_, StageError>(copied)
    };
    blocking(keep).await
}

fn target(copies: &[Copy], path: &EntryPath) -> io::Result<PathBuf> {
    let target = copies.iter().find_map(|copy| copy.target(path));
    target.ok_or_else(|| io::Error::other("it is in no part that is copied"))
}

/// The bits of a file that is still written to.
pub(crate) const WRITABLE: u32 = 0o600;

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
