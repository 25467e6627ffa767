#![doc = include_str!("../README.md")]

mod cache;
mod edit;
mod folder;
mod ignore_file;
mod parallel;
mod port;

pub use cache::{CacheError, WrittenCache, write_cache};
pub use folder::{CatalogFolder, FolderError, FolderWriter, Found, read_folder, write_folder};
pub use port::Folders;
