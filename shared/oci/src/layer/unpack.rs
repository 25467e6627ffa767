//! Unpacking the layer of an index on several threads, while it is still being downloaded.

use std::io::{Read, Write};

use sha2::{Digest as _, Sha256};

use super::MemberFault;
use super::decode::{Compression, Decoder};
use super::entries::Stream;
use super::extract::extract;
use super::member::{HEADER, MEMBER_LIMIT, Unpacker, stated_length};
use super::ordered::{Results, in_order};
use super::pieces::{Member, PieceHash};
use super::source::Source;
use super::{
    EntryPath, Extracted, LayerDigests, LayerError, PIECE_SIZE, PieceTable, Rest, Threads,
};
use crate::{Digest, DigestHasher};

/// Foreign layers are decoded in blocks of this size: large enough that handing them from thread
/// to thread costs nothing, small enough to stay in a core's cache.
const BLOCK: usize = 256 * 1024;

/// What unpacking a layer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The file that was looked for.
    pub file: Extracted,
    /// To be compared with what manifest and configuration promise.
    pub digests: LayerDigests,
    /// The layer's pieces, if it is wholly in our own form: for [`super::Reuse`].
    pub pieces: Option<PieceTable>,
}

/// Copies the file at `wanted` to `sink` and reads the layer to its end.
///
/// `input` may be a download in progress: reading it, inflating on `threads`, and hashing with
/// writing overlap. A layer of our own form is inflated member by member on all of them, any
/// other by one. At most `limit` bytes are unpacked. Entries are treated as in
/// [`super::extract_file`].
///
/// When it fails early, it still waits for the read of `input` that is under way.
///
/// # Errors
/// [`LayerError`]. What was written to `sink` until then is worthless.
pub fn unpack(
    input: impl Read + Send,
    wanted: &EntryPath,
    sink: &mut impl Write,
    limit: u64,
    threads: Threads,
) -> Result<Unpacked, LayerError> {
    let mut feed = Feed::open(Source::new(input))?;
    let new_worker = || {
        let mut unpacker = Unpacker::new();
        move |job| unpack_job(&mut unpacker, job)
    };
    let (file, totals) = in_order(
        threads,
        || feed.next(),
        new_worker,
        |results| -> Result<_, LayerError> {
            let mut pieces = Pieces::new(results, limit);
            let file = extract(&mut pieces, wanted, sink, Rest::Check)?;
            while pieces.next_piece()? {}
            sink.flush().map_err(LayerError::Write)?;
            Ok((file, pieces.totals))
        },
    )?;
    let (digest, size) = feed.finish();
    Ok(Unpacked {
        file,
        digests: LayerDigests {
            digest,
            size,
            diff_id: totals.diff_id.finish(),
            unpacked_size: totals.unpacked,
        },
        pieces: totals.table,
    })
}

/// The producer: compressed members of our form as they are, anything else decoded.
enum Feed<R: Read> {
    Members { source: Source<R>, offset: u64 },
    Foreign(Box<Decoder<R>>),
}

enum Job {
    Member(Member, Vec<u8>),
    Decoded(Vec<u8>),
}

struct Piece {
    bytes: Vec<u8>,
    /// Where it comes from, if it is a member of our form.
    origin: Option<(PieceHash, Member)>,
}

fn unpack_job(unpacker: &mut Unpacker, job: Job) -> Result<Piece, LayerError> {
    match job {
        Job::Decoded(bytes) => Ok(Piece {
            bytes,
            origin: None,
        }),
        Job::Member(member, packed) => {
            let bytes = unpacker
                .piece(&packed)
                .map_err(|source| LayerError::Member {
                    offset: member.offset,
                    source,
                })?;
            let hash = Sha256::digest(&bytes).into();
            Ok(Piece {
                bytes,
                origin: Some((hash, member)),
            })
        }
    }
}

impl<R: Read> Feed<R> {
    fn open(mut source: Source<R>) -> Result<Self, LayerError> {
        Ok(match stated_length(source.peek(HEADER)?) {
            Some(_) => Self::Members { source, offset: 0 },
            None => Self::Foreign(Box::new(Decoder::sniff(source)?)),
        })
    }

    fn next(&mut self) -> Result<Option<Job>, LayerError> {
        match self {
            Self::Members { source, offset } => {
                let job = next_member(source, *offset)?;
                if let Some(Job::Member(member, _)) = &job {
                    *offset += member.length as u64;
                }
                Ok(job)
            }
            Self::Foreign(decoder) => {
                let mut block = vec![0; BLOCK];
                let mut filled = 0;
                while filled < BLOCK {
                    let read = decoder.read(&mut block[filled..])?;
                    if read == 0 {
                        break;
                    }
                    filled += read;
                }
                block.truncate(filled);
                Ok((filled > 0).then_some(Job::Decoded(block)))
            }
        }
    }

    fn finish(self) -> (Digest, u64) {
        match self {
            Self::Members { source, .. } => source.finish(),
            Self::Foreign(decoder) => decoder.finish(),
        }
    }
}

/// A layer that starts in our form must be in it to the end: no writer makes a mixture.
fn next_member<R: Read>(source: &mut Source<R>, offset: u64) -> Result<Option<Job>, LayerError> {
    let start = source.peek(HEADER)?;
    if start.is_empty() {
        return Ok(None);
    }
    let fault = |source| LayerError::Member { offset, source };
    let length = match stated_length(start) {
        Some(length) if (HEADER..=MEMBER_LIMIT).contains(&length) => length,
        Some(length) => return Err(fault(MemberFault::Length(length))),
        None if start.len() < HEADER => return Err(LayerError::Truncated(Compression::Gzip)),
        None => return Err(fault(MemberFault::Form)),
    };
    let mut packed = vec![0; length];
    let read = source.fill(&mut packed);
    let read = read.map_err(|error| LayerError::Read(source.take_failure().unwrap_or(error)))?;
    if read < length {
        return Err(LayerError::Truncated(Compression::Gzip));
    }
    Ok(Some(Job::Member(Member { offset, length }, packed)))
}

/// The consumer's side: unpacked bytes in order, hashed as they come.
struct Pieces<'r> {
    results: &'r mut Results<Piece, LayerError>,
    current: Vec<u8>,
    start: usize,
    limit: u64,
    totals: Totals,
}

struct Totals {
    diff_id: DigestHasher,
    unpacked: u64,
    /// `None` once a piece came that is no member of our form, or one behind a short one: only
    /// the last may be short. That also keeps the table small, whatever the layer holds.
    table: Option<PieceTable>,
    /// Whether a short piece came.
    ended: bool,
}

impl<'r> Pieces<'r> {
    fn new(results: &'r mut Results<Piece, LayerError>, limit: u64) -> Self {
        Self {
            results,
            current: Vec::new(),
            start: 0,
            limit,
            totals: Totals {
                diff_id: DigestHasher::default(),
                unpacked: 0,
                table: Some(PieceTable::default()),
                ended: false,
            },
        }
    }

    /// Replaces the current piece by the next; `false` when there is none.
    fn next_piece(&mut self) -> Result<bool, LayerError> {
        let Some(result) = self.results.next() else {
            return Ok(false);
        };
        let Piece { bytes, origin } = result?;
        let totals = &mut self.totals;
        totals.unpacked += bytes.len() as u64;
        if totals.unpacked > self.limit {
            return Err(LayerError::TooLarge { limit: self.limit });
        }
        totals.diff_id.update(&bytes);
        if totals.ended {
            totals.table = None;
        }
        totals.ended = bytes.len() != PIECE_SIZE;
        match (origin, &mut totals.table) {
            (Some((hash, member)), Some(table)) => table.insert(hash, member),
            (None, table) => *table = None,
            (Some(_), None) => {}
        }
        self.current = bytes;
        self.start = 0;
        Ok(true)
    }
}

impl Stream for Pieces<'_> {
    fn chunk(&mut self) -> Result<&[u8], LayerError> {
        // A piece may be empty: a gzip member may be.
        while self.start == self.current.len() && self.next_piece()? {}
        Ok(&self.current[self.start..])
    }

    fn advance(&mut self, count: usize) {
        self.start = self.current.len().min(self.start + count);
    }
}

#[cfg(test)]
mod tests;
