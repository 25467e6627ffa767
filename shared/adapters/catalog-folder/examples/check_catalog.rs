//! Shows every fault of a catalog folder, or the head of every channel if there is none.
//!
//! `cargo run -p iib-catalog-folder --example check_catalog -- catalog/`

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;

use iib_catalog_folder::CatalogFolder;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let catalog = CatalogFolder::open(&PathBuf::from(folder))?;
    let report = catalog.check();
    if !report.is_clean() {
        return Err(report.to_string().into());
    }
    let mut out = io::stdout().lock();
    for (name, package) in catalog.outline().shape().packages {
        for (channel, head) in package.channels {
            let head = head.unwrap_or_default();
            writeln!(out, "{name} {channel} {head}")?;
        }
    }
    Ok(())
}
