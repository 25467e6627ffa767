//! Unpacking the layer of an index on several threads.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::Crc;
use sha2::{Digest as _, Sha256};

use super::deflate::{Unpacker, checksum};
use super::entries::Stream;
use super::extract::extract;
use super::feed::{Feed, Job};
use super::ordered::{Results, in_order};
use super::pieces::{PieceHash, Place};
use super::source::Source;
use super::{
    EntryPath, Extracted, FolderTree, FormFault, LayerDigests, LayerError, PieceTable, Rest,
    Threads,
};
use crate::DigestHasher;

/// What unpacking a layer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The file that was looked for.
    pub file: Extracted,
    /// To be compared with what manifest and configuration promise.
    pub digests: LayerDigests,
    /// The layer's pieces, if it is in our own form: for [`super::Reuse`], with the copy.
    pub pieces: Option<PieceTable>,
}

/// Copies the file at `wanted` to `sink` and reads the layer to its end.
///
/// `input` may be a download in progress. A layer of our own form is first written to `copy`, a
/// file open for reading and writing whose content is replaced, and its pieces are then inflated
/// on `threads`. Any other is decoded by one thread as it comes, and `copy` is left alone; hashing
/// and writing overlap with that. At most `limit` bytes are unpacked. Entries are treated as in
/// [`super::extract_file`].
///
/// When it fails early, it still waits for the read of `input` that is under way.
///
/// # Errors
/// [`LayerError`]. What was written to `sink` until then is worthless. A layer that starts in our
/// form and is not in it to its end is refused ([`LayerError::Form`], [`LayerError::Piece`]), not
/// read as ordinary gzip: no writer makes such a layer.
pub fn unpack(
    input: impl Read + Send,
    copy: &mut File,
    wanted: &EntryPath,
    sink: &mut impl Write,
    limit: u64,
    threads: Threads,
) -> Result<Unpacked, LayerError> {
    let (file, digests, pieces) = read(input, copy, limit, threads, |layer| {
        let file = extract(layer, wanted, sink, Rest::Check)?;
        sink.flush().map_err(LayerError::Write)?;
        Ok(file)
    })?;
    Ok(Unpacked {
        file,
        digests,
        pieces,
    })
}

/// Takes parts of an image out of a layer, as [`FolderTree::apply`] does, and reads the layer to its
/// end; all else as in [`unpack`].
///
/// # Errors
/// As [`unpack`].
pub fn unpack_tree<W: Write>(
    input: impl Read + Send,
    copy: &mut File,
    tree: &mut FolderTree,
    create: impl FnMut(&EntryPath, u32) -> io::Result<W>,
    limit: u64,
    threads: Threads,
) -> Result<(LayerDigests, Option<PieceTable>), LayerError> {
    let ((), digests, pieces) = read(input, copy, limit, threads, |layer| {
        tree.apply_stream(layer, create)
    })?;
    Ok((digests, pieces))
}

/// Gives the unpacked bytes to `look`, and reads to the end what that leaves.
fn read<T>(
    input: impl Read + Send,
    copy: &mut File,
    limit: u64,
    threads: Threads,
    look: impl FnOnce(&mut Pieces<'_>) -> Result<T, LayerError>,
) -> Result<(T, LayerDigests, Option<PieceTable>), LayerError> {
    let mut feed = Feed::open(Source::new(input), copy, limit)?;
    let stated = feed.stated_checksum();
    let new_worker = || {
        let mut unpacker = Unpacker::new();
        move |job| unpack_job(&mut unpacker, job)
    };
    let (found, totals) = in_order(
        threads,
        || feed.next(),
        new_worker,
        |results| -> Result<_, LayerError> {
            let mut pieces = Pieces::new(results, limit);
            let found = look(&mut pieces)?;
            while pieces.next_piece()? {}
            Ok((found, pieces.totals))
        },
    )?;
    if stated.is_some_and(|stated| stated != totals.checksum.sum()) {
        return Err(LayerError::Form(FormFault::Checksum));
    }
    let (digest, size) = feed.finish();
    let digests = LayerDigests {
        digest,
        size,
        diff_id: totals.diff_id.finish(),
        unpacked_size: totals.unpacked,
    };
    Ok((found, digests, stated.map(|_| totals.table)))
}

struct Piece {
    bytes: Vec<u8>,
    /// What there is to know about a piece of our own form.
    own: Option<OwnPiece>,
}

struct OwnPiece {
    hash: PieceHash,
    place: Place,
    checksum: Crc,
}

fn unpack_job(unpacker: &mut Unpacker, job: Job) -> Result<Piece, LayerError> {
    match job {
        Job::Decoded(bytes) => Ok(Piece { bytes, own: None }),
        Job::Piece {
            packed,
            place,
            size,
        } => {
            let bytes = unpacker
                .unpack(packed, size)
                .map_err(|source| LayerError::Piece {
                    offset: place.offset,
                    source,
                })?;
            let own = OwnPiece {
                hash: Sha256::digest(&bytes).into(),
                place,
                checksum: checksum(&bytes),
            };
            Ok(Piece {
                bytes,
                own: Some(own),
            })
        }
    }
}

/// The consumer's side: unpacked bytes in order, hashed as they come.
struct Pieces<'r> {
    results: &'r mut Results<Piece, LayerError>,
    current: Vec<u8>,
    start: usize,
    limit: u64,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    diff_id: DigestHasher,
    unpacked: u64,
    /// Of the pieces of our own form.
    table: PieceTable,
    checksum: Crc,
}

impl<'r> Pieces<'r> {
    fn new(results: &'r mut Results<Piece, LayerError>, limit: u64) -> Self {
        Self {
            results,
            current: Vec::new(),
            start: 0,
            limit,
            totals: Totals::default(),
        }
    }

    /// Replaces the current piece by the next; `false` when there is none.
    fn next_piece(&mut self) -> Result<bool, LayerError> {
        let Some(result) = self.results.next() else {
            return Ok(false);
        };
        let Piece { bytes, own } = result?;
        let totals = &mut self.totals;
        totals.unpacked += bytes.len() as u64;
        if totals.unpacked > self.limit {
            return Err(LayerError::TooLarge { limit: self.limit });
        }
        totals.diff_id.update(&bytes);
        if let Some(own) = own {
            totals.table.insert(own.hash, own.place);
            totals.checksum.combine(&own.checksum);
        }
        self.current = bytes;
        self.start = 0;
        Ok(true)
    }
}

impl Stream for Pieces<'_> {
    fn chunk(&mut self) -> Result<&[u8], LayerError> {
        if self.start == self.current.len() {
            self.next_piece()?;
        }
        Ok(&self.current[self.start..])
    }

    fn advance(&mut self, count: usize) {
        self.start = self.current.len().min(self.start + count);
    }
}

#[cfg(test)]
mod tests;
