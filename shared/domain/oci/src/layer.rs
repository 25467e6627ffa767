//! Layers: reading foreign ones within limits, finding files in them, and writing our own.
//!
//! Everything is synchronous and works on `impl Read` and `impl Write`. Digests are computed on
//! the way, so no byte is looked at twice.

mod bundle_tree;
mod decode;
mod deflate;
mod entries;
mod entry_path;
mod error;
mod extract;
mod feed;
#[cfg(test)]
mod fixture;
mod folder_tree;
mod form;
mod frame;
mod ordered;
mod pack;
mod pieces;
mod read;
mod source;
mod tar_stream;
mod unpack;

pub use bundle_tree::{BundleContent, BundleLimits, BundleTree, Depth};
pub use decode::Compression;
pub use deflate::{PIECE_SIZE, PieceFault};
pub use entry_path::{EntryPath, PathFault};
pub use error::{LayerError, Refusal, TarFault};
pub use extract::{Extracted, Rest, extract_file};
pub use folder_tree::{FolderTree, Link, Part};
pub use form::FormFault;
pub use frame::pack_frame;
pub use ordered::Threads;
pub use pack::{PackError, PackedLayer, Reuse, pack};
pub use pieces::PieceTable;
pub use read::{LayerDigests, LayerReader};
pub use tar_stream::PackEntry;
pub use unpack::{Unpacked, unpack, unpack_tree};
