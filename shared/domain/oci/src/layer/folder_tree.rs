//! Some folders and files of an image, such as the catalog of an index and its database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use super::entries::{Entries, Entry, EntryKind, Stream};
use super::entry_path::Whiteout;
use super::{EntryPath, LayerError, LayerReader, Refusal};

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A folder with all that is in it.
    Folder(EntryPath),
    /// A file.
    File(EntryPath),
}

/// Takes parts out of the layers of an image, from the top one down: what a higher layer says of a
/// path counts, so every file is written once and none is held in memory. Paths are those in the
/// image.
#[derive(Debug)]
pub struct FolderTree {
    parts: Vec<Part>,
    /// Files and directories that are kept together, at most.
    limit: usize,
    found: Found,
    /// Hard links, which are other names of files.
    links: Vec<Link>,
    /// How many of them are other names of files that were not read.
    elsewhere: usize,
    /// Layers looked at.
    layers: usize,
    /// Entries that say something of the parts.
    entries: usize,
    /// By higher layers: this path and all below it.
    hidden: BTreeSet<EntryPath>,
    /// By higher layers: all below this path.
    emptied: BTreeSet<EntryPath>,
}

/// A hard link: another name of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The link.
    pub path: EntryPath,
    /// Its permission bits.
    pub mode: u32,
    /// What it is another name of.
    pub target: EntryPath,
    /// Whether that was read from the same layer.
    pub is_read: bool,
    /// The layer it is in, counted in the order they were looked at, from 0.
    pub layer: usize,
}

/// What is in the parts.
#[derive(Debug, Default)]
struct Found {
    files: BTreeSet<EntryPath>,
    /// With permission bits.
    directories: BTreeMap<EntryPath, u32>,
}

impl FolderTree {
    /// These parts, of which no layer was looked at yet. They may have `limit` files and directories
    /// together.
    pub fn new(parts: Vec<Part>, limit: usize) -> Self {
        Self {
            parts,
            limit,
            found: Found::default(),
            links: Vec::new(),
            elsewhere: 0,
            layers: 0,
            entries: 0,
            hidden: BTreeSet::new(),
            emptied: BTreeSet::new(),
        }
    }

    /// Looks at the next lower layer. `create` opens a file by its path and its permission bits. The
    /// archive is read to its end, the layer is not: call [`LayerReader::finish`] and compare the
    /// digests.
    ///
    /// Entries that lead out of the image are refused wherever they are; devices, symbolic links
    /// and names that are no text where a file or directory of the parts is expected. What hard
    /// links are other names of is left to the caller, see [`FolderTree::links`].
    ///
    /// # Errors
    /// [`LayerError`]. What was written until then is worthless.
    pub fn apply<R: Read, W: Write>(
        &mut self,
        layer: &mut LayerReader<R>,
        create: impl FnMut(&EntryPath, u32) -> io::Result<W>,
    ) -> Result<(), LayerError> {
        self.apply_stream(layer, create)
    }

    pub(super) fn apply_stream<W: Write>(
        &mut self,
        layer: &mut impl Stream,
        mut create: impl FnMut(&EntryPath, u32) -> io::Result<W>,
    ) -> Result<(), LayerError> {
        // Whiteouts count for the layers below only, wherever they stand in the archive (OCI
        // image layer, whiteouts).
        let mut whiteouts = Vec::new();
        let mut own = Found::default();
        let mut entries = Entries::new(layer);
        while let Some(entry) = entries.next()? {
            if entry.path.is_root() {
                continue;
            }
            if let Some(whiteout) = entry.path.whiteout() {
                let concerned = self.concerns(&whiteout);
                self.entries += usize::from(concerned);
                whiteouts.extend(concerned.then_some(whiteout));
                self.check_count(&own, whiteouts.len())?;
                continue;
            }
            self.entries += usize::from(self.says_something(&entry));
            if !self.is_seen(&entry)? || self.is_hidden(&entry.path) {
                continue;
            }
            entry.check_readable()?;
            match entry.kind {
                EntryKind::File | EntryKind::HardLink if own.is_taken(&entry.path) => {
                    return Err(refused(&entry.path, Refusal::Duplicate));
                }
                EntryKind::Directory if own.is_in_place_of(&entry.path) => {
                    return Err(refused(&entry.path, Refusal::Duplicate));
                }
                EntryKind::File | EntryKind::HardLink if self.found.is_taken(&entry.path) => {}
                EntryKind::HardLink => {
                    let target = entry.link_target()?;
                    let is_read = own.files.contains(&target);
                    self.links.push(Link {
                        path: entry.path.clone(),
                        mode: entry.mode,
                        is_read,
                        target,
                        layer: self.layers,
                    });
                    self.elsewhere += usize::from(!is_read);
                    check_links(self.elsewhere)?;
                    own.files.insert(entry.path);
                }
                EntryKind::File => {
                    let mut sink = create(&entry.path, entry.mode).map_err(LayerError::Write)?;
                    entries.content(|bytes| sink.write_all(bytes).map_err(LayerError::Write))?;
                    sink.flush().map_err(LayerError::Write)?;
                    own.files.insert(entry.path);
                }
                EntryKind::Directory if self.is_file_part(&entry.path) => {
                    return Err(refused(&entry.path, Refusal::NotAFile));
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
        self.layers += 1;
        for whiteout in whiteouts {
            match whiteout {
                Whiteout::Path(path) => self.hidden.insert(path),
                Whiteout::Below(directory) => self.emptied.insert(directory),
                Whiteout::Nothing => false,
            };
        }
        Ok(())
    }

    /// The hard links in the parts that count: each is to have the content of its target in that
    /// layer or the next lower one that has it.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// How many entries there were so far that say something of the parts, hidden ones too: a layer that
    /// leaves this as it was has nothing of them, in whatever image it is.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Whether no lower layer can add anything.
    pub fn is_settled(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Folder(root) => self.is_hidden(root) || self.emptied.contains(root),
            Part::File(path) => self.is_hidden(path) || self.found.files.contains(path),
        })
    }

    /// Whether a part was found.
    pub fn has(&self, part: &Part) -> bool {
        match part {
            Part::Folder(root) => {
                let directories = self.found.directories.keys();
                let mut paths = self.found.files.iter().chain(directories);
                paths.any(|path| path.is_within(root))
            }
            Part::File(path) => self.found.files.contains(path),
        }
    }

    /// The permission bits of the directories. Those that are only named in the paths of files are not
    /// among them.
    pub fn into_directories(self) -> BTreeMap<EntryPath, u32> {
        self.found.directories
    }

    /// Whether a whiteout can hide something of a part.
    fn concerns(&self, whiteout: &Whiteout) -> bool {
        let path = match whiteout {
            Whiteout::Path(path) | Whiteout::Below(path) => path,
            Whiteout::Nothing => return false,
        };
        (self.parts.iter().map(Part::path)).any(|part| path.is_within(part) || part.is_within(path))
    }

    /// Whether an entry is in a part. One that takes the place of a directory above it would lead out
    /// of it.
    fn is_seen(&self, entry: &Entry) -> Result<bool, LayerError> {
        let path = &entry.path;
        let is_above = |part: &Part| match part {
            Part::Folder(root) => root.is_within(path),
            Part::File(file) => file.is_below(path),
        };
        let above = self.parts.iter().any(is_above);
        if above && entry.kind != EntryKind::Directory && !self.is_hidden(path) {
            return Err(refused(path, Refusal::NotADirectory));
        }
        let is_in = |part: &Part| match part {
            Part::Folder(root) => path.is_within(root),
            Part::File(file) => path == file,
        };
        Ok(self.parts.iter().any(is_in))
    }

    /// Whether an entry is in a part, or in the place of a directory above one.
    fn says_something(&self, entry: &Entry) -> bool {
        let is_directory = entry.kind == EntryKind::Directory;
        let mut parts = self.parts.iter().map(Part::path);
        parts.any(|part| {
            entry.path.is_within(part) || (!is_directory && part.is_within(&entry.path))
        })
    }

    fn is_file_part(&self, path: &EntryPath) -> bool {
        self.parts.contains(&Part::File(path.clone()))
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

impl Part {
    fn path(&self) -> &EntryPath {
        match self {
            Self::Folder(path) | Self::File(path) => path,
        }
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

/// Most hard links that are followed to files that were not read anyway.
const LINKS_LIMIT: usize = 64;

pub(super) fn check_links(elsewhere: usize) -> Result<(), LayerError> {
    match elsewhere > LINKS_LIMIT {
        true => Err(LayerError::TooManyLinks { limit: LINKS_LIMIT }),
        false => Ok(()),
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
