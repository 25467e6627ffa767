#![doc = include_str!("../README.md")]

mod blob;
mod check;
mod graph;
mod merge;
mod picture;
mod property;
mod read;
mod serve;
mod write;

pub use blob::{
    Blob, Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, Icon, Other, Property,
    RelatedImage,
};
pub use check::{Fault, Place, Report, check, check_tree};
pub use picture::{ChannelPicture, Edge, EdgeKind, Node, NodeState, Picture};
pub use property::{ObjectFault, take_objects_in};
pub use read::{ReadError, read_text};
pub use serve::{ServeFault, ServeFile, serve_files};
pub use write::to_text;
