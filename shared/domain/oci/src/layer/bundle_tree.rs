//! The files of a bundle image: what lies directly in `manifests/` and `metadata/`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::entries::{Entries, Entry, EntryKind};
use super::entry_path::Whiteout;
use super::folder_tree::check_links;
use super::{EntryPath, LayerError, LayerReader, Link, Refusal};

/// Limits on what is kept of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Size of one file, in bytes.
    pub file_size: u64,
    /// Size of all files together, in bytes.
    pub total_size: u64,
    /// Number of files.
    pub files: usize,
}

impl Default for BundleLimits {
    /// Far above real bundles: they have some ten files of at most 1 to 2 MiB, since a cluster
    /// could not hold larger ones.
    fn default() -> Self {
        Self {
            file_size: 16 * 1024 * 1024,
            total_size: 64 * 1024 * 1024,
            files: 1000,
        }
    }
}

/// Which files of a bundle are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Those that lie directly in the two directories: all that an index looks at.
    #[default]
    Direct,
    /// Those in directories below, too.
    All,
}

/// Builds a bundle's files from its layers.
#[derive(Debug, Default)]
pub struct BundleTree {
    limits: BundleLimits,
    depth: Depth,
    directories: BTreeMap<&'static str, Files>,
    /// Hard links to files outside of the two directories, or of lower layers.
    links: BTreeMap<EntryPath, Link>,
    /// Layers applied.
    layers: usize,
}

/// Files by path below their directory.
type Files = BTreeMap<String, Vec<u8>>;

/// The files of a bundle, by path without the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BundleContent {
    /// Files in `manifests/`; `None` when there is no such directory.
    pub manifests: Option<Files>,
    /// Files in `metadata/`; `None` when there is no such directory.
    pub metadata: Option<Files>,
}

/// What one layer does to the layers below. Whiteouts count before additions, wherever they
/// stand in the archive (OCI image layer, whiteouts).
#[derive(Default)]
struct Changes {
    depth: Depth,
    whiteouts: Vec<Whiteout>,
    directories: BTreeSet<EntryPath>,
    files: BTreeMap<EntryPath, Vec<u8>>,
    /// By link, what it is another name of.
    links: BTreeMap<EntryPath, (EntryPath, u32)>,
}

/// Whether an entry's content is kept.
#[derive(PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

/// The two directories that are looked at.
const DIRECTORIES: [&str; 2] = ["manifests", "metadata"];

impl BundleTree {
    /// A bundle without layers yet.
    pub fn new(limits: BundleLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The same with other files.
    #[must_use]
    pub fn with_depth(self, depth: Depth) -> Self {
        Self { depth, ..self }
    }

    /// Lays the next layer on top; the lowest comes first. The archive is read to its end, the
    /// layer is not: call [`LayerReader::finish`] and compare the digests.
    ///
    /// Entries with `..` in their path are refused wherever they are; devices, pipes, symbolic
    /// links and names that are no text only in the two directories, because the layers of a base
    /// have such things. A hard link there is the file it is another name of; where that file is
    /// not read otherwise, the link is left to the caller, see [`BundleTree::links`].
    ///
    /// # Errors
    /// [`LayerError`]; the tree is then of no use.
    pub fn apply<R: Read>(&mut self, layer: &mut LayerReader<R>) -> Result<(), LayerError> {
        let mut changes = Changes {
            depth: self.depth,
            ..Changes::default()
        };
        let mut size: u64 = 0;
        let mut entries = Entries::new(layer);
        while let Some(entry) = entries.next()? {
            let wanted = changes.note(&entry)?;
            self.check_count(&changes)?;
            let Entry {
                path, size: own, ..
            } = entry;
            if wanted == Wanted::No {
                continue;
            }
            size = size.saturating_add(own);
            self.check_size(&path, own, size)?;
            let mut content = Vec::new();
            entries.content(|bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            })?;
            changes.add(path, content)?;
        }
        changes.follow_links(|linked| {
            self.check_size(&EntryPath::root(), 0, size.saturating_add(linked))
        })?;
        self.merge(changes);
        self.layers += 1;
        check_links(self.links.len())
    }

    /// Hard links of the bundle whose content is elsewhere in the image: each is to have that of
    /// its target in that layer or the next lower one that has it, by [`BundleTree::settle`].
    /// Layers are counted in the order they were applied, from 0.
    pub fn links(&self) -> Vec<Link> {
        self.links.values().cloned().collect()
    }

    /// Gives a link its content.
    ///
    /// # Errors
    /// [`LayerError::FileTooLarge`] and [`LayerError::FilesTooLarge`].
    pub fn settle(&mut self, link: &Link, content: Vec<u8>) -> Result<(), LayerError> {
        let path = &link.path;
        self.check_size(path, content.len() as u64, content.len() as u64)?;
        if self.links.remove(path).is_some() {
            self.put(path, content);
        }
        Ok(())
    }

    /// The bundle's files after the last layer.
    pub fn finish(mut self) -> BundleContent {
        let [manifests, metadata] = DIRECTORIES.map(|name| self.directories.remove(name));
        BundleContent {
            manifests,
            metadata,
        }
    }

    /// What the layers below have counts too, since it is in memory as well; so do the entries
    /// that are only noted.
    fn check_count(&self, changes: &Changes) -> Result<(), LayerError> {
        let files: usize = self.directories.values().map(BTreeMap::len).sum();
        let held = files + self.links.len();
        let noted = changes.whiteouts.len()
            + changes.directories.len()
            + changes.files.len()
            + changes.links.len();
        // The two directories themselves are no files.
        if held + noted > self.limits.files + DIRECTORIES.len() {
            return Err(LayerError::TooManyFiles {
                limit: self.limits.files,
            });
        }
        Ok(())
    }

    fn check_size(&self, path: &EntryPath, own: u64, added: u64) -> Result<(), LayerError> {
        if own > self.limits.file_size {
            return Err(LayerError::FileTooLarge {
                path: path.to_string(),
                size: own,
                limit: self.limits.file_size,
            });
        }
        if added.saturating_add(self.held()) > self.limits.total_size {
            return Err(LayerError::FilesTooLarge {
                limit: self.limits.total_size,
            });
        }
        Ok(())
    }

    /// Bytes of the files so far.
    fn held(&self) -> u64 {
        let files = self.directories.values().flat_map(BTreeMap::values);
        files.map(|content| content.len() as u64).sum()
    }

    fn put(&mut self, path: &EntryPath, content: Vec<u8>) {
        if let Some((directory, file)) = in_bundle(path) {
            let files = self.directories.entry(directory).or_default();
            files.insert(file.to_owned(), content);
        }
    }

    fn merge(&mut self, changes: Changes) {
        let hidden = |path: &EntryPath| changes.whiteouts.iter().any(|w| w.hides(path));
        for name in DIRECTORIES {
            let root = EntryPath::root().child(name);
            if hidden(&root) {
                self.directories.remove(name);
            }
            if let Some(files) = self.directories.get_mut(name) {
                files.retain(|file, _| {
                    let path = root.child(file);
                    !hidden(&path)
                        && !changes.directories.contains(&path)
                        && !changes.is_file(file, &root)
                });
            }
            if changes.directories.contains(&root) {
                self.directories.entry(name).or_default();
            }
        }
        self.links.retain(|path, _| {
            let (folder, file) = in_bundle(path).unwrap_or_default();
            let root = EntryPath::root().child(folder);
            !hidden(path) && !changes.directories.contains(path) && !changes.is_file(file, &root)
        });
        for (path, content) in changes.files {
            self.links.remove(&path);
            self.put(&path, content);
        }
        for (path, (target, mode)) in changes.links {
            if let Some((directory, file)) = in_bundle(&path)
                && let Some(files) = self.directories.get_mut(directory)
            {
                files.remove(file);
            }
            let link = Link {
                path: path.clone(),
                mode,
                target,
                is_read: false,
                layer: self.layers,
            };
            self.links.insert(path, link);
        }
    }
}

/// Whether a path is one of the two directories or below it.
fn is_within_bundle(path: &EntryPath) -> bool {
    let first = path.as_str().split('/').next().unwrap_or_default();
    bundle_directory(first).is_some()
}

/// The one of the two directories that a path is below, and the rest of it.
fn in_bundle(path: &EntryPath) -> Option<(&'static str, &str)> {
    let (directory, rest) = path.as_str().split_once('/')?;
    Some((bundle_directory(directory)?, rest))
}

/// The one of the two directories that has this path.
fn bundle_directory(path: &str) -> Option<&'static str> {
    DIRECTORIES.into_iter().find(|name| *name == path)
}

impl Changes {
    /// Whether a file of a layer below is in a directory whose place a file of this one takes.
    fn is_file(&self, file: &str, root: &EntryPath) -> bool {
        let ends = file.match_indices('/');
        ends.map(|(end, _)| root.child(&file[..end]))
            .any(|above| self.files.contains_key(&above) || self.links.contains_key(&above))
    }

    /// Notes what the entry does, content aside.
    fn note(&mut self, entry: &Entry) -> Result<Wanted, LayerError> {
        let Some((directory, name)) = entry.path.split() else {
            return Ok(Wanted::No);
        };
        if is_within_bundle(&entry.path) {
            entry.check_readable()?;
        }
        let in_bundle = match self.depth {
            Depth::Direct => bundle_directory(directory).is_some(),
            Depth::All => in_bundle(&entry.path).is_some(),
        };
        let is_bundle = directory.is_empty() && bundle_directory(name).is_some();
        if let Some(whiteout) = entry.path.whiteout() {
            // Elsewhere it hides nothing that is kept.
            if in_bundle || directory.is_empty() {
                self.whiteouts.push(whiteout);
            }
            return Ok(Wanted::No);
        }
        match entry.kind {
            EntryKind::Directory if in_bundle || is_bundle => {
                self.directories.insert(entry.path.clone());
                Ok(Wanted::No)
            }
            _ if is_bundle => Err(entry.refused(Refusal::NotADirectory)),
            EntryKind::File if in_bundle => Ok(Wanted::Yes),
            EntryKind::HardLink if in_bundle => {
                let link = (entry.link_target()?, entry.mode);
                let twice = self.links.insert(entry.path.clone(), link).is_some()
                    || self.files.contains_key(&entry.path);
                match twice {
                    true => Err(entry.refused(Refusal::Duplicate)),
                    false => Ok(Wanted::No),
                }
            }
            _ if in_bundle => Err(entry.refused(Refusal::NotAFile)),
            _ => Ok(Wanted::No),
        }
    }

    /// Gives links the content of files of this layer that were kept; `check` is asked how many
    /// bytes that may take. Of a chain of links each is followed in its turn; those that lead
    /// nowhere here are left.
    fn follow_links(
        &mut self,
        check: impl Fn(u64) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let mut taken = 0;
        loop {
            let found = self
                .links
                .iter()
                .find_map(|(link, (target, _))| Some((link.clone(), self.files.get(target)?)));
            let Some((link, content)) = found else {
                return Ok(());
            };
            taken += content.len() as u64;
            check(taken)?;
            let content = content.clone();
            self.links.remove(&link);
            self.files.insert(link, content);
        }
    }

    fn add(&mut self, path: EntryPath, content: Vec<u8>) -> Result<(), LayerError> {
        let twice = LayerError::Refused {
            path: path.to_string(),
            reason: Refusal::Duplicate,
        };
        if self.links.contains_key(&path) || self.files.insert(path, content).is_some() {
            return Err(twice);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
