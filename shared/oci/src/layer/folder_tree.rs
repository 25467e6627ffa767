//! The files of one folder of an image, such as the catalog of an index.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use super::entries::{Entries, Entry, EntryKind};
use super::entry_path::Whiteout;
use super::{EntryPath, LayerError, LayerReader, Refusal};

/// Takes a folder out of the layers of an image, from the top one down: what a higher layer says
/// of a path counts, so every file is written once and none is held in memory.
#[derive(Debug)]
pub struct FolderTree {
    root: EntryPath,
    /// Files and directories that are kept together, at most.
    limit: usize,
    found: Found,
    /// By higher layers: this path and all below it.
    hidden: BTreeSet<EntryPath>,
    /// By higher layers: all below this path.
    emptied: BTreeSet<EntryPath>,
}

/// What is in the folder; files without it are relative to its root.
#[derive(Debug, Default)]
struct Found {
    files: BTreeSet<EntryPath>,
    /// With permission bits.
    directories: BTreeMap<EntryPath, u32>,
}

impl FolderTree {
    /// The folder `root`, of which no layer was looked at yet. It may have `limit` files and
    /// directories.
    pub fn new(root: EntryPath, limit: usize) -> Self {
        Self {
            root,
            limit,
            found: Found::default(),
            hidden: BTreeSet::new(),
            emptied: BTreeSet::new(),
        }
    }

    /// Looks at the next lower layer. `create` opens a file by its path below the root, and its
    /// permission bits. The archive is read to its end, the layer is not: call
    /// [`LayerReader::finish`] and compare the digests.
    ///
    /// Entries that lead out of the image are refused wherever they are; links and devices where
    /// a file or directory of the folder is expected.
    ///
    /// # Errors
    /// [`LayerError`]. What was written until then is worthless.
    pub fn apply<R: Read, W: Write>(
        &mut self,
        layer: &mut LayerReader<R>,
        mut create: impl FnMut(&str, u32) -> io::Result<W>,
    ) -> Result<(), LayerError> {
        // Whiteouts count for the layers below only, wherever they stand in the archive (OCI
        // image layer, whiteouts).
        let mut whiteouts = Vec::new();
        let mut own = Found::default();
        let mut entries = Entries::new(layer);
        while let Some(entry) = entries.next()? {
            if let Some(whiteout) = entry.path.whiteout() {
                whiteouts.extend(self.concerns(&whiteout).then_some(whiteout));
                continue;
            }
            if !self.is_seen(&entry)? || self.is_hidden(&entry.path) {
                continue;
            }
            match entry.kind {
                EntryKind::File if own.is_taken(&entry.path) => {
                    return Err(refused(&entry.path, Refusal::Duplicate));
                }
                EntryKind::Directory if own.is_in_place_of(&entry.path) => {
                    return Err(refused(&entry.path, Refusal::Duplicate));
                }
                EntryKind::File if self.found.is_taken(&entry.path) => {}
                EntryKind::File => {
                    let below = self.below_root(&entry.path);
                    let mut sink = create(below, entry.mode).map_err(LayerError::Write)?;
                    entries.content(|bytes| sink.write_all(bytes).map_err(LayerError::Write))?;
                    sink.flush().map_err(LayerError::Write)?;
                    own.files.insert(entry.path);
                }
                EntryKind::Directory if self.found.is_in_place_of(&entry.path) => {}
                EntryKind::Directory => {
                    own.directories.insert(entry.path, entry.mode);
                }
                _ => return Err(refused(&entry.path, Refusal::NotAFile)),
            }
            self.check_count(&own, whiteouts.len())?;
        }
        self.found.add(own);
        for whiteout in whiteouts {
            match whiteout {
                Whiteout::Path(path) => self.hidden.insert(path),
                Whiteout::Below(directory) => self.emptied.insert(directory),
                Whiteout::Nothing => false,
            };
        }
        Ok(())
    }

    /// Whether no lower layer can add anything.
    pub fn is_settled(&self) -> bool {
        self.is_hidden(&self.root) || self.emptied.contains(&self.root)
    }

    /// The permission bits of the directories, by path below the root, which is the empty one;
    /// `None` if the image does not have the folder. Directories that are only named in the paths
    /// of files are not among them.
    pub fn finish(self) -> Option<BTreeMap<String, u32>> {
        if self.found.len() == 0 {
            return None;
        }
        let directories = self.found.directories.iter();
        let named = directories.map(|(path, mode)| (self.below_root(path).to_owned(), *mode));
        Some(named.collect())
    }

    fn below_root<'p>(&self, path: &'p EntryPath) -> &'p str {
        let below = path.as_str().strip_prefix(self.root.as_str());
        below.unwrap_or_default().trim_start_matches('/')
    }

    /// Whether a whiteout can hide something of the folder.
    fn concerns(&self, whiteout: &Whiteout) -> bool {
        match whiteout {
            Whiteout::Path(path) => path.is_within(&self.root) || self.root.is_within(path),
            Whiteout::Below(path) => path.is_within(&self.root) || self.root.is_within(path),
            Whiteout::Nothing => false,
        }
    }

    /// Whether an entry is in the folder. One that takes the place of a directory above it would
    /// lead out of it.
    fn is_seen(&self, entry: &Entry) -> Result<bool, LayerError> {
        let above = self.root.is_within(&entry.path);
        if above && entry.kind != EntryKind::Directory && !self.is_hidden(&entry.path) {
            return Err(refused(&entry.path, Refusal::NotADirectory));
        }
        Ok(entry.path.is_within(&self.root))
    }

    fn is_hidden(&self, path: &EntryPath) -> bool {
        self.hidden.contains(path)
            || path
                .directories()
                .any(|above| self.hidden.contains(&above) || self.emptied.contains(&above))
    }

    fn check_count(&self, own: &Found, whiteouts: usize) -> Result<(), LayerError> {
        let found = self.found.len() + own.len() + whiteouts;
        if found + self.hidden.len() + self.emptied.len() > self.limit {
            return Err(LayerError::TooManyFiles { limit: self.limit });
        }
        Ok(())
    }
}

impl Found {
    fn len(&self) -> usize {
        self.files.len() + self.directories.len()
    }

    /// Whether there is a file at this path or in place of a directory above it.
    fn is_in_place_of(&self, path: &EntryPath) -> bool {
        self.files.contains(path) || path.directories().any(|above| self.files.contains(&above))
    }

    /// Whether there is anything in place of this file.
    fn is_taken(&self, path: &EntryPath) -> bool {
        self.is_in_place_of(path)
            || self.directories.contains_key(path)
            || (self.files.range(path.child("")..))
                .next()
                .is_some_and(|next| next.is_below(path))
    }

    /// Adds what a lower layer has.
    fn add(&mut self, lower: Self) {
        self.files.extend(lower.files);
        for (path, mode) in lower.directories {
            self.directories.entry(path).or_insert(mode);
        }
    }
}

fn refused(path: &EntryPath, reason: Refusal) -> LayerError {
    LayerError::Refused {
        path: path.to_string(),
        reason,
    }
}

#[cfg(test)]
mod tests;
