//! Writing a layer: equal content gives equal bytes, on any number of cores.
//!
//! The tar archive is cut into pieces of [`PIECE_SIZE`](super::PIECE_SIZE) bytes, each of which
//! becomes a gzip member of its own (see `member`). Reading, compressing on all cores, and hashing
//! with writing overlap; only the few pieces under way are in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest as _, Sha256};

use super::member::{MEMBER_LIMIT, Packer};
use super::ordered::{Results, in_order};
use super::pieces::Member;
use super::tar_stream::TarPieces;
use super::{EntryPath, PackEntry, PieceTable, Threads};
use crate::{Digest, DigestHasher};

/// The input layer, whose unchanged pieces are taken over as they are.
#[derive(Debug, Clone, Copy)]
pub struct Reuse<'a> {
    /// Its pieces, from [`super::unpack`].
    pub pieces: &'a PieceTable,
    /// Its compressed bytes, as they were read then. Open for reading; its position is moved.
    pub layer: &'a File,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedLayer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Digest of the tar archive.
    pub diff_id: Digest,
    /// Number of compressed bytes.
    pub size: u64,
    /// Number of pieces.
    pub pieces: usize,
    /// How many of them were taken over from the input layer.
    pub pieces_reused: usize,
}

/// A layer that could not be written.
///
/// [`PackError::Read`], [`PackError::Previous`] and [`PackError::Write`] come from outside (class
/// Retry); the others are mistakes of the caller (class Bug).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// An entry for the root.
    #[error("an entry of the new layer has an empty path")]
    EmptyPath,
    /// The entries are not sorted by path, or one comes twice.
    #[error("the new layer's entry `{path}` is out of order: sort entries by path, each once")]
    Order {
        /// The entry behind its successor or its equal.
        path: EntryPath,
    },
    /// A file too large for a tar header.
    #[error("`{path}` has {size} bytes, more than the {limit} that a layer's entry can have")]
    FileTooLarge {
        /// The file.
        path: EntryPath,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The tar header could not be made.
    #[error("no tar header can be made for `{path}`")]
    Header {
        /// The entry.
        path: EntryPath,
        /// What the archive writer said.
        source: io::Error,
    },
    /// The content could not be read.
    #[error("the content of `{path}` could not be read while packing it")]
    Read {
        /// The file.
        path: EntryPath,
        /// Why.
        source: io::Error,
    },
    /// The content is shorter or longer than stated.
    #[error("the content of `{path}` does not have the stated {size} bytes: it changed meanwhile")]
    SizeChanged {
        /// The file.
        path: EntryPath,
        /// The stated size in bytes.
        size: u64,
    },
    /// The compressor needed more space than it had promised.
    #[error("a piece of the layer could not be compressed")]
    Compress,
    /// The input layer's file does not have the member any more.
    #[error("the input layer could not be read at byte {offset} while taking a piece over")]
    Previous {
        /// Where the member was.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The layer could not be written.
    #[error("the new layer could not be written")]
    Write(#[source] io::Error),
}

impl PackError {
    /// Whether the same call may succeed later (class Retry). Otherwise the caller is at fault
    /// (class Bug).
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Read { .. } | Self::Previous { .. } | Self::Write(_)
        )
    }
}

/// A piece with its member.
struct Packed<'a> {
    piece: Vec<u8>,
    member: PackedMember<'a>,
}

enum PackedMember<'a> {
    Fresh(Vec<u8>),
    /// To be copied from the input layer.
    Taken(Member, &'a File),
}

impl<'a> Reuse<'a> {
    fn find(self, piece: &[u8]) -> Option<PackedMember<'a>> {
        let member = self.pieces.find(&Sha256::digest(piece).into())?;
        Some(PackedMember::Taken(member, self.layer))
    }
}

/// Writes a layer with these entries, which must be sorted by path.
///
/// With `reuse`, a piece that the input layer has too is copied from it. Where the input layer
/// was written by this function too, that gives the bytes that compressing anew would give; where
/// another writer of the form made it, they are a valid layer of the same content.
///
/// # Errors
/// [`PackError`]. What was written to `out` until then is worthless.
pub fn pack(
    entries: &mut [PackEntry<'_>],
    reuse: Option<Reuse<'_>>,
    threads: Threads,
    out: &mut impl Write,
) -> Result<PackedLayer, PackError> {
    let mut pieces = TarPieces::new(entries)?;
    let new_worker = || {
        let mut packer = Packer::new();
        move |piece: Vec<u8>| {
            let member = match reuse.and_then(|reuse| reuse.find(&piece)) {
                Some(taken) => taken,
                None => PackedMember::Fresh(packer.member(&piece).ok_or(PackError::Compress)?),
            };
            Ok(Packed { piece, member })
        }
    };
    in_order(
        threads,
        || pieces.next(),
        new_worker,
        |results| write_members(results, out),
    )
}

fn write_members(
    results: &mut Results<Packed<'_>, PackError>,
    out: &mut impl Write,
) -> Result<PackedLayer, PackError> {
    let (mut digest, mut diff_id) = (DigestHasher::default(), DigestHasher::default());
    let (mut size, mut pieces, mut pieces_reused) = (0, 0, 0);
    let mut copied = Vec::new();
    while let Some(result) = results.next() {
        let Packed { piece, member } = result?;
        diff_id.update(&piece);
        pieces += 1;
        let bytes = match &member {
            PackedMember::Fresh(bytes) => bytes,
            PackedMember::Taken(member, layer) => {
                pieces_reused += 1;
                read_member(layer, *member, &mut copied).map_err(|source| PackError::Previous {
                    offset: member.offset,
                    source,
                })?;
                &copied
            }
        };
        digest.update(bytes);
        size += bytes.len() as u64;
        out.write_all(bytes).map_err(PackError::Write)?;
    }
    out.flush().map_err(PackError::Write)?;
    Ok(PackedLayer {
        digest: digest.finish(),
        diff_id: diff_id.finish(),
        size,
        pieces,
        pieces_reused,
    })
}

fn read_member(mut layer: &File, member: Member, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(member.length.min(MEMBER_LIMIT), 0);
    layer.seek(SeekFrom::Start(member.offset))?;
    layer.read_exact(bytes)
}

#[cfg(test)]
mod tests;
