//! The unpacked side of a layer we write: a tar archive, piece by piece.

use std::fmt;
use std::io::{self, Read};

use super::deflate::checksum;
use super::entries::BLOCK;
use super::{EntryPath, PIECE_SIZE, PackError};

/// The largest file that a plain ustar header can state: 8 GiB less one byte.
const FILE_LIMIT: u64 = (1 << 33) - 1;

/// Something to put into a layer. The time is the epoch and the group root, for every entry.
pub struct PackEntry<'a> {
    path: EntryPath,
    mode: u32,
    owner: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Directory,
    File {
        size: u64,
        source: &'a mut (dyn Read + Send),
    },
}

impl<'a> PackEntry<'a> {
    /// A directory of root's, mode 0755.
    pub fn directory(path: EntryPath) -> Self {
        Self {
            path,
            mode: 0o755,
            owner: 0,
            content: Content::Directory,
        }
    }

    /// A file of root's, mode 0644, of exactly `size` bytes (the header comes before the content).
    pub fn file(path: EntryPath, size: u64, source: &'a mut (dyn Read + Send)) -> Self {
        Self {
            path,
            mode: 0o644,
            owner: 0,
            content: Content::File { size, source },
        }
    }

    /// The same with these permission bits.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same for a user, by number.
    #[must_use]
    pub fn owned_by(mut self, user: u64) -> Self {
        self.owner = user;
        self
    }

    /// Where it goes.
    pub fn path(&self) -> &EntryPath {
        &self.path
    }

    fn is_large(&self) -> bool {
        matches!(self.content, Content::File { size, .. } if size >= LARGE)
    }

    fn begins_piece(&self) -> bool {
        self.is_large()
            || checksum(self.path.as_str().as_bytes())
                .sum()
                .is_multiple_of(BEGINNINGS)
    }
}

impl fmt::Debug for PackEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, size) = match &self.content {
            Content::Directory => ("directory", 0),
            Content::File { size, .. } => ("file", *size),
        };
        f.debug_struct("PackEntry")
            .field("path", &self.path)
            .field("kind", &kind)
            .field("size", &size)
            .finish_non_exhaustive()
    }
}

/// Files from this size on have pieces of their own.
const LARGE: u64 = PIECE_SIZE as u64 / 4;
/// Of other entries one in so many begins a piece.
const BEGINNINGS: u32 = 8;

/// The archive's bytes in pieces of at most [`PIECE_SIZE`].
///
/// What begins a piece depends on the entry alone: so behind an entry that is new, gone or of another size the pieces
/// are soon those of before, and can be taken over.
pub(super) struct TarPieces<'e, 'a> {
    entries: std::slice::IterMut<'e, PackEntry<'a>>,
    /// Headers, padding and end marker that are not yet handed out.
    pending: Vec<u8>,
    /// Where `pending` was handed out to.
    taken: usize,
    current: Option<File<'e, 'a>>,
    /// Whether the entry before was large.
    behind_large: bool,
    finished: bool,
}

/// The file whose content is being read.
struct File<'e, 'a> {
    path: &'e EntryPath,
    size: u64,
    left: u64,
    source: &'e mut &'a mut (dyn Read + Send),
}

impl<'e, 'a> TarPieces<'e, 'a> {
    /// # Errors
    /// The entries must be sorted, each path once, so that equal content gives equal bytes.
    pub(super) fn new(entries: &'e mut [PackEntry<'a>]) -> Result<Self, PackError> {
        if entries.iter().any(|entry| entry.path.as_str().is_empty()) {
            return Err(PackError::EmptyPath);
        }
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return Err(PackError::Order {
                path: pair[1].path.clone(),
            });
        }
        Ok(Self {
            entries: entries.iter_mut(),
            pending: Vec::new(),
            taken: 0,
            current: None,
            behind_large: false,
            finished: false,
        })
    }

    /// Bytes of the whole archive, before anything of it is handed out.
    ///
    /// # Errors
    /// Those that [`Self::next`] would give for headers.
    pub(super) fn total(entries: &[PackEntry<'a>]) -> Result<u64, PackError> {
        let mut total = 2 * BLOCK as u64;
        for entry in entries {
            let (kind, size) = match &entry.content {
                Content::Directory => (tar::EntryType::Directory, 0),
                Content::File { size, .. } => (tar::EntryType::Regular, *size),
            };
            let stated = Stated {
                mode: entry.mode,
                owner: entry.owner,
                size,
            };
            let header = header(&entry.path, kind, stated)?.len();
            let content = size.saturating_add(padding(size) as u64);
            total = content.saturating_add(header as u64).saturating_add(total);
        }
        Ok(total)
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, PackError> {
        let mut piece = Vec::with_capacity(PIECE_SIZE);
        while piece.len() < PIECE_SIZE {
            let room = PIECE_SIZE - piece.len();
            if self.taken < self.pending.len() {
                let count = room.min(self.pending.len() - self.taken);
                piece.extend_from_slice(&self.pending[self.taken..self.taken + count]);
                self.taken += count;
            } else if let Some(file) = &mut self.current {
                file.read(&mut piece, room)?;
                if file.left == 0 {
                    file.check_end()?;
                    let padding = padding(file.size);
                    self.current = None;
                    self.set_pending(vec![0; padding]);
                }
            } else if !piece.is_empty() && self.is_beginning() {
                break;
            } else if let Some(entry) = self.entries.next() {
                self.behind_large = entry.is_large();
                self.start(entry)?;
            } else if !self.finished {
                self.finished = true;
                self.set_pending(vec![0; 2 * BLOCK]);
            } else {
                break;
            }
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Whether a piece begins with the next entry.
    fn is_beginning(&self) -> bool {
        let next = self.entries.as_slice().first();
        next.is_some_and(|next| self.behind_large || next.begins_piece())
    }

    fn start(&mut self, entry: &'e mut PackEntry<'a>) -> Result<(), PackError> {
        let PackEntry {
            path,
            mode,
            owner,
            content,
        } = entry;
        let (mode, owner) = (*mode, *owner);
        let header = |kind, size| header(path, kind, Stated { mode, owner, size });
        match content {
            Content::Directory => self.set_pending(header(tar::EntryType::Directory, 0)?),
            Content::File { size, .. } if *size > FILE_LIMIT => {
                return Err(PackError::FileTooLarge {
                    path: path.clone(),
                    size: *size,
                    limit: FILE_LIMIT,
                });
            }
            Content::File { size, source } => {
                self.set_pending(header(tar::EntryType::Regular, *size)?);
                self.current = Some(File {
                    path,
                    size: *size,
                    left: *size,
                    source,
                });
            }
        }
        Ok(())
    }

    fn set_pending(&mut self, bytes: Vec<u8>) {
        self.pending = bytes;
        self.taken = 0;
    }
}

impl File<'_, '_> {
    /// Appends at most `room` bytes of the content.
    fn read(&mut self, piece: &mut Vec<u8>, room: usize) -> Result<(), PackError> {
        let wanted = self.left.min(room as u64);
        let read = (&mut *self.source)
            .take(wanted)
            .read_to_end(piece)
            .map_err(|source| self.failure(source))? as u64;
        self.left -= read;
        if read < wanted {
            return Err(self.size_changed());
        }
        Ok(())
    }

    /// A longer source means that the file changed while it was packed.
    fn check_end(&mut self) -> Result<(), PackError> {
        let mut more = Vec::new();
        (&mut *self.source)
            .take(1)
            .read_to_end(&mut more)
            .map_err(|source| self.failure(source))?;
        if more.is_empty() {
            Ok(())
        } else {
            Err(self.size_changed())
        }
    }

    fn failure(&self, source: io::Error) -> PackError {
        PackError::Read {
            path: self.path.clone(),
            source,
        }
    }

    fn size_changed(&self) -> PackError {
        PackError::SizeChanged {
            path: self.path.clone(),
            size: self.size,
        }
    }
}

fn padding(size: u64) -> usize {
    let over = (size % BLOCK as u64) as usize;
    (BLOCK - over) % BLOCK
}

/// What a header states besides path and kind.
#[derive(Clone, Copy)]
struct Stated {
    mode: u32,
    owner: u64,
    size: u64,
}

/// The header blocks of an entry: ustar, with a pax record in front where the path does not fit.
fn header(path: &EntryPath, kind: tar::EntryType, stated: Stated) -> Result<Vec<u8>, PackError> {
    let invalid = |source| PackError::Header {
        path: path.clone(),
        source,
    };
    let mut blocks = Vec::new();
    let mut own = fixed_header(kind, stated);
    // Directories end with a slash, as every archiver writes them.
    let slash = if kind == tar::EntryType::Directory {
        "/"
    } else {
        ""
    };
    let text = format!("{path}{slash}");
    if own.set_path(&text).is_err() || !text.is_ascii() {
        let record = pax_record("path", &text);
        let of_record = Stated {
            mode: 0o644,
            owner: 0,
            size: record.len() as u64,
        };
        let mut extended = fixed_header(tar::EntryType::XHeader, of_record);
        extended.set_path("pax").map_err(invalid)?;
        extended.set_cksum();
        blocks.extend_from_slice(extended.as_bytes());
        blocks.extend_from_slice(record.as_bytes());
        blocks.resize(blocks.len() + padding(record.len() as u64), 0);
        // Readers that know pax do not look at this name.
        own = fixed_header(kind, stated);
        own.set_path(format!("long{slash}")).map_err(invalid)?;
    }
    own.set_cksum();
    blocks.extend_from_slice(own.as_bytes());
    Ok(blocks)
}

fn fixed_header(kind: tar::EntryType, stated: Stated) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(stated.mode);
    header.set_uid(stated.owner);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(stated.size);
    header
}

/// `<length> <key>=<value>\n`, the length counting its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}
