//! Where indexes and catalogs come from: files, folders, registries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use iib_bundle::Bundle;
use iib_edge::Config;
use iib_fbc::Catalog;
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

/// A catalog from a folder, a database file or an index image.
pub(crate) async fn catalog(text: &str) -> anyhow::Result<Catalog> {
    if Path::new(text).is_dir() {
        return Ok(iib_catalog_folder::read_folder(Path::new(text))?);
    }
    let index = index(text).await?;
    let mut catalog = Catalog::default();
    SqliteIndex.export(&index.path, |_, package| {
        catalog.extend(package);
        Ok::<_, std::convert::Infallible>(())
    })?;
    Ok(catalog)
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
