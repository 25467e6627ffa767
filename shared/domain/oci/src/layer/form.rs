//! The form of the layers that we write: gzip to everyone, and a row of pieces to us.
//!
//! One gzip member holds the whole archive, so that readers that stop behind the first one see
//! all of it. Behind it stands an index of its pieces in empty members, which add nothing to what
//! others unpack (eStargz keeps its footer in the same way).
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00  00 ff   gzip, deflate, extra field; no time, unknown system
//! 0c 00  49 42  08 00               12 bytes of extra field: subfield "IB" of 8 bytes
//! <u32 version, 2>  <u32 largest size of a piece>
//! <deflate of the first piece> … <deflate of the last piece>   (see `deflate`)
//! 03 00  <u32 CRC-32>  <u32 size>   the last, empty block; of the whole archive
//!
//! index, as often as needed: an empty member with the subfield "IX", of each of the next 8 000
//! pieces the compressed length and the size as u32
//!
//! footer: an empty member with the subfield "IE", the place of the index as u64
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::LayerError;
use super::deflate::{PACKED_LIMIT, PIECE_SIZE};
use super::entries::BLOCK;

/// Another version is ordinary gzip to this one.
const VERSION: u32 = 2;

/// A gzip header up to the content of its subfield.
const START: usize = 16;
/// Length of the header of the member that holds the archive.
pub(super) const HEADER: usize = START + 8;
/// Length of what is behind the pieces in that member.
pub(super) const TAIL: usize = 10;
/// Length of the footer.
pub(super) const FOOTER: usize = START + 8 + TAIL;

/// Deflate data without content.
const EMPTY: [u8; 2] = [3, 0];

/// Pieces in one index member. An extra field holds at most 65 535 bytes.
const PIECES: usize = 8_000;
/// Bytes of a piece in it.
const ROW: usize = 8;
const FULL_INDEX_MEMBER: usize = START + ROW * PIECES + TAIL;
/// For each so many bytes that may be unpacked there may be a piece: more of them are not what is written here, and
/// would fill memory.
const SMALLEST_MEAN: u64 = 4096;

const MARK: [u8; 2] = *b"IB";
const INDEX_MARK: [u8; 2] = *b"IX";
const FOOTER_MARK: [u8; 2] = *b"IE";

/// What is wrong with a layer that starts in our form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormFault {
    /// It does not end with our footer.
    #[error("it does not end with the footer of its form: it was cut or added to")]
    Footer,
    /// The index is not where the footer says, or not what we write.
    #[error("its index of pieces cannot be read")]
    Index,
    /// The index does not fit what is before it.
    #[error("the lengths in its index do not add up to what is before the index")]
    Lengths,
    /// The archive's member does not end in our form, or states a size that does not fit.
    #[error("the end of its pieces does not fit their sizes")]
    End,
    /// The archive has another checksum than stated.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Where the pieces of a layer are, and what is known about them without unpacking them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// In order. At least one.
    pub(super) pieces: Vec<PieceSizes>,
    /// CRC-32 of the archive.
    pub(super) checksum: u32,
}

/// Bytes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PieceSizes {
    /// Of its deflate data.
    pub(super) packed: u32,
    pub(super) unpacked: u32,
}

/// The start of a layer.
pub(super) fn header() -> Vec<u8> {
    let mut content = VERSION.to_le_bytes().to_vec();
    content.extend_from_slice(&(PIECE_SIZE as u32).to_le_bytes());
    member_start(MARK, &content)
}

/// Whether a layer that starts with these bytes claims to be in our form.
pub(super) fn is_claimed(start: &[u8]) -> bool {
    start.get(..HEADER).is_some_and(|start| start == header())
}

/// What is behind the pieces: the end of the archive's member.
pub(super) fn tail(checksum: u32, size: u64) -> [u8; TAIL] {
    let mut tail = [0; TAIL];
    tail[..2].copy_from_slice(&EMPTY);
    tail[2..6].copy_from_slice(&checksum.to_le_bytes());
    // RFC 1952 §2.3.1: modulo 2^32.
    tail[6..].copy_from_slice(&(size as u32).to_le_bytes());
    tail
}

/// What is behind the archive's member: index and footer. The index starts at `offset`.
pub(super) fn index_and_footer(pieces: &[PieceSizes], offset: u64) -> Vec<u8> {
    let mut bytes = index(pieces);
    bytes.extend_from_slice(&footer(offset));
    bytes
}

fn index(pieces: &[PieceSizes]) -> Vec<u8> {
    pieces
        .chunks(PIECES)
        .flat_map(|pieces| {
            let content: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| [piece.packed, piece.unpacked])
                .flat_map(u32::to_le_bytes)
                .collect();
            empty_member(INDEX_MARK, &content)
        })
        .collect()
}

fn footer(index: u64) -> Vec<u8> {
    empty_member(FOOTER_MARK, &index.to_le_bytes())
}

fn empty_member(mark: [u8; 2], content: &[u8]) -> Vec<u8> {
    let mut member = member_start(mark, content);
    member.extend_from_slice(&tail(0, 0));
    member
}

/// The content must be short enough for an extra field.
fn member_start(mark: [u8; 2], content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let mut start = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff];
    start.extend_from_slice(&(length + 4).to_le_bytes());
    start.extend_from_slice(&mark);
    start.extend_from_slice(&length.to_le_bytes());
    start.extend_from_slice(content);
    start
}

impl Layout {
    /// Reads the layout of a layer that claims our form, in a file of `size` bytes. Every byte of
    /// the file that belongs to no piece must be what [`super::pack`] would write there.
    ///
    /// # Errors
    /// [`LayerError::Form`]; [`LayerError::TooLarge`] when there are more pieces than `limit`
    /// unpacked bytes allow; [`LayerError::Copy`] when the file cannot be read.
    pub(super) fn read(layer: &mut File, size: u64, limit: u64) -> Result<Self, LayerError> {
        let end = size
            .checked_sub(FOOTER as u64)
            .ok_or(LayerError::Form(FormFault::Footer))?;
        let bytes = read_at::<FOOTER>(layer, end)?;
        let at = le_u64(&bytes[START..START + 8]);
        if bytes[..] != footer(at) {
            return Err(LayerError::Form(FormFault::Footer));
        }
        let content = at
            .checked_sub((HEADER + TAIL) as u64)
            .filter(|_| at <= end)
            .ok_or(LayerError::Form(FormFault::Index))?;
        let pieces = read_index(layer, at..end, limit)?;
        check_sizes(&pieces, content).map_err(LayerError::Form)?;
        let checksum = read_tail(layer, at - TAIL as u64, &pieces)?;
        Ok(Self { pieces, checksum })
    }
}

fn read_index(
    layer: &mut File,
    place: std::ops::Range<u64>,
    limit: u64,
) -> Result<Vec<PieceSizes>, LayerError> {
    let most_pieces = limit / SMALLEST_MEAN + 1;
    let most_members = most_pieces.div_ceil(PIECES as u64);
    let length = place.end - place.start;
    if length > most_members.saturating_mul(FULL_INDEX_MEMBER as u64) {
        return Err(LayerError::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    layer
        .seek(SeekFrom::Start(place.start))
        .map_err(LayerError::Copy)?;
    layer
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(LayerError::Copy)?;
    let pieces: Vec<PieceSizes> = bytes
        .chunks(FULL_INDEX_MEMBER)
        .filter_map(|member| member.get(START..member.len().checked_sub(TAIL)?))
        .flat_map(|content| content.chunks_exact(ROW))
        .map(|row| PieceSizes {
            packed: le_u32(&row[..ROW / 2]),
            unpacked: le_u32(&row[ROW / 2..]),
        })
        .collect();
    // Writing it again is the strictest and shortest check.
    if bytes.len() as u64 != length || index(&pieces) != bytes {
        return Err(LayerError::Form(FormFault::Index));
    }
    if pieces.len() as u64 > most_pieces {
        return Err(LayerError::TooLarge { limit });
    }
    Ok(pieces)
}

fn check_sizes(pieces: &[PieceSizes], content: u64) -> Result<(), FormFault> {
    let sum: u64 = pieces.iter().map(|piece| u64::from(piece.packed)).sum();
    let possible = |piece: &PieceSizes| {
        (1..=PACKED_LIMIT).contains(&(piece.packed as usize))
            && (1..=PIECE_SIZE).contains(&(piece.unpacked as usize))
            // As all that an archive is made of. So no small layer has so many pieces that they fill memory.
            && (piece.unpacked as usize).is_multiple_of(BLOCK)
    };
    if pieces.is_empty() || sum != content || !pieces.iter().all(possible) {
        return Err(FormFault::Lengths);
    }
    Ok(())
}

/// The checksum of the archive, behind the pieces with its size.
fn read_tail(layer: &mut File, offset: u64, pieces: &[PieceSizes]) -> Result<u32, LayerError> {
    let bytes = read_at::<TAIL>(layer, offset)?;
    let checksum = le_u32(&bytes[2..6]);
    let whole = pieces.iter().map(|piece| u64::from(piece.unpacked)).sum();
    if bytes != tail(checksum, whole) {
        return Err(LayerError::Form(FormFault::End));
    }
    Ok(checksum)
}

fn read_at<const N: usize>(layer: &mut File, offset: u64) -> Result<[u8; N], LayerError> {
    let mut bytes = [0; N];
    let mut read = || -> io::Result<()> {
        layer.seek(SeekFrom::Start(offset))?;
        layer.read_exact(&mut bytes)
    };
    read().map_err(LayerError::Copy)?;
    Ok(bytes)
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests;
