#![doc = include_str!("../README.md")]

mod cache;
mod folder;

pub use cache::{CacheError, write_cache};
pub use folder::{FolderError, FolderWriter, read_folder, write_folder};
