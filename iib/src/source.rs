//! Where indexes and catalogs come from: files, folders, registries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use iib_bundle::Bundle;
use iib_catalog_folder::CatalogFolder;
use iib_edge::Config;
use iib_fbc::{Catalog, Report, check};
use iib_indexdb::SqliteIndex;
use iib_oci::PullSpec;
use iib_registry::{RegistryClient, RegistryConfig};
use tempfile::TempDir;

/// An index database, a copy of an image's or a file.
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    /// Holds the copy.
    _folder: Option<TempDir>,
}

/// The registry client of the settings.
pub(crate) fn registry(config: &Config) -> anyhow::Result<RegistryClient> {
    Ok(RegistryClient::new(RegistryConfig {
        insecure_registries: config.registries.insecure.clone(),
        auth_files: config.registries.auth_files.clone(),
        ..RegistryConfig::default()
    })?)
}

/// Whether a text names something on this machine: what is there, or is written like a path.
fn is_path(text: &str) -> bool {
    Path::new(text).exists()
        || text.starts_with(['/', '.'])
        || Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "db")
}

/// The database that a file or an index image has.
pub(crate) async fn index(text: &str) -> anyhow::Result<Index> {
    if is_path(text) {
        return Ok(Index {
            path: existing(Path::new(text))?.to_owned(),
            _folder: None,
        });
    }
    let spec: PullSpec = text
        .parse()
        .with_context(|| format!("`{text}` is neither a file nor a pull spec"))?;
    let config = Config::from_env()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("index.db");
    let limit = config.work.max_index_bytes;
    iib_pipeline::fetch_index(&registry(&config)?, &spec, &path, limit)
        .await
        .map_err(|error| anyhow!(error.reason()))?;
    Ok(Index {
        path,
        _folder: Some(folder),
    })
}

/// A database file that is there; commands make none by accident.
pub(crate) fn existing(file: &Path) -> anyhow::Result<&Path> {
    if !file.is_file() {
        bail!(
            "there is no index database {}: make one with `iib index create`",
            file.display()
        );
    }
    Ok(file)
}

/// Where a catalog is read from, a package at a time: it may be larger than what memory there is.
pub(crate) enum Source {
    Folder(CatalogFolder),
    Index(Index),
}

/// A catalog in a folder, a database file or an index image.
pub(crate) async fn catalog(text: &str) -> anyhow::Result<Source> {
    let path = Path::new(text);
    Ok(match path.is_dir() {
        true => Source::Folder(CatalogFolder::open(path)?),
        false => Source::Index(index(text).await?),
    })
}

impl Source {
    /// Gives out all packages, sorted by name, and those objects that have none.
    pub(crate) fn each_package(
        &self,
        mut take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Folder(folder) => folder
                .packages()
                .try_for_each(|name| take(name, folder.package(name)?)),
            Self::Index(index) => SqliteIndex.export(&index.path, take),
        }
    }

    /// The catalog without its contents.
    pub(crate) fn outline(&self) -> anyhow::Result<Catalog> {
        if let Self::Folder(folder) = self {
            return Ok(folder.outline().clone());
        }
        let mut outline = Catalog::default();
        self.each_package(|_, catalog| {
            catalog
                .into_blobs()
                .for_each(|blob| outline.push(blob.outlined()));
            Ok(())
        })?;
        Ok(outline)
    }

    /// Every fault of the catalog.
    pub(crate) fn check(&self) -> anyhow::Result<Report> {
        match self {
            Self::Folder(folder) => Ok(folder.check()),
            Self::Index(_) => Ok(check(&self.outline()?)),
        }
    }
}

/// Bundles, read from their images.
pub(crate) async fn bundles(pull_specs: &[String]) -> anyhow::Result<Vec<Bundle>> {
    let config = Config::from_env()?;
    let registry = registry(&config)?;
    let mut bundles = Vec::new();
    for text in pull_specs {
        let spec: PullSpec = text
            .parse()
            .with_context(|| format!("`{text}` is no pull spec"))?;
        let files = iib_pipeline::read_bundle(&registry, &spec, config.work.max_bundle_bytes);
        let files = files.await.map_err(|error| anyhow!(error.reason()))?;
        let bundle = Bundle::read(text, &files);
        bundles.push(bundle.with_context(|| format!("the bundle {text} cannot be used"))?);
    }
    Ok(bundles)
}
