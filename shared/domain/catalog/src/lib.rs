#![doc = include_str!("../README.md")]

mod candidate;
mod checks;
mod deprecation;
mod graph;
mod heads;
mod latest;
mod options;
mod package;
mod reach;
mod refusal;
mod semver;
mod shape;
mod substitutes;
mod version;
mod walk;

pub use candidate::Candidate;
pub use checks::{Neighbours, check_additions, check_edges, check_edges_within_call};
pub use deprecation::{
    CutsDefaultHead, DefaultHeads, DeprecateOptions, Missing, PackageRemoval, Truncation,
    heads_to_remove, truncate,
};
pub use heads::{Member, PackageHeads, choose_heads};
pub use latest::{Latest, LoneBundle, check_kept, latest};
pub use options::{AddOptions, AlphaFeatures, Mode, Overwrite, UnknownMode};
pub use package::{ChannelRow, Entry, PackageRows, PresentRow};
pub use reach::check_reachable;
pub use refusal::{PrunedBundle, Refusal, Refusals};
pub use semver::{VersionedChannel, VersionedPackage, place_by_version};
pub use shape::{CatalogShape, PackageShape};
pub use substitutes::{SubstitutionEdit, Substitutions};
pub use version::{Identifier, Version, VersionError};
pub use walk::{ChainNode, NewEntry, Walk, walk_channel};
