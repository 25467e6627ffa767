//! What was taken out of images before, on the scratch disk, so that a chain of requests on one index does
//! not unpack it again.
//!
//! Kept is what the layers of an image hold of some parts, under the digests of these layers: the
//! result of a request, which is the input of the next one, is moved here when its layer is
//! packed; an input that is read a second time is copied. Layers that hold nothing of the parts, such as
//! those of binary images, are known by their digests, and not read again.
//!
//! Of a catalog that was made here, what was found in it is kept, too, with its serve cache: it is not read and
//! checked again, and what is of packages that the next request does not touch is taken over. Files of
//! folders are not copied but linked to: those who change a catalog or its cache replace or add files, and write to
//! none. A database is copied.
//!
//! A layer counts only in the repositories where this process has read or made it: whoever can read a
//! manifest there may read the layer, and one elsewhere may name any layer.
//!
//! All of it is of one process. What a process has left behind when it was killed is removed by the
//! next one, and nothing of it is used.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use iib_oci::layer::{Part, PieceTable};
use iib_oci::{Digest, Repository};
use iib_ports::CatalogFiles;
use tempfile::TempDir;

use crate::parts::{Copied, Copy, InputLayer, WRITABLE};

/// The name of the folder, in that for scratch files.
const FOLDER: &str = "unpacked";
/// Catalogs of which more than the files is kept at most: what is known of one is in memory.
const CATALOGS: usize = 8;
/// Bundles in these catalogs at most, unless in a single one: memory grows by some 10 KiB for each.
const BUNDLES: usize = 8_000;
/// Bytes of memory that a piece of a layer takes, about.
const PIECE: u64 = 128;
/// Layers without anything, and inputs that were read once, that are remembered at most.
const REMEMBERED: usize = 4096;

/// What was unpacked before.
#[derive(Debug)]
pub struct Unpacked {
    /// None if nothing is kept.
    folder: Option<PathBuf>,
    /// Bytes that are kept at most.
    limit: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one that was not used for longest first.
    contents: VecDeque<Arc<Content>>,
    bytes: u64,
    /// Layers that have nothing of some parts.
    without: BTreeSet<(Digest, Parts)>,
    /// What was read once.
    read: BTreeSet<Key>,
}

/// Parts of an image.
pub(crate) type Parts = Vec<String>;

/// Layers, the highest first, without those that have nothing of the parts; and the parts.
type Key = (Vec<Digest>, Parts);

/// What some layers hold of some parts.
#[derive(Debug)]
struct Content {
    key: Key,
    /// The repositories in which the layers are.
    repositories: BTreeSet<Repository>,
    /// Whether nothing below these layers counts.
    settles: bool,
    /// Of each part, whether it is there.
    found: Vec<bool>,
    /// Bytes and files of each part.
    sizes: Vec<Size>,
    /// The highest layer, if it has pieces that can be taken over.
    layer: Option<(Size, PieceTable)>,
    /// The catalog that was made here, and its serve cache.
    made: Option<(Arc<dyn CatalogFiles>, Size)>,
    /// Of all of it.
    bytes: u64,
    /// Holds the parts by their numbers, and the layer. It goes with the last who uses it.
    folder: TempDir,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    files: u64,
    bytes: u64,
    /// When they were written, added up.
    written: u64,
}

/// The name of parts.
pub(crate) fn parts_of(copies: &[Copy]) -> Parts {
    let name = |copy: &Copy| match &copy.part {
        Part::Folder(path) => format!("{path}/"),
        Part::File(path) => path.to_string(),
    };
    copies.iter().map(name).collect()
}

impl Unpacked {
    /// Nothing is kept.
    pub fn off() -> Self {
        Self {
            folder: None,
            limit: 0,
            kept: Mutex::default(),
        }
    }

    /// At most so many bytes are kept in a folder for scratch files, and no more than there is room for
    /// besides; 0: nothing is. What another process has left there goes.
    ///
    /// # Errors
    /// The folder cannot be made or emptied.
    pub fn in_folder(scratch: &Path, limit: u64) -> io::Result<Self> {
        let folder = scratch.join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if limit == 0 {
            return Ok(Self::off());
        }
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder: Some(folder),
            limit,
            kept: Mutex::default(),
        })
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.folder.is_some()
    }

    /// Forgets everything: the disk is full. Tells whether there was anything.
    pub(crate) fn clear(&self) -> bool {
        // What goes is removed when nobody waits for it any more.
        let gone = std::mem::take(&mut *self.kept());
        gone.bytes > 0
    }

    /// Forgets what was not used for longest until so many bytes are free on the disk of a folder, or nothing is left.
    /// Without an answer about the disk nothing happens: whoever needs the room says so.
    pub(crate) fn make_way(&self, folder: &Path, bytes: u64) {
        while free(folder).is_ok_and(|free| free < bytes) {
            let mut kept = self.kept();
            let oldest = kept.contents.pop_front();
            let Some(oldest) = oldest else { return };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes);
            drop(kept);
            drop(oldest);
        }
    }

    /// Whether a layer is known to have nothing of these parts.
    pub(crate) fn is_without(&self, layer: &Digest, parts: &Parts) -> bool {
        let without = &self.kept().without;
        self.is_on() && without.contains(&(layer.clone(), parts.clone()))
    }

    /// Notes that a layer has nothing of these parts.
    pub(crate) fn note_without(&self, layer: &Digest, parts: &Parts) {
        let mut kept = self.kept();
        if kept.without.len() >= REMEMBERED {
            kept.without.clear();
        }
        kept.without.insert((layer.clone(), parts.clone()));
    }

    /// Copies what these layers of an image in `repository` hold, the highest first and those without anything
    /// left out, if that is kept and has at most `limit` bytes. `scratch` is the folder for the copy of the
    /// layer. Nothing is left where it fails.
    pub(crate) fn take(
        &self,
        repository: &Repository,
        layers: &[Digest],
        copies: &[Copy],
        scratch: &Path,
        limit: u64,
    ) -> Option<Copied> {
        let content = self.find(repository, layers, &parts_of(copies))?;
        if content.bytes > limit {
            return None;
        }
        match content.copy_to(copies, scratch) {
            Ok(copied) => {
                let made = content.made.is_some().then(|| Made(content));
                Some(Copied { made, ..copied })
            }
            Err(error) => {
                tracing::warn!(
                    error = %iib_ports::chain(&error),
                    "what was unpacked before cannot be used, and is unpacked again"
                );
                self.forget(&content.key);
                for copy in copies {
                    // A file, a folder, or nothing.
                    let _ = fs::remove_file(&copy.to);
                    let _ = fs::remove_dir_all(&copy.to);
                }
                None
            }
        }
    }

    fn find(
        &self,
        repository: &Repository,
        layers: &[Digest],
        parts: &Parts,
    ) -> Option<Arc<Content>> {
        let mut kept = self.kept();
        let holds = |content: &Arc<Content>| {
            let (own, own_parts) = &content.key;
            own_parts == parts
                && content.repositories.contains(repository)
                && layers.starts_with(own)
                && (content.settles || own.len() == layers.len())
        };
        let at = kept.contents.iter().position(holds)?;
        let content = kept.contents.remove(at)?;
        kept.contents.push_back(content.clone());
        Some(content)
    }

    fn forget(&self, key: &Key) {
        let gone = self.kept().remove(key);
        drop(gone);
    }

    /// Whether these layers were read before, which is noted: what is read twice is worth a copy.
    pub(crate) fn was_read(&self, layers: &[Digest], parts: &Parts) -> bool {
        if !self.is_on() {
            return false;
        }
        let mut kept = self.kept();
        if kept.read.len() >= REMEMBERED {
            kept.read.clear();
        }
        !kept.read.insert((layers.to_vec(), parts.clone()))
    }

    /// Keeps what layers hold, by moving or copying it here. What cannot be kept is not: nobody needs it.
    pub(crate) fn keep(&self, held: &Held<'_>, manner: Manner) {
        let Some(folder) = &self.folder else { return };
        match self.try_keep(folder, held, manner) {
            Ok(()) => {}
            Err(error) => tracing::warn!(
                error = %iib_ports::chain(&error),
                "what was unpacked is not kept"
            ),
        }
    }

    fn try_keep(&self, folder: &Path, held: &Held<'_>, manner: Manner) -> io::Result<()> {
        // Who tidies up may have removed it.
        fs::create_dir_all(folder)?;
        let mut bytes = 0;
        let layer = held.input.map(|input| &input.file);
        let cache = held.made.map(|made| &made.cache);
        let copies = held.copies.iter().map(|copy| &copy.to);
        for path in copies.chain(layer).chain(cache) {
            bytes += size_of(path)?.bytes;
        }
        // What is in memory counts, too.
        let pieces = held.input.map_or(0, |input| input.pieces.len() as u64);
        bytes += pieces * PIECE;
        if !self.make_room(folder, bytes)? {
            return Ok(());
        }
        let own = tempfile::Builder::new().tempdir_in(folder)?;
        let mut sizes = Vec::new();
        for (number, copy) in held.copies.iter().enumerate() {
            let to = own.path().join(number.to_string());
            match manner {
                _ if !copy.to.exists() => {}
                Manner::Move => fs::rename(&copy.to, &to)?,
                Manner::Copy => copy_part(&copy.part, &copy.to, &to)?,
            }
            sizes.push(size_of(&to)?);
        }
        let layer = match held.input {
            Some(input) => {
                let to = own.path().join(LAYER);
                fs::hard_link(&input.file, &to)?;
                Some((size_of(&to)?, input.pieces.clone()))
            }
            None => None,
        };
        let made = match held.made {
            Some(made) => {
                let to = own.path().join(CACHE);
                fs::rename(&made.cache, &to)?;
                Some((made.catalog.clone(), size_of(&to)?))
            }
            None => None,
        };
        let content = Content {
            repositories: held.repositories.clone(),
            layer,
            made,
            key: (held.layers.to_vec(), parts_of(held.copies)),
            settles: held.settles,
            found: held.found.to_vec(),
            sizes,
            bytes,
            folder: own,
        };
        let mut kept = self.kept();
        let mut gone = kept.remove(&content.key);
        kept.bytes = kept.bytes.saturating_add(content.bytes);
        kept.contents.push_back(Arc::new(content));
        while let Some(oldest) = kept.beyond_memory() {
            gone.extend(kept.remove(&oldest));
        }
        drop(kept);
        drop(gone);
        Ok(())
    }

    /// Makes room for so many bytes, and tells whether there is. All that is kept takes no more than is
    /// left free besides.
    fn make_room(&self, folder: &Path, bytes: u64) -> io::Result<bool> {
        let free = free(folder)?;
        let mut gone = Vec::new();
        let mut kept = self.kept();
        let limit = self.limit.min(free.saturating_add(kept.bytes) / 2);
        while kept.bytes.saturating_add(bytes) > limit {
            let Some(oldest) = kept.contents.pop_front() else {
                break;
            };
            kept.bytes = kept.bytes.saturating_sub(oldest.bytes);
            gone.push(oldest);
        }
        let is_room = kept.bytes.saturating_add(bytes) <= limit;
        drop(kept);
        drop(gone);
        Ok(is_room)
    }

    // It is changed by nothing that can panic halfway.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The oldest of the catalogs that are known, if they are too many.
    fn beyond_memory(&self) -> Option<Key> {
        let known = self.contents.iter().filter_map(|content| {
            let (catalog, _) = content.made.as_ref()?;
            Some((catalog.outline().bundles.len(), &content.key))
        });
        let (bundles, keys): (Vec<usize>, Vec<&Key>) = known.unzip();
        let oldest = keys.into_iter().next();
        oldest.filter(|_| are_too_many(&bundles)).cloned()
    }

    /// Takes contents out. Whoever gets them drops them when he holds no lock any more: files go with them.
    fn remove(&mut self, key: &Key) -> Vec<Arc<Content>> {
        let contents = std::mem::take(&mut self.contents);
        let (gone, rest): (Vec<_>, Vec<_>) = contents
            .into_iter()
            .partition(|content| content.key == *key);
        self.contents = rest.into();
        self.bytes = self.contents.iter().map(|content| content.bytes).sum();
        gone
    }
}

/// Whether catalogs with so many bundles each are more than what is to be in memory.
fn are_too_many(bundles: &[usize]) -> bool {
    bundles.len() > CATALOGS || (bundles.len() > 1 && bundles.iter().sum::<usize>() > BUNDLES)
}

/// The names of the layer and of the serve cache beside the parts.
const LAYER: &str = "layer";
const CACHE: &str = "cache";

/// How something comes to be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Nobody else needs it.
    Move,
    /// It is worked on.
    Copy,
}

/// What layers hold, as it is on this machine.
pub(crate) struct Held<'a> {
    /// The repositories in which they are.
    pub(crate) repositories: &'a BTreeSet<Repository>,
    /// The layers, the highest first, without those that have nothing of the parts.
    pub(crate) layers: &'a [Digest],
    /// Whether nothing below them counts.
    pub(crate) settles: bool,
    pub(crate) copies: &'a [Copy],
    /// Of each part, whether it is there.
    pub(crate) found: &'a [bool],
    /// The highest layer, if it has pieces that can be taken over.
    pub(crate) input: Option<&'a InputLayer>,
    /// The catalog in them, if it was made here. Its serve cache is moved.
    pub(crate) made: Option<&'a HeldCatalog>,
}

/// A catalog that was made on this machine.
#[derive(Debug, Clone)]
pub(crate) struct HeldCatalog {
    pub(crate) catalog: Arc<dyn CatalogFiles>,
    pub(crate) cache: PathBuf,
}

/// A catalog that was made on this machine before.
#[derive(Debug)]
pub(crate) struct Made(Arc<Content>);

impl Made {
    /// Puts the store of its serve cache into a folder that is not there, and gives the catalog; none if the cache is not as
    /// it was, which leaves nothing.
    pub(crate) fn take(&self, cache: &Path) -> Option<Arc<dyn CatalogFiles>> {
        let (catalog, size) = self.0.made.as_ref()?;
        let from = self.0.folder.path().join(CACHE);
        let taken = size_of(&from).and_then(|now| match now == *size {
            true => link_all(&from, cache),
            false => Err(io::Error::other("it is not as it was")),
        });
        match taken {
            Ok(()) => Some(catalog.clone()),
            Err(error) => {
                tracing::warn!(
                    error = %iib_ports::chain(&error),
                    "a serve cache that was made before cannot be used, and is made again"
                );
                let _ = fs::remove_dir_all(cache);
                None
            }
        }
    }
}

impl Content {
    fn copy_to(&self, copies: &[Copy], scratch: &Path) -> io::Result<Copied> {
        for ((number, copy), size) in copies.iter().enumerate().zip(&self.sizes) {
            let from = self.folder.path().join(number.to_string());
            if !from.exists() && *size == Size::default() {
                continue;
            }
            if size_of(&from)? != *size {
                return Err(io::Error::other("it is not as it was"));
            }
            copy_part(&copy.part, &from, &copy.to)?;
            if matches!(copy.part, Part::File(_)) {
                // It is to be worked on.
                fs::set_permissions(&copy.to, Permissions::from_mode(WRITABLE))?;
            }
        }
        let mut input = None;
        if let Some((size, pieces)) = &self.layer {
            let file = scratch.join("input-0.layer");
            let layer = self.folder.path().join(LAYER);
            if size_of(&layer)? != *size {
                return Err(io::Error::other("the layer is not as it was"));
            }
            fs::hard_link(layer, &file)?;
            let pieces = pieces.clone();
            input = Some(InputLayer { pieces, file });
        }
        Ok(Copied {
            found: self.found.clone(),
            input,
            made: None,
        })
    }
}

/// Copies a part for somebody who may change it: a file in place, a folder by replacing its files.
fn copy_part(part: &Part, from: &Path, to: &Path) -> io::Result<()> {
    match part {
        Part::File(_) => fs::copy(from, to).map(drop),
        Part::Folder(_) => link_all(from, to),
    }
}

/// Gives the files of a folder another name each in another folder, and folders their permission bits.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_all(&from, &to)?;
        } else if fs::hard_link(&from, &to).is_err() {
            // A file can have only so many names.
            fs::copy(&from, &to)?;
        }
    }
    // At last, and so that it can be removed again.
    let mode = fs::metadata(from)?.permissions().mode() | 0o700;
    fs::set_permissions(to, Permissions::from_mode(mode))
}

/// Bytes that there is room for on the disk of a folder.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What a file or folder has; nothing if it is not there.
fn size_of(path: &Path) -> io::Result<Size> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Size::default()),
        found => found?,
    };
    if !found.is_dir() {
        let written = found.modified()?.duration_since(UNIX_EPOCH);
        let written = written.unwrap_or_default().as_nanos();
        return Ok(Size {
            files: 1,
            bytes: found.len(),
            // The low bits tell times apart.
            written: written as u64,
        });
    }
    let mut size = Size::default();
    for entry in fs::read_dir(path)? {
        size.add(size_of(&entry?.path())?);
    }
    Ok(size)
}

impl Size {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.written = self.written.wrapping_add(other.written);
    }
}

#[cfg(test)]
mod tests {
    use iib_catalog_folder::Folders;
    use iib_fbc::Rules;
    use iib_oci::layer::EntryPath;
    use iib_ports::Catalogs as _;

    use super::*;

    struct World {
        folder: TempDir,
        unpacked: Unpacked,
        layers: Vec<Digest>,
    }

    impl World {
        /// In which a database is kept that was read in one repository.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let unpacked = Unpacked::in_folder(folder.path(), 1 << 20).unwrap();
            let world = Self {
                folder,
                unpacked,
                layers: vec![Digest::of(b"layer")],
            };
            let file = world.folder.path().join("input.layer");
            fs::write(&file, "a layer").unwrap();
            fs::write(world.folder.path().join("index.db"), "a database").unwrap();
            let held = Held {
                repositories: &[repository("private")].into(),
                layers: &world.layers,
                settles: true,
                copies: &world.copies("index.db"),
                found: &[true],
                input: Some(&InputLayer {
                    pieces: PieceTable::default(),
                    file,
                }),
                made: None,
            };
            world.unpacked.keep(&held, Manner::Move);
            world
        }

        fn copies(&self, name: &str) -> Vec<Copy> {
            let path = EntryPath::parse(b"database/index.db").unwrap();
            vec![Copy::file(path, self.folder.path().join(name))]
        }

        fn take(&self, from: &str, limit: u64) -> Option<String> {
            let scratch = tempfile::tempdir_in(self.folder.path()).unwrap();
            let copies = self.copies("copy.db");
            self.unpacked.take(
                &repository(from),
                &self.layers,
                &copies,
                scratch.path(),
                limit,
            )?;
            Some(fs::read_to_string(&copies[0].to).unwrap())
        }
    }

    fn repository(name: &str) -> Repository {
        Repository::new("r.example", name).unwrap()
    }

    #[test]
    fn a_layer_is_known_only_where_it_was_read_or_made() {
        let world = World::new();
        assert_eq!(world.take("private", 100).as_deref(), Some("a database"));
        // A manifest elsewhere may name any layer, and whoever wrote it may have read none.
        assert_eq!(world.take("somebody/else", 100), None);
        // More than may be unpacked is not copied either.
        assert_eq!(world.take("private", 10), None);
        assert_eq!(world.take("private", 100).as_deref(), Some("a database"));
        world.unpacked.clear();
        assert_eq!(world.take("private", 100), None);
    }

    #[test]
    fn only_so_many_catalogs_are_in_memory() {
        let scratch = tempfile::tempdir().unwrap();
        let unpacked = Unpacked::in_folder(scratch.path(), 1 << 20).unwrap();
        let part = |name: usize| {
            let path = EntryPath::parse(b"configs").unwrap();
            vec![Copy::folder(path, scratch.path().join(name.to_string()))]
        };
        for number in 0..=CATALOGS {
            let (copies, cache) = (part(number), scratch.path().join("cache"));
            for folder in [&copies[0].to, &cache] {
                fs::create_dir(folder).unwrap();
            }
            let catalog = Folders.open(&copies[0].to, Rules::Opm126).unwrap();
            let catalog = Arc::from(catalog);
            let held = Held {
                repositories: &[repository("r")].into(),
                layers: &[Digest::of(&[number as u8])],
                settles: false,
                copies: &copies,
                found: &[true],
                input: None,
                made: Some(&HeldCatalog { catalog, cache }),
            };
            unpacked.keep(&held, Manner::Move);
        }
        let take = |number: usize| {
            let (layers, to) = ([Digest::of(&[number as u8])], part(100 + number));
            unpacked.take(&repository("r"), &layers, &to, scratch.path(), 100)
        };
        assert!(take(0).is_none());
        let newest = take(CATALOGS).unwrap();
        let cache = scratch.path().join("taken");
        assert!(newest.made.unwrap().take(&cache).is_some() && cache.is_dir());
    }

    #[test]
    fn large_catalogs_count_more_than_small_ones() {
        assert!(!are_too_many(&[1; CATALOGS]));
        assert!(are_too_many(&[1; CATALOGS + 1]));
        assert!(!are_too_many(&[BUNDLES / 2; 2]));
        assert!(are_too_many(&[BUNDLES / 2, BUNDLES / 2, 1]));
        assert!(!are_too_many(&[BUNDLES + 1]));
    }

    #[test]
    fn a_layer_that_is_not_whole_is_forgotten() {
        let world = World::new();
        let kept = fs::read_dir(world.folder.path().join(FOLDER)).unwrap();
        for entry in kept {
            // As long as it was.
            fs::write(entry.unwrap().path().join(LAYER), "A LAYER").unwrap();
        }
        assert_eq!(world.take("private", 100), None);
        assert!(!world.folder.path().join("copy.db").exists());
        assert!(world.unpacked.kept().contents.is_empty());
    }
}
