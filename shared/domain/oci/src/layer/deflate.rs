//! One piece of a tar archive as deflate data of its own.
//!
//! It refers to nothing before it and ends at a byte's end without closing the stream, so pieces
//! may stand behind each other in any order: see `form`.

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Layers are cut into pieces of at most so many unpacked bytes.
///
/// Smaller pieces compress worse; larger ones are taken over less often and keep more memory
/// busy.
pub const PIECE_SIZE: usize = 1024 * 1024;

/// The longest deflate data of a piece: one that does not compress takes a little more than its
/// own size.
pub(super) const PACKED_LIMIT: usize = PIECE_SIZE + 64 * 1024;

/// The level is part of the form: another one gives other bytes. For the choice see
/// docs/adr/0002.
const LEVEL: u32 = 3;

/// What a full flush leaves at the end: an empty stored block, without the bits that it shares
/// with the byte before.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// A last, empty, stored block.
///
/// It closes a piece when that is read alone. Where a piece does not end at a byte that starts a
/// block, these bits mean something else, and the stream does not end exactly here. A block of
/// fixed codes would be shorter, but could pass as the end of a long code.
const CLOSING: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// What is wrong with a piece of a layer in our form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PieceFault {
    /// Not deflate data, or it refers to what is before the piece.
    #[error("its content is no deflate data, or depends on the pieces before it")]
    Deflate,
    /// The piece has another size than the index says.
    #[error("it does not unpack to the size that the index of the layer states")]
    Size,
    /// The piece closes the stream, or goes on in the next one.
    #[error("it does not end where the next piece starts")]
    End,
}

/// Deflates pieces. One per thread.
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }

    /// The deflate data of a piece of at most [`PIECE_SIZE`] bytes. It depends on the piece alone.
    ///
    /// `None` only when the compressor needs more than [`PACKED_LIMIT`], which it never should.
    pub(super) fn pack(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let mut packed = Vec::with_capacity(PACKED_LIMIT);
        self.0.reset();
        self.0
            .compress_vec(piece, &mut packed, FlushCompress::Full)
            .ok()?;
        let whole = self.0.total_in() == piece.len() as u64 && packed.len() < packed.capacity();
        (whole && packed.ends_with(&FLUSHED)).then_some(packed)
    }
}

/// Inflates pieces. One per thread.
pub(super) struct Unpacker(Decompress);

impl Unpacker {
    pub(super) fn new() -> Self {
        Self(Decompress::new(false))
    }

    /// The piece of exactly `size` bytes.
    ///
    /// It is read as if nothing were before it, and must end as [`Packer::pack`] ends it.
    /// Otherwise this layer would mean one thing here and another to a reader of the whole stream,
    /// and its pieces could not be taken over.
    pub(super) fn unpack(
        &mut self,
        mut packed: Vec<u8>,
        size: usize,
    ) -> Result<Vec<u8>, PieceFault> {
        if !packed.ends_with(&FLUSHED) {
            return Err(PieceFault::End);
        }
        packed.extend_from_slice(&CLOSING);
        // One byte more than needed, so that a longer piece shows.
        let mut piece = Vec::with_capacity(size + 1);
        self.0.reset(false);
        let status = self
            .0
            .decompress_vec(&packed, &mut piece, FlushDecompress::Finish)
            .map_err(|_| PieceFault::Deflate)?;
        let closed = status == Status::StreamEnd && self.0.total_in() == packed.len() as u64;
        match (piece.len() == size, closed) {
            (true, true) => Ok(piece),
            (false, _) => Err(PieceFault::Size),
            (true, false) => Err(PieceFault::End),
        }
    }
}

/// The checksum of a piece, for combining it with those of the others.
pub(super) fn checksum(piece: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(piece);
    crc
}

#[cfg(test)]
mod tests;
