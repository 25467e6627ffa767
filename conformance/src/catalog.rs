//! Operations of the suites on file-based catalogs.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use iib_catalog_folder::FolderWriter;
use iib_indexdb::SqliteIndex;

/// Writes the catalog of an index into a folder.
///
/// # Errors
/// The index is no catalog, or the folder cannot be written.
pub(crate) fn migrate(db: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut writer = FolderWriter::new(folder)?;
    SqliteIndex.export(db, |name, catalog| writer.package(name, &catalog))?;
    Ok(writer.finish()?)
}

/// Prints the catalog of an index.
///
/// # Errors
/// The index is no catalog.
pub(crate) fn render(db: &Path) -> anyhow::Result<()> {
    let mut texts = Vec::new();
    SqliteIndex.export(db, |_, catalog| {
        texts.extend(catalog.blobs().map(iib_fbc::to_text));
        Ok::<_, Infallible>(())
    })?;
    let mut out = io::stdout().lock();
    for text in texts {
        out.write_all(text?.as_bytes()).context("standard output")?;
    }
    Ok(())
}

/// Checks a catalog, and says what the reference says of it.
///
/// # Errors
/// The text after `Error: `.
pub(crate) fn validate(folder: &Path) -> Result<(), String> {
    let catalog =
        iib_catalog_folder::read_folder(folder).map_err(|error| iib_ports::chain(&error))?;
    match iib_fbc::check(&catalog).as_reference() {
        None => Ok(()),
        Some(text) => Err(text),
    }
}
