//! Changing the catalog of an index into an image.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use iib_catalog_folder::Folders;
use iib_fbc::{CatalogChange, CatalogDiff};
use iib_indexdb::SqliteIndex;
use iib_oci::PullSpecError;
use iib_pipeline::{
    CatalogDraft, CatalogEdit, Engine, IndexError, NamedFolder, StageError, Unpacked,
};
use serde_json::json;
use tempfile::TempDir;

use crate::cli::ImageOptions;
use crate::image_target::{ImageTarget, check_no_image};
use crate::{Exit, say, source};

/// The image that a changed catalog or bundle goes to; `None` for a folder.
pub(crate) fn target(to: &str, options: &ImageOptions) -> anyhow::Result<Option<ImageTarget>> {
    if !source::is_path(to) {
        match to.parse() {
            Ok(spec) => return Ok(Some(ImageTarget::new(spec, options)?)),
            Err(PullSpecError::NoReference(_)) if !has_parent(Path::new(to)) => {
                bail!("{to} names a repository and no tag: write {to}:TAG, or ./{to} for a folder")
            }
            Err(_) => {}
        }
    }
    check_no_image("folder", to, options)?;
    Ok(None)
}

/// Whether a path is in a folder that is there.
fn has_parent(path: &Path) -> bool {
    path.parent().is_some_and(Path::is_dir)
}

/// Fragments in folders, and what holds copies of those that came from elsewhere.
pub(crate) async fn fragments(
    texts: &[String],
) -> anyhow::Result<(Vec<NamedFolder>, Vec<TempDir>)> {
    let (mut folders, mut held) = (Vec::new(), Vec::new());
    for text in texts {
        let (folder, holds) = source::catalog_folder(text).await?;
        let name = text.clone();
        folders.push(NamedFolder { name, folder });
        held.extend(holds);
    }
    Ok((folders, held))
}

/// Changes a catalog, in an image or in a folder, puts it into an image, and reports.
pub(crate) async fn changed(
    catalog: &str,
    edit: CatalogEdit,
    image: &ImageTarget,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir()?;
    let mut draft = draft(catalog, image, folder.path()).await?;
    let changes = draft.change(edit).await;
    for line in draft.words() {
        say::aside(line);
    }
    let CatalogDiff { changes } = match changes {
        Ok(changes) => changes,
        Err(StageError::Index(IndexError::InvalidCatalog(report))) => {
            say::aside(report);
            return Ok(Exit::RequestFailed);
        }
        Err(error) => return Err(anyhow!(error.reason())),
    };
    let binary_image = image.binary_image.as_ref();
    let pushed = draft.push(&image.registry, &image.spec, binary_image, image.format);
    let pushed = pushed.await.map_err(|error| anyhow!(error.reason()))?;
    show(changes, Some(&pushed.to_string()), as_json)?;
    Ok(Exit::Done)
}

/// Shows what a command changed, and the image it is in.
pub(crate) fn show(
    changes: Vec<CatalogChange>,
    image: Option<&str>,
    as_json: bool,
) -> io::Result<()> {
    if as_json {
        return say::line(json!({"changes": changes, "index_image": image}));
    }
    say::text(CatalogDiff { changes })?;
    image.map_or(Ok(()), say::line)
}

async fn draft(catalog: &str, image: &ImageTarget, folder: &Path) -> anyhow::Result<CatalogDraft> {
    let engine = Engine {
        index_db: Arc::new(SqliteIndex),
        catalogs: Arc::new(Folders),
        work: image.config.work.clone(),
        unpacked: Arc::new(Unpacked::off()),
    };
    let registry = &*image.registry;
    let made = if source::is_path(catalog) {
        let (path, _held) = source::catalog_folder(catalog).await?;
        let named = NamedFolder {
            name: catalog.to_owned(),
            folder: path,
        };
        let binary_image = image.binary_image.as_ref();
        CatalogDraft::of_folder(engine, registry, &named, binary_image, folder).await
    } else {
        let spec = source::pull_spec(catalog)?;
        CatalogDraft::of_image(engine, registry, &spec, folder).await
    };
    made.map_err(|error| anyhow!(error.reason()))
}
