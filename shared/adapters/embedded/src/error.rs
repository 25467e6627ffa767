//! Why a data folder cannot be used.

use std::io;
use std::path::PathBuf;

use iib_ports::{Class, Classify};

use crate::DatabaseError;

/// A data folder could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Another process works with it.
    #[error(
        "the data folder {} is in use by {}: stop that process or choose another folder",
        folder.display(),
        owner.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Owned {
        /// The folder.
        folder: PathBuf,
        /// Process id of the owner, if it could be read.
        owner: Option<u32>,
    },
    /// Others may read the folder, and it is not only ours.
    #[error(
        "other users may read {} (its mode is {mode:03o}), and it has other things in it than data of this service: choose an empty or a new folder, or take their rights away with `chmod 700`",
        folder.display()
    )]
    Shared {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may read the folder, and this user may not change that.
    #[error(
        "other users may read {} (its mode is {mode:03o}), and it belongs to somebody else: choose a folder in it, which is made private",
        folder.display()
    )]
    NotOwn {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or folder in it cannot be used.
    #[error(
        "{} could not be {action}: check that this user may write there and that the disk is not full",
        path.display()
    )]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried, as a participle: `created`, `locked`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The database file cannot be used.
    #[error(
        "the database {} could not be {action}: check that the disk is not full; if the file is damaged, restore it or start with an empty folder",
        path.display()
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What was tried, as a participle: `opened`, `brought up to date`.
        action: &'static str,
        /// What SQLite said.
        source: DatabaseError,
    },
    /// A newer version of the service wrote the database file.
    #[error(
        "the database {} has layout {found}, this version knows {known}: run the newer version, or start with an empty folder",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// The latest layout known here.
        known: u32,
    },
}

impl Classify for EmbeddedError {
    fn class(&self) -> Class {
        match self {
            Self::Owned { .. } | Self::Shared { .. } | Self::NotOwn { .. } | Self::Newer { .. } => {
                Class::Reject
            }
            Self::File { .. } | Self::Database { .. } => Class::Retry,
        }
    }
}
