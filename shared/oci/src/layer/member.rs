//! One piece of a tar archive as one gzip member.
//!
//! A layer of ours is a row of such members. Each names its own length in an extra field, so that
//! they are found without inflating anything (the idea of BGZF). For every other reader they are
//! ordinary gzip.
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00  04 ff   gzip, deflate, extra field; no time; fastest; unknown system
//! 0c 00  49 42  08 00               12 bytes of extra field: subfield "IB" of 8 bytes
//! <u32 length of the whole member>  <u32 size of the layer's pieces>
//! <deflate>  <u32 CRC-32>  <u32 size of this piece>
//! ```

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::{CompressionLvl, Compressor, crc32};

/// Layers are cut into pieces of this many unpacked bytes; the last one may be shorter.
///
/// Smaller pieces compress worse and cost 32 bytes each; larger ones are taken over less often
/// and keep more memory busy.
pub const PIECE_SIZE: usize = 1024 * 1024;

/// Length of a member's header.
pub(super) const HEADER: usize = 24;
/// Length of a member's trailer.
const TRAILER: usize = 8;

/// The longest member that is read: a piece that does not compress takes a little more than its
/// own size.
pub(super) const MEMBER_LIMIT: usize = PIECE_SIZE + 64 * 1024;

/// The level is part of the form: another one gives other bytes. Higher ones make an index.db
/// some percent smaller and take two and more times as long.
const LEVEL: i32 = 1;

/// The header up to the member's length, the same in each.
const START: [u8; 16] = [
    0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 4, 0xff, 12, 0, b'I', b'B', 8, 0,
];

/// What is wrong with a member in our form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// It states a length that no member has.
    #[error("it states a length of {0} bytes, which no member has")]
    Length(usize),
    /// Something else stands where the next member is expected.
    #[error("it is not of the same form as the members before it")]
    Form,
    /// Not a deflate stream, or one that ends elsewhere.
    #[error("its content is no deflate stream of the stated length")]
    Deflate,
    /// The piece has another size than stated.
    #[error("it unpacks to another size than it states")]
    Size,
    /// The piece has another checksum than stated.
    #[error("its checksum is wrong")]
    Checksum,
}

/// The length of the member that starts here, if it is in our form with our piece size.
pub(super) fn stated_length(start: &[u8]) -> Option<usize> {
    let (fixed, rest) = start.split_first_chunk::<{ START.len() }>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (piece, _) = rest.split_first_chunk::<4>()?;
    let ours = *fixed == START && u32::from_le_bytes(*piece) as usize == PIECE_SIZE;
    ours.then(|| u32::from_le_bytes(*length) as usize)
}

/// Makes members. One per thread.
pub(super) struct Packer(Compressor);

impl Packer {
    pub(super) fn new() -> Self {
        // Level 1 exists in every version of libdeflate; the golden digest would tell.
        Self(Compressor::new(
            CompressionLvl::new(LEVEL).unwrap_or_else(|_| CompressionLvl::fastest()),
        ))
    }

    /// The member for a piece of at most [`PIECE_SIZE`] bytes. It depends on the piece alone.
    ///
    /// `None` only when libdeflate breaks its promise about the space it needs.
    pub(super) fn member(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let bound = self.0.deflate_compress_bound(piece.len());
        let mut member = vec![0; HEADER + bound + TRAILER];
        let packed = self
            .0
            .deflate_compress(piece, &mut member[HEADER..HEADER + bound])
            .ok()?;
        let length = HEADER + packed + TRAILER;
        member.truncate(HEADER + packed);
        member[..START.len()].copy_from_slice(&START);
        member[16..20].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        member[20..24].copy_from_slice(&u32::try_from(PIECE_SIZE).ok()?.to_le_bytes());
        member.extend_from_slice(&crc32(piece).to_le_bytes());
        member.extend_from_slice(&u32::try_from(piece.len()).ok()?.to_le_bytes());
        Some(member)
    }
}

/// Takes members apart. One per thread.
///
/// By zlib-rs, not libdeflate: only the former tells where the deflate stream ended, and a member
/// with something behind it would mean one thing here and another to `gunzip`.
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// The piece in a member.
    pub(super) fn piece(&mut self, member: &[u8]) -> Result<Vec<u8>, MemberFault> {
        let length = MemberFault::Length(member.len());
        let body = member.get(HEADER..).ok_or(length)?;
        let (body, size) = body.split_last_chunk::<4>().ok_or(length)?;
        let (deflate, checksum) = body.split_last_chunk::<4>().ok_or(length)?;
        let size = u32::from_le_bytes(*size) as usize;
        if size > PIECE_SIZE {
            return Err(MemberFault::Size);
        }
        // One byte more than needed, so that a longer piece shows.
        let mut piece = Vec::with_capacity(size + 1);
        self.0.reset(false);
        let status = self
            .0
            .decompress_vec(deflate, &mut piece, FlushDecompress::Finish)
            .map_err(|_| MemberFault::Deflate)?;
        if piece.len() != size {
            return Err(MemberFault::Size);
        }
        if status != Status::StreamEnd || self.0.total_in() != deflate.len() as u64 {
            return Err(MemberFault::Deflate);
        }
        if crc32(&piece) != u32::from_le_bytes(*checksum) {
            return Err(MemberFault::Checksum);
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests;
