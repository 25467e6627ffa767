//! Writing a layer in pieces: equal content gives equal bytes, on any number of cores.
//!
//! The tar archive is cut into pieces of at most [`PIECE_SIZE`](super::PIECE_SIZE) bytes, each of which
//! is deflated on its own (see `form`). Reading, compressing on all cores, and hashing with writing
//! overlap; only the few pieces under way are in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::Crc;
use sha2::{Digest as _, Sha256};

use super::deflate::{PACKED_LIMIT, Packer, checksum};
use super::form::{self, PieceSizes};
use super::ordered::{Results, in_order};
use super::pieces::{PieceHash, Place};
use super::tar_stream::TarPieces;
use super::{EntryPath, PackEntry, PieceTable, Threads};
use crate::{Descriptor, Digest, DigestHasher, ImageFormat};

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
    /// Number of pieces; 0 where it is one frame ([`super::pack_frame`]).
    pub pieces: usize,
    /// How many of them were taken over from the input layer.
    pub pieces_reused: usize,
    /// Where they lie, for the layer that comes after this one.
    pub table: PieceTable,
}

impl PackedLayer {
    /// As manifests of such images name it.
    pub fn descriptor(&self, format: ImageFormat) -> Descriptor {
        Descriptor {
            media_type: format.own_layer_type(),
            size: self.size,
            digest: self.digest.clone(),
        }
    }
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
    /// The input layer's file does not have the piece any more.
    #[error("the input layer could not be read at byte {offset} while taking a piece over")]
    Previous {
        /// Where the piece was.
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

/// A piece with its deflate data.
struct Packed<'a> {
    piece: Vec<u8>,
    hash: PieceHash,
    checksum: Crc,
    deflated: Deflated<'a>,
}

enum Deflated<'a> {
    Fresh(Vec<u8>),
    /// To be copied from the input layer.
    Taken(Place, &'a File),
}

impl<'a> Reuse<'a> {
    fn find(self, hash: &PieceHash) -> Option<Deflated<'a>> {
        let place = self.pieces.find(hash)?;
        Some(Deflated::Taken(place, self.layer))
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
            let hash: PieceHash = Sha256::digest(&piece).into();
            let deflated = match reuse.and_then(|reuse| reuse.find(&hash)) {
                Some(taken) => taken,
                None => Deflated::Fresh(packer.pack(&piece).ok_or(PackError::Compress)?),
            };
            Ok(Packed {
                checksum: checksum(&piece),
                piece,
                hash,
                deflated,
            })
        }
    };
    in_order(
        threads,
        || pieces.next(),
        new_worker,
        |results| write_pieces(results, Output::new(out)),
    )
}

fn write_pieces(
    results: &mut Results<Packed<'_>, PackError>,
    mut out: Output<'_, impl Write>,
) -> Result<PackedLayer, PackError> {
    let mut diff_id = DigestHasher::default();
    let (mut checksum, mut unpacked) = (Crc::new(), 0);
    let (mut pieces, mut pieces_reused) = (Vec::new(), 0);
    let (mut copied, mut table) = (Vec::new(), PieceTable::default());
    out.write(&form::header())?;
    while let Some(result) = results.next() {
        let packed = result?;
        diff_id.update(&packed.piece);
        checksum.combine(&packed.checksum);
        unpacked += packed.piece.len() as u64;
        let bytes = match &packed.deflated {
            Deflated::Fresh(bytes) => bytes,
            Deflated::Taken(place, layer) => {
                pieces_reused += 1;
                read_piece(layer, *place, &mut copied).map_err(|source| PackError::Previous {
                    offset: place.offset,
                    source,
                })?;
                &copied
            }
        };
        pieces.push(PieceSizes {
            packed: bytes.len() as u32,
            unpacked: packed.piece.len() as u32,
        });
        let (offset, length) = (out.size, bytes.len());
        table.insert(packed.hash, Place { offset, length });
        out.write(bytes)?;
    }
    out.write(&form::tail(checksum.sum(), unpacked))?;
    out.write(&form::index_and_footer(&pieces, out.size))?;
    let (digest, size) = out.finish()?;
    Ok(PackedLayer {
        digest,
        diff_id: diff_id.finish(),
        size,
        pieces: pieces.len(),
        pieces_reused,
        table,
    })
}

/// The compressed side: counted and hashed on its way to the sink.
pub(super) struct Output<'o, W> {
    sink: &'o mut W,
    digest: DigestHasher,
    size: u64,
}

impl<'o, W: Write> Output<'o, W> {
    pub(super) fn new(sink: &'o mut W) -> Self {
        Self {
            sink,
            digest: DigestHasher::default(),
            size: 0,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.sink.write_all(bytes).map_err(PackError::Write)
    }

    /// Digest and number of all that was written.
    pub(super) fn finish(self) -> Result<(Digest, u64), PackError> {
        self.sink.flush().map_err(PackError::Write)?;
        Ok((self.digest.finish(), self.size))
    }
}

fn read_piece(mut layer: &File, place: Place, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(place.length.min(PACKED_LIMIT), 0);
    layer.seek(SeekFrom::Start(place.offset))?;
    layer.read_exact(bytes)
}

#[cfg(test)]
mod tests;
