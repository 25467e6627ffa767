//! Where indexes and catalogs come from: files, folders, registries.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use iib_bundle::Bundle;
use iib_catalog_folder::CatalogFolder;
use iib_edge::Config;
use iib_fbc::{Catalog, CatalogBundle, Report, check};
use iib_indexdb::SqliteIndex;
use iib_oci::PullSpec;
use iib_pipeline::{ContentLimits, ImageContent, IndexCopy};
use iib_registry::{RegistryClient, RegistryConfig};
use tempfile::TempDir;

/// An index database, a copy of an image's or a file.
pub(crate) struct Index {
    pub(crate) path: PathBuf,
    /// As the user wrote it, for messages.
    pub(crate) name: String,
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
pub(crate) fn is_path(text: &str) -> bool {
    Path::new(text).exists()
        || text.starts_with(['/', '.'])
        || Path::new(text)
            .extension()
            .is_some_and(|extension| extension == "db")
}

/// A pull spec that a user wrote where a file could stand too.
pub(crate) fn pull_spec(text: &str) -> anyhow::Result<PullSpec> {
    text.parse().with_context(|| {
        format!("`{text}` is neither a file or folder that is there nor a pull spec")
    })
}

/// The database that a file or an index image has.
pub(crate) async fn index(text: &str) -> anyhow::Result<Index> {
    if is_path(text) {
        return Index::file(text);
    }
    let spec = pull_spec(text)?;
    let config = Config::from_env()?;
    let folder = tempfile::tempdir()?;
    let limit = config.work.max_index_bytes;
    let copy = IndexCopy::fetch(&registry(&config)?, &spec, folder.path(), limit).await;
    let copy = copy.map_err(|error| anyhow!(error.reason()))?;
    Ok(Index::copy(&copy, text, folder))
}

impl Index {
    fn file(text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            path: existing(Path::new(text))?.to_owned(),
            name: text.to_owned(),
            _folder: None,
        })
    }

    fn copy(copy: &IndexCopy, name: &str, folder: TempDir) -> Self {
        Self {
            path: copy.database().to_owned(),
            name: name.to_owned(),
            _folder: Some(folder),
        }
    }
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
    Folder(Folder),
    Index(Index),
    /// No catalog, but what a bundle's image gives to one.
    Bundle(Box<CatalogBundle>),
}

/// A catalog folder, a copy of an image's or one of this machine.
pub(crate) struct Folder {
    catalog: CatalogFolder,
    /// Holds the copy.
    _folder: Option<TempDir>,
}

/// A catalog in a folder, a database file or an image.
pub(crate) async fn catalog(text: &str) -> anyhow::Result<Source> {
    let path = Path::new(text);
    if path.is_dir() {
        return Ok(Source::Folder(Folder {
            catalog: CatalogFolder::open(path)?,
            _folder: None,
        }));
    }
    if is_path(text) {
        return Ok(Source::Index(Index::file(text)?));
    }
    let (folder, content) = fetched(text).await?;
    Ok(match content {
        ImageContent::Database(copy) => Source::Index(Index::copy(&copy, text, folder)),
        ImageContent::Catalog(path) => Source::Folder(Folder {
            catalog: CatalogFolder::open(&path)?,
            _folder: Some(folder),
        }),
        ImageContent::Bundle(files) => {
            let bundle = Bundle::read(text, &files);
            let bundle = bundle.with_context(|| format!("the bundle {text} cannot be used"))?;
            Source::Bundle(Box::new(CatalogBundle::of_image(&bundle)?))
        }
    })
}

/// The folder of a catalog, and what holds it if it is a copy of an image's.
pub(crate) async fn catalog_folder(text: &str) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if is_path(text) {
        return Ok((text.into(), None));
    }
    match fetched(text).await? {
        (folder, ImageContent::Catalog(path)) => Ok((path, Some(folder))),
        _ => bail!("{text} has no file-based catalog: write one with `iib index migrate`"),
    }
}

async fn fetched(text: &str) -> anyhow::Result<(TempDir, ImageContent)> {
    let spec = pull_spec(text)?;
    let config = Config::from_env()?;
    let folder = tempfile::tempdir()?;
    let limits = ContentLimits {
        index_bytes: config.work.max_index_bytes,
        bundle_bytes: config.work.max_bundle_bytes,
    };
    let content =
        iib_pipeline::fetch_content(&registry(&config)?, &spec, folder.path(), limits).await;
    Ok((folder, content.map_err(|error| anyhow!(error.reason()))?))
}

impl Source {
    /// Gives out all packages, sorted by name, and last those objects that have none.
    pub(crate) fn each_package(
        &self,
        mut take: impl FnMut(&str, Catalog) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Folder(Folder { catalog, .. }) => {
                let (named, of_none): (Vec<&str>, Vec<&str>) =
                    catalog.packages().partition(|name| !name.is_empty());
                let mut names = named.into_iter().chain(of_none);
                names.try_for_each(|name| take(name, catalog.package(name)?))
            }
            Self::Index(index) => SqliteIndex
                .export(&index.path, take)
                .with_context(|| format!("the catalog of {} was not read to its end", index.name)),
            Self::Bundle(bundle) => {
                let mut catalog = Catalog::default();
                catalog.bundles.push((**bundle).clone());
                take(&bundle.package, catalog)
            }
        }
    }

    /// The catalog without its contents.
    pub(crate) fn outline(&self) -> anyhow::Result<Catalog> {
        if let Self::Folder(folder) = self {
            return Ok(folder.catalog.outline().clone());
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
            Self::Folder(folder) => Ok(folder.catalog.check()),
            Self::Index(_) | Self::Bundle(_) => Ok(check(&self.outline()?)),
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
