//! Operations of the index-database suite: one operation file on one database file.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use iib_bundle::{Bundle, BundleError, BundleFiles, Typed};
use iib_catalog::{
    AddOptions, AlphaFeatures, DefaultHeads, DeprecateOptions, Missing, Overwrite, PackageRemoval,
};
use iib_indexdb::SqliteIndex;
use iib_ports::{IndexDb as _, IndexDbError};
use serde::Deserialize;

/// An operation as the suite's runner writes it; members for people are not read.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Add(Add),
    Rm {
        packages: Vec<String>,
        #[serde(default)]
        permissive: bool,
    },
    Deprecatetruncate {
        refs: Vec<String>,
        #[serde(default)]
        allow_package_removal: bool,
        #[serde(default)]
        permissive: bool,
    },
    Prune {
        packages: Vec<String>,
    },
    PruneStranded,
    AddProperty {
        refs: Vec<String>,
        #[serde(rename = "type")]
        kind: String,
        value: String,
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
        Operation::Rm {
            packages,
            permissive,
        } => Ok(SqliteIndex
            .remove(db, &packages, missing(permissive))
            .map(drop)?),
        Operation::Deprecatetruncate {
            refs,
            allow_package_removal,
            permissive,
        } => {
            let package_removal = match allow_package_removal {
                true => PackageRemoval::Allowed,
                false => PackageRemoval::Refused,
            };
            let options = DeprecateOptions {
                missing: missing(permissive),
                package_removal,
                default_heads: match permissive {
                    true => DefaultHeads::PassOver,
                    false => DefaultHeads::Refuse,
                },
            };
            Ok(SqliteIndex.deprecate(db, &refs, &options).map(drop)?)
        }
        // The reference passes over names that it does not know.
        Operation::Prune { packages } => Ok(SqliteIndex
            .prune(db, &packages, Missing::PassOver)
            .map(drop)?),
        Operation::PruneStranded => Ok(SqliteIndex.prune_stranded(db).map(drop)?),
        Operation::AddProperty { refs, kind, value } => {
            Ok(SqliteIndex.add_property(db, &refs, &Typed { kind, value })?)
        }
    }
}

fn missing(permissive: bool) -> Missing {
    match permissive {
        true => Missing::PassOver,
        false => Missing::Refuse,
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
