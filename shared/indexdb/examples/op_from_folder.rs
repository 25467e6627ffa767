//! Runs one operation of the conformance suite with bundles from a folder in place of a registry:
//!
//! ```text
//! run_scenarios.py --corpus … --runner-cmd 'op_from_folder --db {db} --op {op}'
//! ```
//!
//! The suite's runner sets `BUNDLE_MAP` and `BUNDLE_DIR`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use iib_bundle::BundleFiles;

#[path = "../../../conformance/src/op.rs"]
mod op;

struct Folder {
    by_reference: HashMap<String, PathBuf>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite's runner hands over files this way"
)]
fn setting(name: &str) -> Result<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .with_context(|| format!("{name} is not set"))
}

impl Folder {
    fn open() -> Result<Self> {
        let root = setting("BUNDLE_DIR")?;
        let map = fs::read(setting("BUNDLE_MAP")?).context("cannot read the bundle map")?;
        let map: BTreeMap<String, HashMap<String, String>> = serde_json::from_slice(&map)?;
        let mut by_reference = HashMap::new();
        for (key, references) in map {
            let folder = root.join(key.split('#').next().unwrap_or_default());
            for name in ["tag_ref", "digest_ref"] {
                if let Some(reference) = references.get(name) {
                    by_reference.insert(reference.clone(), folder.clone());
                }
            }
        }
        Ok(Self { by_reference })
    }

    fn files(&self, reference: &str) -> Result<BundleFiles> {
        let Some(folder) = self.by_reference.get(reference) else {
            bail!("image {reference}: not found");
        };
        let manifests = read_folder(&folder.join("manifests"))?.unwrap_or_default();
        Ok(BundleFiles {
            manifests,
            metadata: read_folder(&folder.join("metadata"))?,
        })
    }
}

fn read_folder(folder: &Path) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.insert(
                entry.file_name().to_string_lossy().into_owned(),
                fs::read(entry.path())?,
            );
        }
    }
    Ok(Some(files))
}

#[expect(
    clippy::print_stderr,
    reason = "a command tells people what went wrong"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [db_flag, db, op_flag, op] = arguments.as_slice() else {
        eprintln!("usage: op_from_folder --db FILE --op FILE");
        return ExitCode::from(64);
    };
    if (db_flag.as_str(), op_flag.as_str()) != ("--db", "--op") {
        eprintln!("usage: op_from_folder --db FILE --op FILE");
        return ExitCode::from(64);
    }
    let folder = match Folder::open() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("Error: {error:#}");
            return ExitCode::from(65);
        }
    };
    match op::run(Path::new(db), Path::new(op), &|reference| {
        folder.files(reference)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
