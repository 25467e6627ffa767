//! Operations of the suites on file-based catalogs.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use iib_bundle::Bundle;
use iib_catalog_folder::{CatalogFolder, FolderWriter};
use iib_fbc::{BundleForm, Catalog, CatalogBundle, Rules};
use iib_indexdb::{LeftOut, SqliteIndex};

use crate::images::Images;

/// Writes the catalog of an index, or one that is in a folder, into a folder.
///
/// # Errors
/// The index is no catalog, or the folder cannot be written.
pub(crate) fn migrate(from: &Path, folder: &Path, form: BundleForm) -> anyhow::Result<()> {
    let mut writer = FolderWriter::new(folder)?;
    each_package(from, form, |name, catalog| {
        Ok(writer.package(name, &catalog)?)
    })?;
    Ok(writer.finish()?)
}

/// Prints the catalog of an index, of a folder, or what the image of a bundle gives to one.
///
/// # Errors
/// The index is no catalog, the image no bundle.
pub(crate) fn render(from: &str, form: BundleForm, images: &Images) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut print = |catalog: &Catalog| {
        let mut blobs = catalog.blobs();
        blobs
            .try_for_each(|blob| iib_fbc::write_blob(blob, &mut out))
            .context("standard output")
    };
    let path = Path::new(from);
    if path.exists() {
        each_package(path, form, |_, catalog| print(&catalog))?;
    } else {
        let bundle = Bundle::read(from, &images.read(from)?)?;
        let mut catalog = Catalog::default();
        let rendered = CatalogBundle::of_image_in(&bundle, form)?;
        catalog.bundles.push(rendered);
        print(&catalog)?;
    }
    out.flush().context("standard output")
}

/// Gives out the packages of an index, or of the catalog in a folder as newer versions of the
/// reference write it.
fn each_package(
    from: &Path,
    form: BundleForm,
    mut take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !from.is_dir() {
        warn(&SqliteIndex.export(from, form, take)?);
        return Ok(());
    }
    let folder = CatalogFolder::open_by(from, Rules::OpmNewest)?;
    for name in folder.packages() {
        let mut package = folder.package(name)?;
        package.write_anew()?;
        package.convert(form)?;
        take(name, package)?;
    }
    Ok(())
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
