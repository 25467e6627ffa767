//! The pieces of an input layer, for taking them over into the next one.

use std::collections::BTreeMap;

/// SHA-256 of a piece's unpacked bytes.
pub(super) type PieceHash = [u8; 32];

/// Where a member lies in the compressed layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// Which pieces a layer in our form has, and where its members lie in the compressed bytes.
///
/// Made by [`super::unpack`], used by [`super::pack`]. Pieces are found by content, not by
/// position: a member depends on its piece alone, so it fits wherever the same piece comes again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PieceTable(BTreeMap<PieceHash, Member>);

impl PieceTable {
    /// Notes a member. Of equal pieces the first stays, so that the table does not depend on
    /// the order of later ones.
    pub(super) fn insert(&mut self, hash: PieceHash, member: Member) {
        self.0.entry(hash).or_insert(member);
    }

    pub(super) fn find(&self, hash: &PieceHash) -> Option<Member> {
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
