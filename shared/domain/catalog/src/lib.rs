#![doc = include_str!("../README.md")]

mod candidate;
mod checks;
mod deprecation;
mod graph;
mod latest;
mod merge;
mod nearest;
mod options;
mod overwrite;
mod package;
mod placed;
mod platform;
mod reach;
mod refusal;
mod replaces;
mod semver;
mod served;
mod shape;
mod substitutes;
mod version;

pub use candidate::Candidate;
pub use checks::{Neighbours, check_additions, check_edges, check_edges_within_call};
pub use deprecation::{
    CutsDefaultHead, DefaultHeads, DeprecateOptions, Missing, PackageRemoval, Truncation,
    heads_to_remove, named_of, truncate,
};
pub use latest::{Latest, LoneBundle, check_kept, latest};
pub use merge::{
    NoDigest, NoLatest, ServedBundle, Side, latest_of, missing_in, unfit, unlabelled_fit,
};
pub use nearest::{meant, nearest_bundle, nearest_package};
pub use options::{AddOptions, AlphaFeatures, Mode, Overwrite, UnknownMode};
pub use overwrite::{InterimHead, make_room};
pub use package::{ChannelRow, Entry, PackageRows, PresentRow};
pub use placed::{NewEntry, PlacedChannel, PlacedPackage};
pub use platform::{InvalidPlatform, fits_platform};
pub use reach::check_reachable;
pub use refusal::{PrunedBundle, Refusal, Refusals};
pub use replaces::{ChainNode, making_room, place_by_replaces};
pub use semver::place_by_version;
pub use served::ServedDigests;
pub use shape::{CatalogShape, PackageShape};
pub use substitutes::{SubstitutionEdit, Substitutions};
pub use version::{Identifier, Version, VersionError};
