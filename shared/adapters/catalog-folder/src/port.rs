//! The port's side.

use std::path::Path;

use iib_fbc::{Catalog, Deprecations, Report, Rules, ServeForm};
use iib_ports::{CatalogError, CatalogFiles, Catalogs, ServeCache};

use crate::cache::{CacheError, WrittenCache, write_cache};
use crate::folder::{CatalogFolder, FolderError};

/// Catalogs in folders of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folders;

impl Catalogs for Folders {
    fn open(&self, folder: &Path, rules: Rules) -> Result<Box<dyn CatalogFiles>, CatalogError> {
        Ok(Box::new(CatalogFolder::open_by(folder, rules)?))
    }

    fn write_cache(
        &self,
        folder: &Path,
        cache: &Path,
        form: ServeForm,
    ) -> Result<ServeCache, CatalogError> {
        let WrittenCache {
            warnings, shape, ..
        } = write_cache(folder, cache, form)?;
        Ok(ServeCache { warnings, shape })
    }
}

impl CatalogFiles for CatalogFolder {
    fn outline(&self) -> &Catalog {
        Self::outline(self)
    }

    fn check(&self) -> Report {
        Self::check(self)
    }

    fn package(&self, name: &str) -> Result<Catalog, CatalogError> {
        Ok(Self::package(self, name)?)
    }

    fn remove(&mut self, package: &str) -> Result<bool, CatalogError> {
        Ok(Self::remove(self, package)?)
    }

    fn replace(&mut self, package: &str, content: &Catalog) -> Result<(), CatalogError> {
        Ok(Self::replace(self, package, content)?)
    }

    fn deprecate(&mut self, folder: &str, of: &Deprecations) -> Result<(), CatalogError> {
        Ok(Self::deprecate(self, folder, of)?)
    }

    fn merge(&mut self, fragment: &Path) -> Result<(), CatalogError> {
        let fragment = Self::open_by(fragment, self.rules)?;
        Ok(Self::merge(self, &fragment)?)
    }
}

impl From<FolderError> for CatalogError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::Io { action, source, .. } => Self::Io { action, source },
            FolderError::Changed { .. } | FolderError::NotEmpty { .. } => {
                Self::Changed(error.into())
            }
            FolderError::TooLarge { .. }
            | FolderError::Read { .. }
            | FolderError::Objects { .. }
            | FolderError::PackageName(_) => Self::Content(error.into()),
        }
    }
}

impl From<CacheError> for CatalogError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Folder(error) => error.into(),
            CacheError::Invalid(report) => Self::Invalid(report),
            CacheError::Content(fault) => Self::Content(fault.into()),
            CacheError::Io { action, source, .. } => Self::Io { action, source },
            CacheError::Unexpected(_) => Self::Changed(error.into()),
        }
    }
}
