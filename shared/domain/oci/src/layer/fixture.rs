//! Archives for the tests, including those that no archiver would write.

use std::io::Write;
use std::num::NonZeroUsize;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::entries::BLOCK;
use super::form::{self, PieceSizes};
use super::{EntryPath, LayerReader, PIECE_SIZE, PackEntry, Threads, pack};

/// An archive under construction.
#[derive(Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    /// One that goes on behind these blocks.
    pub(super) fn of(blocks: Vec<u8>) -> Self {
        Self(blocks)
    }

    /// Any type of entry; the size in the header is that of the content.
    pub(super) fn entry(mut self, kind: u8, path: &[u8], content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[156] = kind;
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(super) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(b'0', path.as_bytes(), content)
    }

    /// A hard link.
    pub(super) fn link(mut self, path: &str, target: &[u8]) -> Self {
        let start = self.0.len();
        self = self.entry(b'1', path.as_bytes(), b"");
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes().copy_from_slice(&self.0[start..]);
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target);
        header.set_cksum();
        self.0.truncate(start);
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    pub(super) fn directory(self, path: &str) -> Self {
        self.entry(b'5', path.as_bytes(), b"")
    }

    /// The archive without an end marker.
    pub(super) fn open_end(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// One gzip member, as other builders write it.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(bytes, 3).unwrap()
}

/// A layer of our own form with one file.
pub(super) fn own_layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut source = content;
    let mut entries = [PackEntry::file(
        entry_path(path),
        content.len() as u64,
        &mut source,
    )];
    let mut out = Vec::new();
    pack(&mut entries, None, threads(2), &mut out).unwrap();
    out
}

/// What the layer of an index has, with this database.
pub(super) fn index_entries<'a>(database: &'a mut &[u8]) -> [PackEntry<'a>; 2] {
    let size = database.len() as u64;
    [
        PackEntry::directory(entry_path("database")),
        PackEntry::file(entry_path("database/index.db"), size, database),
    ]
}

/// The same archive as `index_entries` of `content(100_000)` gives.
pub(super) const DIFF_ID_OF_INDEX: &str =
    "sha256:9c3c719c7427717e3b18b5b20cdeb60773b00b9e3542aa85408ea0a2be9512e5";

/// A layer in our own form around this deflate data of whole pieces, of which the last may be shorter.
pub(super) fn assembled(packed: &[Vec<u8>], checksum: u32, size: u64) -> Vec<u8> {
    let left = |at: usize| size.saturating_sub(at as u64 * PIECE_SIZE as u64);
    let sizes = packed.iter().enumerate().map(|(at, piece)| PieceSizes {
        packed: piece.len() as u32,
        unpacked: left(at).min(PIECE_SIZE as u64) as u32,
    });
    let sizes: Vec<PieceSizes> = sizes.collect();
    let mut layer = form::header();
    layer.extend(packed.iter().flatten());
    layer.extend_from_slice(&form::tail(checksum, size));
    let index = layer.len() as u64;
    layer.extend_from_slice(&form::index_and_footer(&sizes, index));
    layer
}

/// Bytes that do not compress.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that compress, and differ from piece to piece.
pub(super) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(b"name: ");
        bytes.extend_from_slice(format!("{:x}\n", state % 100_000).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn entry_path(text: &str) -> EntryPath {
    text.parse().unwrap()
}

pub(super) fn threads(count: usize) -> Threads {
    Threads::new(NonZeroUsize::new(count).unwrap())
}

/// A reader with a limit that no test reaches by chance.
pub(super) fn open(layer: &[u8]) -> LayerReader<&[u8]> {
    LayerReader::open(layer, 1 << 30).unwrap()
}
