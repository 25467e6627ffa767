//! A layer as one zstd frame with a long window, for OCI images: what an index has twice, however far
//! apart, is stored once.
//!
//! One thread compresses, so the bytes depend on nothing but the content. Reading, compressing, and
//! hashing with writing overlap. Nothing of another layer is taken over: pieces would have to be
//! frames of their own, which see 1 MiB at most instead of the window (docs/adr/0024).

use std::io::Write;
use std::num::NonZeroUsize;

use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

use super::ordered::{Results, in_order};
use super::pack::Output;
use super::tar_stream::TarPieces;
use super::{PackEntry, PackError, PackedLayer, PieceTable, Threads};
use crate::DigestHasher;

/// The level is part of the form: another one gives other bytes.
const LEVEL: i32 = 1;

/// The window, as a power of two: 128 MiB, the most that zstd reads without being asked to. Encoder
/// and decoder have as much of an archive in memory as it has, and no more than this.
pub(super) const WINDOW_LOG: u32 = 27;

/// Writes a layer with these entries, which must be sorted by path, as one zstd frame. It has no pieces,
/// and needs some 140 MiB of memory for an archive of 128 MiB or more, less for a smaller one.
///
/// # Errors
/// [`PackError`]. What was written to `out` until then is worthless.
pub fn pack_frame(
    entries: &mut [PackEntry<'_>],
    out: &mut impl Write,
) -> Result<PackedLayer, PackError> {
    let total = TarPieces::total(entries)?;
    let mut pieces = TarPieces::new(entries)?;
    let new_worker = || {
        let mut frame = Frame::begin(total);
        move |piece: Vec<u8>| match &mut frame {
            Some(frame) => {
                let packed = frame.add(&piece).ok_or(PackError::Compress)?;
                Ok(Packed { piece, packed })
            }
            None => Err(PackError::Compress),
        }
    };
    in_order(
        Threads::new(NonZeroUsize::MIN),
        || pieces.next(),
        new_worker,
        |results| write_frame(results, Output::new(out)),
    )
}

/// A part of the archive with what came out of the compressor when it went in.
struct Packed {
    piece: Vec<u8>,
    packed: Vec<u8>,
}

fn write_frame(
    results: &mut Results<Packed, PackError>,
    mut out: Output<'_, impl Write>,
) -> Result<PackedLayer, PackError> {
    let mut diff_id = DigestHasher::default();
    while let Some(result) = results.next() {
        let Packed { piece, packed } = result?;
        diff_id.update(&piece);
        out.write(&packed)?;
    }
    let (digest, size) = out.finish()?;
    Ok(PackedLayer {
        digest,
        diff_id: diff_id.finish(),
        size,
        pieces: 0,
        pieces_reused: 0,
        table: PieceTable::default(),
    })
}

/// A frame that is being written.
struct Frame {
    encoder: Encoder<'static, Vec<u8>>,
    /// Bytes of the archive that are still to come.
    left: u64,
}

impl Frame {
    /// A frame of so many bytes. It says how many, so that a reader of a small one needs little memory.
    ///
    /// `None` only where memory is short, or the library refuses what it documents.
    fn begin(total: u64) -> Option<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL).ok()?;
        for parameter in [
            CParameter::EnableLongDistanceMatching(true),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::ChecksumFlag(true),
        ] {
            encoder.set_parameter(parameter).ok()?;
        }
        encoder.set_pledged_src_size(Some(total)).ok()?;
        let left = total;
        Some(Self { encoder, left })
    }

    /// Takes in the next part of the archive; gives what is ready of the frame, with the last part its end.
    fn add(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(piece.len() as u64)?;
        self.encoder.write_all(piece).ok()?;
        if self.left == 0 {
            self.encoder.do_finish().ok()?;
        }
        Some(std::mem::take(self.encoder.get_mut()))
    }
}

#[cfg(test)]
mod tests;
