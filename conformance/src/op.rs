//! Operations of the index-database suite: one operation file on one database file.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use iib_bundle::{Bundle, BundleError, BundleFiles};
use iib_catalog::{AddOptions, AlphaFeatures, Overwrite};
use iib_indexdb::SqliteIndex;
use iib_ports::{IndexDb as _, IndexDbError};
use serde::Deserialize;

/// An operation as the suite's runner writes it; members for people are not read.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Add(Add),
    #[serde(untagged)]
    Other {
        op: String,
    },
}

#[derive(Debug, Deserialize)]
struct Add {
    refs: Vec<String>,
    #[serde(default = "replaces")]
    mode: String,
    #[serde(default)]
    overwrite_latest: bool,
    #[serde(default)]
    enable_alpha: bool,
}

fn replaces() -> String {
    "replaces".to_owned()
}

/// Why an operation was not done. `Display` is the text after `Error: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpFailure {
    /// The operation file cannot be read.
    #[error("cannot read the operation file {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The operation file is not understood.
    #[error("the operation file {} is not understood", .path.display())]
    NotUnderstood {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// An operation that is not built.
    #[error("operation {0} is not built yet")]
    NotBuilt(String),
    /// A bundle cannot be fetched.
    #[error("{0:#}")]
    Fetch(anyhow::Error),
    /// A bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The index refuses.
    #[error(transparent)]
    Index(#[from] IndexDbError),
}

impl OpFailure {
    /// Exit status of the process (spec index-database §15).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Index(error) => error.exit_code(),
            Self::Unreadable { .. }
            | Self::NotUnderstood { .. }
            | Self::NotBuilt(_)
            | Self::Fetch(_)
            | Self::Bundle(_) => 1,
        }
    }
}

/// Does the operation in `op_file` on `db`. `read` fetches the files of a bundle image by its
/// reference.
///
/// # Errors
/// The operation is refused, or something cannot be read; the database is then what it was.
pub(crate) fn run(
    db: &Path,
    op_file: &Path,
    read: &dyn Fn(&str) -> anyhow::Result<BundleFiles>,
) -> Result<(), OpFailure> {
    let file = File::open(op_file).map_err(|source| OpFailure::Unreadable {
        path: op_file.to_owned(),
        source,
    })?;
    let operation: Operation =
        serde_json::from_reader(std::io::BufReader::new(file)).map_err(|source| {
            OpFailure::NotUnderstood {
                path: op_file.to_owned(),
                source,
            }
        })?;
    match operation {
        Operation::Add(add) => run_add(db, &add, read),
        Operation::Other { op } => Err(OpFailure::NotBuilt(op)),
    }
}

fn run_add(
    db: &Path,
    add: &Add,
    read: &dyn Fn(&str) -> anyhow::Result<BundleFiles>,
) -> Result<(), OpFailure> {
    let options = AddOptions {
        mode: add.mode.parse().map_err(IndexDbError::UnknownMode)?,
        overwrite: if add.overwrite_latest {
            Overwrite::Latest
        } else {
            Overwrite::Refuse
        },
        alpha: if add.enable_alpha {
            AlphaFeatures::On
        } else {
            AlphaFeatures::Off
        },
    };
    let mut seen = BTreeSet::new();
    let mut bundles = Vec::new();
    for reference in add
        .refs
        .iter()
        .filter(|reference| seen.insert(reference.as_str()))
    {
        let files = read(reference).map_err(OpFailure::Fetch)?;
        bundles.push(Bundle::read(reference, &files)?);
    }
    SqliteIndex.add(db, &bundles, &options)?;
    Ok(())
}
