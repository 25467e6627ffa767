//! The pieces of an input layer, for taking them over into the next one.

use std::collections::BTreeMap;

/// SHA-256 of a piece's unpacked bytes.
pub(super) type PieceHash = [u8; 32];

/// Where the deflate data of a piece lies in the compressed layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// Which pieces a layer in our form has, and where they lie in its compressed bytes.
///
/// Made by [`super::unpack`], used by [`super::pack`]. Pieces are found by content, not by
/// position: deflate data of ours depends on its piece alone, so it fits wherever the same piece
/// comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PieceTable(BTreeMap<PieceHash, Place>);

impl PieceTable {
    /// Notes a piece. Of equal ones the first stays, so that the table does not depend on the
    /// order of later ones.
    pub(super) fn insert(&mut self, hash: PieceHash, place: Place) {
        self.0.entry(hash).or_insert(place);
    }

    pub(super) fn find(&self, hash: &PieceHash) -> Option<Place> {
        self.0.get(hash).copied()
    }

    /// Number of different pieces.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
