//! The layer of an index image, made of files of this machine.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use iib_oci::ImageFormat;
use iib_oci::layer::{self, EntryPath, PackEntry, PackedLayer, Reuse, Threads};

use super::places;
use crate::WorkError;
use crate::parts::InputLayer;

/// Bits of a catalog in an image, whatever they were where it came from.
const FILE: u32 = 0o644;
const FOLDER: u32 = 0o755;
/// The user that serves the catalog owns its cache (worker flows §15).
const SERVER: u64 = 1001;

/// A file or directory of the layer.
#[derive(Debug)]
pub(crate) struct Item {
    path: String,
    /// The file with its content; none for a directory.
    content: Option<PathBuf>,
    mode: u32,
    owner: u64,
}

impl Item {
    fn directory(path: &str) -> Self {
        Self {
            path: path.trim_start_matches('/').to_owned(),
            content: None,
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
        content: Some(file.to_owned()),
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

/// A catalog at a path in the image, and its cache.
///
/// # Errors
/// [`WorkError::Scratch`].
pub(crate) fn catalog(folder: &Path, at: &str, cache: &Path) -> Result<Vec<Item>, WorkError> {
    let mut items = above(at);
    walk(folder, at, 0, &mut items)?;
    items.push(Item {
        // For all, as it is in the image of every system.
        mode: 0o1777,
        ..Item::directory("tmp")
    });
    let first = items.len();
    walk(cache, places::CACHE, SERVER, &mut items)?;
    if let Some(root) = items.get_mut(first) {
        root.mode = FOLDER;
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
        content: Some(empty.to_owned()),
        mode: FILE,
        ..Item::directory(&format!("{folder}/.wh..wh..opq"))
    })
}

/// A folder with all that is in it.
fn walk(folder: &Path, at: &str, owner: u64, items: &mut Vec<Item>) -> Result<(), WorkError> {
    let read = scratch("read");
    let metadata = fs::metadata(folder).map_err(&read)?;
    items.push(Item {
        mode: metadata.permissions().mode() & 0o777,
        owner,
        ..Item::directory(at)
    });
    for entry in fs::read_dir(folder).map_err(&read)? {
        let entry = entry.map_err(&read)?;
        let name = entry.file_name();
        let path = format!("{at}/{}", name.to_string_lossy());
        let metadata = entry.metadata().map_err(&read)?;
        if metadata.is_dir() {
            walk(&entry.path(), &path, owner, items)?;
            continue;
        }
        items.push(Item {
            content: Some(entry.path()),
            mode: metadata.permissions().mode() & 0o777,
            owner,
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
        second.path == first.path && both.iter().all(|item| item.content.is_none())
    });
    let files = items.iter().filter_map(|item| item.content.clone());
    let mut files: Vec<OpenedLate> = files.map(OpenedLate::new).collect();
    let mut sources = files.iter_mut();
    let mut entries = Vec::new();
    for item in &items {
        let path = EntryPath::parse(item.path.as_bytes());
        let path = path.map_err(|_| WorkError::Incomplete("pack"))?;
        let source = item.content.as_ref().and_then(|_| sources.next());
        let entry = match source {
            Some(source) => {
                let size = fs::metadata(&source.path).map_err(scratch("read"))?.len();
                PackEntry::file(path, size, source)
            }
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
