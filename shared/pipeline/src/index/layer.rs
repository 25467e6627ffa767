//! The layer of an index image, made of files of this machine.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use iib_oci::ImageFormat;
use iib_oci::layer::{self, EntryPath, PackEntry, PackedLayer, Reuse, Threads};
use iib_ports::{CACHE_DIGEST_BYTES, CacheContent, CatalogError, Stretch};

use super::places;
use crate::WorkError;
use crate::parts::InputLayer;
use crate::unpacked::HeldCatalog;

/// Bits of a catalog in an image, whatever they were where it came from.
const FILE: u32 = 0o644;
const FOLDER: u32 = 0o755;
/// The user that serves the catalog owns its cache (worker flows §15).
const SERVER: u64 = 1001;

/// A file or directory of the layer.
#[derive(Debug)]
pub(crate) struct Item {
    path: String,
    content: Content,
    mode: u32,
    owner: u64,
}

#[derive(Debug)]
enum Content {
    Directory,
    File(PathBuf),
    /// A file of a serve cache, in the store in this folder.
    Stored(PathBuf, Stretch),
    /// That with its digest.
    Digest(HeldCatalog),
}

impl Item {
    fn directory(path: &str) -> Self {
        Self {
            path: path.trim_start_matches('/').to_owned(),
            content: Content::Directory,
            mode: FOLDER,
            owner: 0,
        }
    }
}

/// A database at a path in the image.
pub(crate) fn database(file: &Path, at: &str) -> Vec<Item> {
    let at = at.trim_start_matches('/');
    let mut items = above(at);
    items.push(Item {
        path: at.to_owned(),
        content: Content::File(file.to_owned()),
        mode: FILE,
        owner: 0,
    });
    items
}

/// The directories above a path.
fn above(at: &str) -> Vec<Item> {
    let at = at.trim_start_matches('/');
    let ends = at.match_indices('/');
    ends.map(|(end, _)| Item::directory(&at[..end])).collect()
}

/// A catalog in a folder at a path in the image, and its cache.
///
/// # Errors
/// [`WorkError::Scratch`].
pub(crate) fn catalog(folder: &Path, at: &str, made: &HeldCatalog) -> Result<Vec<Item>, WorkError> {
    let mut items = above(at);
    walk(folder, at, &mut items)?;
    items.push(Item {
        // For all, as it is in the image of every system.
        mode: 0o1777,
        ..Item::directory("tmp")
    });
    items.push(Item {
        owner: SERVER,
        ..Item::directory(places::CACHE)
    });
    for member in made.catalog.cache_members() {
        items.push(Item {
            content: match member.content {
                CacheContent::Folder => Content::Directory,
                CacheContent::Stored(stretch) => Content::Stored(made.cache.clone(), stretch),
                CacheContent::Digest => Content::Digest(made.clone()),
            },
            mode: member.mode,
            owner: SERVER,
            ..Item::directory(&format!("{}/{}", places::CACHE, member.path))
        });
    }
    Ok(items)
}

/// What keeps all that layers below have in a folder from being seen. `empty` becomes an empty file.
///
/// # Errors
/// [`WorkError::Scratch`].
pub(crate) fn hiding(folder: &str, empty: &Path) -> Result<Item, WorkError> {
    File::create(empty).map_err(scratch("written"))?;
    let folder = folder.trim_matches('/');
    Ok(Item {
        content: Content::File(empty.to_owned()),
        mode: FILE,
        ..Item::directory(&format!("{folder}/.wh..wh..opq"))
    })
}

/// A folder with all that is in it.
fn walk(folder: &Path, at: &str, items: &mut Vec<Item>) -> Result<(), WorkError> {
    let read = scratch("read");
    let metadata = fs::metadata(folder).map_err(&read)?;
    items.push(Item {
        mode: metadata.permissions().mode() & 0o777,
        ..Item::directory(at)
    });
    for entry in fs::read_dir(folder).map_err(&read)? {
        let entry = entry.map_err(&read)?;
        let name = entry.file_name();
        let path = format!("{at}/{}", name.to_string_lossy());
        let metadata = entry.metadata().map_err(&read)?;
        if metadata.is_dir() {
            walk(&entry.path(), &path, items)?;
            continue;
        }
        items.push(Item {
            content: Content::File(entry.path()),
            mode: metadata.permissions().mode() & 0o777,
            ..Item::directory(&path)
        });
    }
    Ok(())
}

/// Gives files and folders the bits they have in an image that is made here. The digest of a serve
/// cache depends on them.
///
/// # Errors
/// [`WorkError::Scratch`].
pub(crate) fn set_usual_modes(folder: &Path) -> Result<(), WorkError> {
    let set = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(scratch("written"))
    };
    set(folder, FOLDER)?;
    let read = scratch("read");
    for entry in fs::read_dir(folder).map_err(&read)? {
        let entry = entry.map_err(&read)?;
        match entry.file_type().map_err(&read)?.is_dir() {
            true => set_usual_modes(&entry.path())?,
            false => set(&entry.path(), FILE)?,
        }
    }
    Ok(())
}

/// Packs files into a layer of an image of this format. Where it has pieces, what did not change since
/// `input` is taken over from there.
///
/// # Errors
/// [`WorkError::Scratch`] for files on this machine; [`WorkError::Pack`], also for those of `out`.
pub(crate) fn pack(
    mut items: Vec<Item>,
    format: ImageFormat,
    input: Option<&InputLayer>,
    out: &mut impl Write,
) -> Result<PackedLayer, WorkError> {
    items.sort_by(|low, high| low.path.cmp(&high.path));
    // Directories that are above several things.
    items.dedup_by(|second, first| {
        let both = [&*second, &*first];
        let is_directory = |item: &Item| matches!(item.content, Content::Directory);
        second.path == first.path && both.into_iter().all(is_directory)
    });
    thread::scope(|scope| {
        let mut stores = Stores::default();
        let (mut sources, mut to_digest) = (Vec::new(), None);
        for item in &items {
            sources.push(match &item.content {
                Content::Directory => None,
                Content::File(path) => {
                    let size = fs::metadata(path).map_err(scratch("read"))?.len();
                    Some((size, Source::Whole(OpenedLate::new(path.clone()))))
                }
                Content::Stored(store, stretch) => {
                    let file = stores.open(store, &stretch.file)?;
                    let (at, left) = (stretch.at, stretch.size);
                    Some((left, Source::Part { file, at, left }))
                }
                Content::Digest(made) => {
                    to_digest = Some((sources.len(), made));
                    Some((CACHE_DIGEST_BYTES, Source::Digest(LateDigest::Failed)))
                }
            });
        }
        if let Some((at, made)) = to_digest {
            // It is the last of the cache's files, and takes as long as packing them. When packing fails, it is still
            // waited for.
            let digest = scope.spawn(|| made.catalog.cache_digest(&made.cache));
            if let Some(Some((_, source))) = sources.get_mut(at) {
                *source = Source::Digest(LateDigest::Working(digest));
            }
        }
        let mut entries = Vec::new();
        for (item, source) in items.iter().zip(&mut sources) {
            let path = EntryPath::parse(item.path.as_bytes());
            let path = path.map_err(|_| WorkError::Incomplete("pack"))?;
            let entry = match source {
                Some((size, source)) => PackEntry::file(path, *size, source),
                None => PackEntry::directory(path),
            };
            entries.push(entry.with_mode(item.mode).owned_by(item.owner));
        }
        if format == ImageFormat::Oci {
            return layer::pack_frame(&mut entries, out).map_err(WorkError::Pack);
        }
        let previous = match input {
            Some(input) => {
                let layer = File::open(&input.file).map_err(scratch("read"))?;
                Some((layer, &input.pieces))
            }
            None => None,
        };
        let reuse = (previous.as_ref()).map(|(layer, pieces)| Reuse { pieces, layer });
        layer::pack(&mut entries, reuse, Threads::available(), out).map_err(WorkError::Pack)
    })
}

/// The open files of stores: few, of which each is read for thousands of entries.
#[derive(Default)]
struct Stores(BTreeMap<(PathBuf, Arc<str>), Arc<File>>);

impl Stores {
    fn open(&mut self, store: &Path, name: &Arc<str>) -> Result<Arc<File>, WorkError> {
        let key = (store.to_owned(), name.clone());
        if let Some(file) = self.0.get(&key) {
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(store.join(&**name)).map_err(scratch("read"))?);
        self.0.insert(key, file.clone());
        Ok(file)
    }
}

/// Where the content of a file comes from.
enum Source<'scope> {
    Whole(OpenedLate),
    Part { file: Arc<File>, at: u64, left: u64 },
    Digest(LateDigest<'scope>),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Whole(file) => file.read(buffer),
            Self::Part { file, at, left } => {
                let wanted = usize::try_from(*left).map_or(buffer.len(), |n| n.min(buffer.len()));
                let read = file.read_at(&mut buffer[..wanted], *at)?;
                *at += read as u64;
                *left -= read as u64;
                Ok(read)
            }
            Self::Digest(late) => late.read(buffer),
        }
    }
}

/// A digest that is waited for when it is read first.
enum LateDigest<'scope> {
    Working(ScopedJoinHandle<'scope, Result<String, CatalogError>>),
    Done(Cursor<String>),
    Failed,
}

impl Read for LateDigest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Done(digest) = self {
            return digest.read(buffer);
        }
        let Self::Working(digest) = std::mem::replace(self, Self::Failed) else {
            return Err(io::Error::other(
                "the digest of the cache could not be made",
            ));
        };
        let digest = digest.join();
        let digest = digest.map_err(|_| io::Error::other("making the digest panicked"))?;
        *self = Self::Done(Cursor::new(digest.map_err(io::Error::other)?));
        self.read(buffer)
    }
}

/// A file that is opened when it is read first, and closed at its end: there are more of them than a
/// process may have open.
struct OpenedLate {
    path: PathBuf,
    state: State,
}

enum State {
    Waiting,
    Open(File),
    Done,
}

impl OpenedLate {
    fn new(path: PathBuf) -> Self {
        let state = State::Waiting;
        Self { path, state }
    }
}

impl Read for OpenedLate {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Waiting = self.state {
            self.state = State::Open(File::open(&self.path)?);
        }
        let State::Open(file) = &mut self.state else {
            return Ok(0);
        };
        let read = file.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            self.state = State::Done;
        }
        Ok(read)
    }
}

/// A failure of a scratch file.
pub(crate) fn scratch(action: &'static str) -> impl Fn(io::Error) -> WorkError {
    move |source| WorkError::Scratch { action, source }
}
