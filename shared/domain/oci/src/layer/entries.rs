//! Walking the entries of a tar archive.
//!
//! Headers are understood as container runtimes do (Go's `archive/tar`): ustar, GNU long names
//! and pax records for path, link and size; links and directories have no content, whatever their size
//! says; global pax headers are skipped. Field by field the `tar` crate reads them; its iterator is
//! not used, because it holds extended headers of any length in memory and mixes up its own
//! errors with those of the input.

use super::entry_path::IsText;
use super::{EntryPath, LayerError, PathFault, Refusal, TarFault};

/// The largest long name or extended header: Go's reader has the same limit.
pub(super) const EXTENSION_LIMIT: u64 = 1024 * 1024;

/// The unit of a tar archive.
pub(super) const BLOCK: usize = 512;

/// Bytes that come in chunks, with typed errors.
pub(super) trait Stream {
    /// The bytes at hand, at least one unless the stream is at its end.
    fn chunk(&mut self) -> Result<&[u8], LayerError>;
    /// Takes the first `count` bytes of the chunk.
    fn advance(&mut self, count: usize);
}

/// One entry. Its content, if any, is next in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: EntryPath,
    /// Whether its name is text; if not, the path only tells where it lies.
    pub(super) is_text: IsText,
    pub(super) kind: EntryKind,
    /// What a hard link is another name of, as it is written.
    pub(super) target: Vec<u8>,
    /// Size of the content in bytes.
    pub(super) size: u64,
    /// Permission bits.
    pub(super) mode: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    /// Another name of a file.
    HardLink,
    Symlink,
    Device,
    Fifo,
    /// A file with holes in one of the forms of GNU tar: its content is not what the file holds.
    Sparse,
    Unknown,
}

/// The entries of an archive, in its order.
pub(super) struct Entries<'s, S> {
    stream: &'s mut S,
    /// Unpacked bytes taken so far.
    offset: u64,
    /// Content of the current entry that was not taken.
    content: u64,
    /// Bytes behind the content, up to the next block.
    padding: u64,
}

/// What extended headers say about the entry behind them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    /// Of a file with holes its own name, if it has one: the path beside it is made up.
    sparse: Option<Vec<u8>>,
}

impl EntryKind {
    fn of(header: &tar::Header, path: &[u8]) -> Self {
        match type_flag(header) {
            // Archives older than ustar mark directories by the slash alone.
            b'\0' if path.last() == Some(&b'/') => Self::Directory,
            b'\0' | b'0' | b'7' => Self::File,
            b'5' => Self::Directory,
            b'1' => Self::HardLink,
            b'2' => Self::Symlink,
            b'3' | b'4' => Self::Device,
            b'6' => Self::Fifo,
            b'S' => Self::Sparse,
            _ => Self::Unknown,
        }
    }

    /// Why an entry of this kind is refused where files are read.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::File | Self::Directory | Self::HardLink | Self::Symlink => None,
            Self::Device => Some(Refusal::Device),
            Self::Fifo => Some(Refusal::Fifo),
            Self::Sparse => Some(Refusal::Sparse),
            Self::Unknown => Some(Refusal::UnknownType),
        }
    }
}

impl Entry {
    /// What is wrong with an entry where files are read: devices and the like, names that are no
    /// text. Elsewhere such entries are passed over: layers of a base have them.
    pub(super) fn check_readable(&self) -> Result<(), LayerError> {
        if self.is_text == IsText::No {
            return Err(LayerError::Path {
                path: self.path.to_string(),
                source: PathFault::NotText,
            });
        }
        match self.kind.refusal() {
            Some(reason) => Err(self.refused(reason)),
            None => Ok(()),
        }
    }

    /// What a hard link is another name of.
    pub(super) fn link_target(&self) -> Result<EntryPath, LayerError> {
        match EntryPath::parse(&self.target) {
            Ok(target) if !target.is_root() => Ok(target),
            Ok(_) => Err(self.refused(Refusal::LinkToNothing)),
            Err(source) => Err(LayerError::Path {
                path: format!(
                    "{} (a hard link to {})",
                    self.path,
                    String::from_utf8_lossy(&self.target)
                ),
                source,
            }),
        }
    }

    pub(super) fn refused(&self, reason: Refusal) -> LayerError {
        LayerError::Refused {
            path: self.path.to_string(),
            reason,
        }
    }
}

impl<'s, S: Stream> Entries<'s, S> {
    pub(super) fn new(stream: &'s mut S) -> Self {
        Self {
            stream,
            offset: 0,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry; what is left of the current one is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, LayerError> {
        let mut extension = Extension::default();
        loop {
            let left = (self.content).saturating_add(std::mem::take(&mut self.padding));
            self.content = 0;
            self.take(left, |_| Ok(()))?;
            let start = self.offset;
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            let header = tar::Header::from_byte_slice(&block);
            let fault = |source| LayerError::Tar {
                offset: start,
                source,
            };
            let size = header.entry_size().map_err(|_| fault(TarFault::Number))?;
            match type_flag(header) {
                b'x' => {
                    let records = self.extended(size, start)?;
                    extension.read_pax(&records).map_err(fault)?;
                }
                b'L' => extension.path = Some(self.long_name(size, start)?),
                b'K' => extension.target = Some(self.long_name(size, start)?),
                b'g' => self.set_content(size),
                b'S' => {
                    self.skip_map_of_holes(&block)?;
                    return self.entry(header, size, extension).map(Some);
                }
                _ => return self.entry(header, size, extension).map(Some),
            }
        }
    }

    /// Hands the content of the current entry on, in pieces.
    pub(super) fn content(
        &mut self,
        each: impl FnMut(&[u8]) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let count = std::mem::take(&mut self.content);
        self.take(count, each)
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        size: u64,
        extension: Extension,
    ) -> Result<Entry, LayerError> {
        let is_sparse = extension.sparse.is_some();
        let own = extension.sparse.filter(|name| !name.is_empty());
        let raw = (own.or(extension.path)).unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match EntryKind::of(header, &raw) {
            EntryKind::File if is_sparse => EntryKind::Sparse,
            kind => kind,
        };
        let size = match type_flag(header) {
            b'1'..=b'6' => 0,
            _ => extension.size.unwrap_or(size),
        };
        self.set_content(size);
        let (path, is_text) = EntryPath::of_entry(&raw).map_err(|source| LayerError::Path {
            path: String::from_utf8_lossy(&raw).into_owned(),
            source,
        })?;
        let target = match (kind, extension.target) {
            (EntryKind::HardLink, Some(target)) => target,
            (EntryKind::HardLink, None) => {
                header.link_name_bytes().unwrap_or_default().into_owned()
            }
            _ => Vec::new(),
        };
        let usual = match kind {
            EntryKind::Directory => 0o755,
            _ => 0o644,
        };
        let mode = header.mode().unwrap_or(usual) & 0o777;
        Ok(Entry {
            path,
            is_text,
            kind,
            target,
            size,
            mode,
        })
    }

    /// A long name, which ends at its first NUL.
    fn long_name(&mut self, size: u64, start: u64) -> Result<Vec<u8>, LayerError> {
        let mut name = self.extended(size, start)?;
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// The blocks behind the header of a sparse file that say where its holes are. Header and
    /// blocks tell whether another one follows (GNU tar, "Basic Tar Format").
    fn skip_map_of_holes(&mut self, header: &[u8; BLOCK]) -> Result<(), LayerError> {
        let mut goes_on = header[482] != 0;
        while goes_on {
            let block = self.block()?.ok_or(LayerError::Tar {
                offset: self.offset,
                source: TarFault::Truncated,
            })?;
            goes_on = block[504] != 0;
        }
        Ok(())
    }

    fn set_content(&mut self, size: u64) {
        self.content = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The next header; `None` at the end of the archive, with or without its end marker.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        let start = self.offset;
        let fault = |source| LayerError::Tar {
            offset: start,
            source,
        };
        let Some(block) = self.block()? else {
            return Ok(None);
        };
        if block.iter().all(|b| *b == 0) {
            return match self.block()? {
                Some(second) if second.iter().any(|b| *b != 0) => Err(fault(TarFault::End)),
                _ => Ok(None),
            };
        }
        let header = tar::Header::from_byte_slice(&block);
        let stated = header.cksum().map_err(|_| fault(TarFault::Checksum))?;
        // The checksum's own eight bytes count as blanks.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, b)| {
                if (148..156).contains(&at) {
                    u32::from(b' ')
                } else {
                    u32::from(*b)
                }
            })
            .sum();
        if sum != stated {
            return Err(fault(TarFault::Checksum));
        }
        Ok(Some(block))
    }

    /// One block; `None` where the stream ends.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, LayerError> {
        if self.stream.chunk()?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let mut filled = 0;
        self.take(BLOCK as u64, |bytes| {
            block[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
            Ok(())
        })?;
        Ok(Some(block))
    }

    /// The content of an extended header.
    fn extended(&mut self, size: u64, start: u64) -> Result<Vec<u8>, LayerError> {
        if size > EXTENSION_LIMIT {
            return Err(LayerError::Tar {
                offset: start,
                source: TarFault::ExtensionSize,
            });
        }
        let mut held = Vec::new();
        self.set_content(size);
        self.content(|bytes| {
            held.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(held)
    }

    /// Takes exactly `count` bytes off the stream.
    fn take(
        &mut self,
        mut count: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        while count > 0 {
            let chunk = self.stream.chunk()?;
            if chunk.is_empty() {
                return Err(LayerError::Tar {
                    offset: self.offset,
                    source: TarFault::Truncated,
                });
            }
            let taken = usize::try_from(count).map_or(chunk.len(), |count| count.min(chunk.len()));
            each(&chunk[..taken])?;
            self.stream.advance(taken);
            self.offset += taken as u64;
            count -= taken as u64;
        }
        Ok(())
    }
}

impl Extension {
    /// Takes in pax records: `<length> <key>=<value>\n`, the length counting all of it. An empty
    /// value takes an earlier one back.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<(), TarFault> {
        while !records.is_empty() {
            let (record, rest) = pax_record(records).ok_or(TarFault::Extension)?;
            records = rest;
            let at = record
                .iter()
                .position(|b| *b == b'=')
                .ok_or(TarFault::Extension)?;
            let (key, value) = (&record[..at], &record[at + 1..]);
            match key {
                b"GNU.sparse.name" => self.sparse = Some(value.to_vec()),
                key if key.starts_with(b"GNU.sparse.") => {
                    self.sparse.get_or_insert_default();
                }
                b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
                b"linkpath" => self.target = (!value.is_empty()).then(|| value.to_vec()),
                b"size" if value.is_empty() => self.size = None,
                b"size" => self.size = Some(decimal(value).ok_or(TarFault::Number)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The type as it is written; the `tar` crate does not tell files of ustar from older ones.
fn type_flag(header: &tar::Header) -> u8 {
    header.as_bytes()[156]
}

/// The first record without length and line end, and what is behind it.
fn pax_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = records.iter().position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&records[..blank])?).ok()?;
    let record = records.get(blank + 1..length)?;
    let record = record.strip_suffix(b"\n")?;
    Some((record, &records[length..]))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
