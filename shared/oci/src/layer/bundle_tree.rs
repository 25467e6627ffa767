//! The files of a bundle image: what lies directly in `manifests/` and `metadata/`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::entries::{Entries, Entry, EntryKind};
use super::entry_path::Whiteout;
use super::{EntryPath, LayerError, LayerReader, Refusal};

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

/// Builds a bundle's files from its layers.
#[derive(Debug, Default)]
pub struct BundleTree {
    limits: BundleLimits,
    directories: BTreeMap<&'static str, Files>,
}

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

/// The files of a bundle, by name without the directory.
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
    whiteouts: Vec<Whiteout>,
    directories: BTreeSet<EntryPath>,
    files: BTreeMap<EntryPath, Vec<u8>>,
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
            directories: BTreeMap::new(),
        }
    }

    /// Lays the next layer on top; the lowest comes first. The archive is read to its end, the
    /// layer is not: call [`LayerReader::finish`] and compare the digests.
    ///
    /// Entries with an absolute path or `..`, devices, pipes and unknown types are refused
    /// wherever they are; links only where a file or directory of the bundle is expected.
    ///
    /// # Errors
    /// [`LayerError`]; the tree is then unchanged.
    pub fn apply<R: Read>(&mut self, layer: &mut LayerReader<R>) -> Result<(), LayerError> {
        let mut changes = Changes::default();
        let mut size: u64 = 0;
        let mut entries = Entries::new(layer);
        while let Some(entry) = entries.next()? {
            let wanted = changes.note(&entry)?;
            let Entry {
                path, size: own, ..
            } = entry;
            self.check_count(&changes)?;
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
        self.merge(changes);
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
        let held: usize = self.directories.values().map(BTreeMap::len).sum();
        let noted = changes.whiteouts.len() + changes.directories.len() + changes.files.len();
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
        let held: usize = (self.directories.values())
            .flat_map(BTreeMap::values)
            .map(Vec::len)
            .sum();
        if added.saturating_add(held as u64) > self.limits.total_size {
            return Err(LayerError::FilesTooLarge {
                limit: self.limits.total_size,
            });
        }
        Ok(())
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
                    !hidden(&path) && !changes.directories.contains(&path)
                });
            }
            if changes.directories.contains(&root) {
                self.directories.entry(name).or_default();
            }
        }
        for (path, content) in changes.files {
            let place = path
                .split()
                .and_then(|(directory, file)| Some((bundle_directory(directory)?, file)));
            if let Some((directory, file)) = place {
                let files = self.directories.entry(directory).or_default();
                files.insert(file.to_owned(), content);
            }
        }
    }
}

/// The one of the two directories that has this path.
fn bundle_directory(path: &str) -> Option<&'static str> {
    DIRECTORIES.into_iter().find(|name| *name == path)
}

impl Changes {
    /// Notes what the entry does, content aside.
    fn note(&mut self, entry: &Entry) -> Result<Wanted, LayerError> {
        let refused = |reason| LayerError::Refused {
            path: entry.path.to_string(),
            reason,
        };
        if let Some(reason) = entry.kind.refusal() {
            return Err(refused(reason));
        }
        let Some((directory, name)) = entry.path.split() else {
            return Ok(Wanted::No);
        };
        let in_bundle = bundle_directory(directory).is_some();
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
            _ if is_bundle => Err(refused(Refusal::NotADirectory)),
            EntryKind::File if in_bundle => Ok(Wanted::Yes),
            _ if in_bundle => Err(refused(Refusal::NotAFile)),
            _ => Ok(Wanted::No),
        }
    }

    fn add(&mut self, path: EntryPath, content: Vec<u8>) -> Result<(), LayerError> {
        let twice = LayerError::Refused {
            path: path.to_string(),
            reason: Refusal::Duplicate,
        };
        match self.files.insert(path, content) {
            Some(_) => Err(twice),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
