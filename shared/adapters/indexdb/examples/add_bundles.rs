//! Adds bundles to an index, which is made if it is not there, and shows what changed.
//!
//! `cargo run -p iib-indexdb --example add_bundles -- index.db examples/bundles/lantern/*`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use iib_bundle::{Bundle, BundleFiles};
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_ports::{IndexDb as _, IndexDbError};

/// The files in a folder, by name.
fn files(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, fs::read(entry.path())?))
    });
    entries.collect()
}

/// A bundle as its image would have it, under a made-up pull spec.
fn bundle(folder: &Path) -> Result<Bundle, Box<dyn Error>> {
    let files = BundleFiles {
        manifests: files(&folder.join("manifests"))?,
        metadata: Some(files(&folder.join("metadata"))?),
    };
    let version = folder.file_name().unwrap_or_default().to_string_lossy();
    let image = format!("registry.example/bundles:{version}");
    Ok(Bundle::read(&image, &files)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let index = arguments.next().ok_or("name a database file")?;
    let bundles: Result<Vec<Bundle>, _> = arguments.map(|folder| bundle(&folder)).collect();
    match SqliteIndex.add(&index, &bundles?, &AddOptions::default()) {
        Ok(report) => write!(io::stdout(), "{}", report.changes)?,
        Err(IndexDbError::Refused(refusals)) => {
            return Err(format!("refused: {refusals}\n{}", refusals.hints().join("\n")).into());
        }
        Err(other) => return Err(other.into()),
    }
    Ok(())
}
