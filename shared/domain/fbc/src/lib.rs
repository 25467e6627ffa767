#![doc = include_str!("../README.md")]

mod anew;
mod base64;
mod blob;
mod check;
mod contents;
mod csv_metadata;
mod deprecations;
mod diff;
mod fields;
mod filter;
mod folder_name;
mod form;
mod graph;
mod image_reference;
mod konflux;
mod members;
mod merge;
mod newest;
mod origins;
mod picture;
mod property;
mod read;
mod rules;
mod serve;
mod skip_range;
mod write;

pub use anew::AnewFault;
pub use base64::base64_anew;
pub use blob::{
    Blob, Catalog, CatalogBundle, CatalogPackage, Channel, ChannelEntry, Icon, Other, OwnedBlob,
    Property, RelatedImage,
};
pub use check::{Fault, Place, Report, check, check_tree};
pub use contents::{BundleContents, ContentsFault, OtherDependencies};
pub use deprecations::{Deprecations, DeprecationsFault};
pub use diff::{
    CatalogChange, CatalogDiff, EntryLinks, IconMark, MAX_PATHS, ObjectMark, package_changes,
};
pub use fields::WrongType;
pub use filter::{Filter, FilterFault, PackageFilter, RangeError, VersionRange};
pub use folder_name::is_folder_name;
pub use form::FormFault;
pub use konflux::layout_fault;
pub use origins::Origins;
pub use picture::{ChannelPicture, Edge, EdgeKind, Node, NodeState, Picture};
pub use property::{ObjectFault, check_objects, take_objects_in};
pub use read::{Document, Documents, Form, ReadError, ReadFault, read_text};
pub use rules::{BundleForm, NoPlatform, Rules, UnknownRules};
pub use serve::{ServeFault, ServeFile, ServeForm, ServePlan};
pub use write::{to_text, write_blob};
