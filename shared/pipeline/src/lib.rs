#![doc = include_str!("../README.md")]

mod advice;
pub mod artifact;
mod bundle_anew;
mod bundle_image;
mod chain;
mod changes;
pub mod dead_letter;
pub mod decisions;
mod deps;
mod ending;
mod error;
mod flow;
mod git;
mod image;
mod image_content;
mod index;
pub mod intake;
mod job;
mod kinds;
mod labels;
mod layered;
mod line;
mod linked_file;
mod login;
pub mod notify;
pub mod numbers;
mod output;
mod parts;
pub mod prune;
mod scratch;
mod stage;
mod steps;
mod transfer;
mod unpacked;

pub use bundle_anew::{Adapting, BundleDraft};
pub use bundle_image::read_bundle;
pub use deps::{Deps, Engine};
pub use error::{
    BundleError, GatingError, GitError, ImageError, IndexError, InputError, NoPackage, StageError,
    WorkError,
};
pub use image_content::{ContentLimits, ImageContent, fetch_content};
pub use index::{CatalogDraft, CatalogEdit, IndexCopy, NamedFolder, NewIndex, read_catalog};
pub use scratch::Scratch;
pub use stage::{Verdict, run};
pub use steps::gating::pass_gate;
pub use unpacked::Unpacked;
