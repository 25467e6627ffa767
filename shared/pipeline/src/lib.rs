#![doc = include_str!("../README.md")]

pub mod artifact;
pub mod binary_image;
mod changes;
mod contents;
pub mod dead_letter;
mod deps;
mod ending;
mod error;
mod image;
mod image_content;
mod index_copy;
mod index_image;
pub mod intake;
mod linked_file;
pub mod mutate;
mod next_step;
pub mod pin;
pub mod prune;
pub mod push;
mod stage;
mod transfer;

pub use contents::{read_bundle, read_catalog};
pub use deps::Deps;
pub use error::StageError;
pub use image_content::{ContentLimits, ImageContent, fetch_content};
pub use index_copy::{IndexCopy, NewIndex};
pub use stage::Verdict;
