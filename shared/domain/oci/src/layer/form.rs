//! The form of the layers that we write: gzip to everyone, and a row of pieces to us.
//!
//! One gzip member holds the whole archive, so that readers that stop behind the first one see
//! all of it. Behind it stands an index of its pieces in empty members, which add nothing to what
//! others unpack (eStargz keeps its footer in the same way).
//!
//! ```text
//! 1f 8b 08 04  00 00 00 00  00 ff   gzip, deflate, extra field; no time, unknown system
//! 0c 00  49 42  08 00               12 bytes of extra field: subfield "IB" of 8 bytes
//! <u32 version, 1>  <u32 size of the pieces>
//! <deflate of the first piece> … <deflate of the last piece>   (see `deflate`)
//! 03 00  <u32 CRC-32>  <u32 size>   the last, empty block; of the whole archive
//!
//! index, as often as needed: an empty member with the subfield "IX", the compressed lengths of
//! the next 16 000 pieces as u32
//!
//! footer: an empty member with the subfield "IE", the place of the index as u64
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::LayerError;
use super::deflate::{PACKED_LIMIT, PIECE_SIZE};

/// Another version is ordinary gzip to this one.
const VERSION: u32 = 1;

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

/// Lengths in one index member. An extra field holds at most 65 535 bytes.
const LENGTHS: usize = 16_000;
const FULL_INDEX_MEMBER: usize = START + 4 * LENGTHS + TAIL;

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
    #[error("the end of its pieces does not fit their number")]
    End,
    /// The archive has another checksum than stated.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Where the pieces of a layer are, and what is known about them without unpacking them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of each piece, in order. At least one.
    pub(super) packed_lengths: Vec<u32>,
    /// Size of the last piece; that of all others is [`PIECE_SIZE`].
    pub(super) last_size: usize,
    /// CRC-32 of the archive.
    pub(super) checksum: u32,
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
pub(super) fn index_and_footer(packed_lengths: &[u32], offset: u64) -> Vec<u8> {
    let mut bytes = index(packed_lengths);
    bytes.extend_from_slice(&footer(offset));
    bytes
}

fn index(packed_lengths: &[u32]) -> Vec<u8> {
    packed_lengths
        .chunks(LENGTHS)
        .flat_map(|lengths| {
            let content: Vec<u8> = lengths
                .iter()
                .flat_map(|length| length.to_le_bytes())
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
        let packed_lengths = read_index(layer, at..end, limit)?;
        check_lengths(&packed_lengths, content).map_err(LayerError::Form)?;
        let (last_size, checksum) = read_tail(layer, at - TAIL as u64, packed_lengths.len())?;
        Ok(Self {
            packed_lengths,
            last_size,
            checksum,
        })
    }
}

fn read_index(
    layer: &mut File,
    place: std::ops::Range<u64>,
    limit: u64,
) -> Result<Vec<u32>, LayerError> {
    let most_pieces = limit / PIECE_SIZE as u64 + 1;
    let most_members = most_pieces.div_ceil(LENGTHS as u64);
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
    let lengths: Vec<u32> = bytes
        .chunks(FULL_INDEX_MEMBER)
        .filter_map(|member| member.get(START..member.len().checked_sub(TAIL)?))
        .flat_map(|content| content.chunks_exact(4))
        .map(le_u32)
        .collect();
    // Writing it again is the strictest and shortest check.
    if bytes.len() as u64 != length || index(&lengths) != bytes {
        return Err(LayerError::Form(FormFault::Index));
    }
    if lengths.len() as u64 > most_pieces {
        return Err(LayerError::TooLarge { limit });
    }
    Ok(lengths)
}

fn check_lengths(packed_lengths: &[u32], content: u64) -> Result<(), FormFault> {
    let sum: u64 = packed_lengths.iter().copied().map(u64::from).sum();
    let possible = |&length: &u32| (1..=PACKED_LIMIT).contains(&(length as usize));
    if packed_lengths.is_empty() || sum != content || !packed_lengths.iter().all(possible) {
        return Err(FormFault::Lengths);
    }
    Ok(())
}

/// The size of the last piece, and the checksum of all.
fn read_tail(layer: &mut File, offset: u64, pieces: usize) -> Result<(usize, u32), LayerError> {
    let bytes = read_at::<TAIL>(layer, offset)?;
    let (checksum, size) = (le_u32(&bytes[2..6]), le_u32(&bytes[6..]));
    // Pieces are a divisor of 2^32, so the size of the last one survives the modulus.
    let last_size = match size as usize % PIECE_SIZE {
        0 => PIECE_SIZE,
        over => over,
    };
    let whole = (pieces as u64 - 1) * PIECE_SIZE as u64 + last_size as u64;
    if bytes != tail(checksum, whole) {
        return Err(LayerError::Form(FormFault::End));
    }
    Ok((last_size, checksum))
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
