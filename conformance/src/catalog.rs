//! Operations of the suites on file-based catalogs.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use iib_catalog_folder::{CatalogFolder, FolderWriter};
use iib_fbc::Rules;
use iib_indexdb::{LeftOut, SqliteIndex};

/// Writes the catalog of an index into a folder.
///
/// # Errors
/// The index is no catalog, or the folder cannot be written.
pub(crate) fn migrate(db: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut writer = FolderWriter::new(folder)?;
    warn(&SqliteIndex.export(db, |name, catalog| {
        writer.package(name, &catalog).map_err(anyhow::Error::from)
    })?);
    Ok(writer.finish()?)
}

/// Prints the catalog of an index.
///
/// # Errors
/// The index is no catalog.
pub(crate) fn render(db: &Path) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    warn(&SqliteIndex.export(db, |_, catalog| {
        let mut blobs = catalog.blobs();
        blobs
            .try_for_each(|blob| iib_fbc::write_blob(blob, &mut out))
            .context("standard output")
    })?);
    out.flush().context("standard output")
}

#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
fn warn(left_out: &[LeftOut]) {
    for left_out in left_out {
        eprintln!("warning: {left_out}");
    }
}

/// Checks a catalog, and says what the reference says of it by these rules.
///
/// # Errors
/// The text after `Error: `.
pub(crate) fn validate(folder: &Path, rules: Rules) -> Result<(), String> {
    let folder = CatalogFolder::open_by(folder, rules);
    let folder = folder.map_err(|error| iib_ports::chain(&error))?;
    match folder.check().as_reference() {
        None => Ok(()),
        Some(text) => Err(text),
    }
}
