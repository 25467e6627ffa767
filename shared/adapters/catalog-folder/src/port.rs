//! The port's side.

use std::collections::BTreeSet;
use std::path::Path;

use iib_fbc::{Catalog, Deprecations, Report, Rules, ServeForm};
use iib_ports::{CacheMember, CatalogError, CatalogFiles, Catalogs};

use crate::cache::CacheError;
use crate::folder::{CatalogFolder, FolderError};

/// Catalogs in folders of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folders;

impl Catalogs for Folders {
    fn open(&self, folder: &Path, rules: Rules) -> Result<Box<dyn CatalogFiles>, CatalogError> {
        Ok(Box::new(CatalogFolder::open_by(folder, rules)?))
    }
}

impl CatalogFiles for CatalogFolder {
    fn outline(&self) -> &Catalog {
        Self::outline(self)
    }

    fn check(&self) -> Report {
        Self::check(self)
    }

    fn rules(&self) -> Rules {
        Self::rules(self)
    }

    fn in_folder(&self, folder: &Path) -> Box<dyn CatalogFiles> {
        Box::new(Self::in_folder(self, folder))
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

    fn unseen(&self) -> Result<BTreeSet<String>, CatalogError> {
        Ok(Self::unseen(self)?)
    }

    fn store_cache(&mut self, store: &Path, form: ServeForm) -> Result<Vec<String>, CatalogError> {
        Ok(Self::store_cache(self, store, form)?)
    }

    fn cache_members(&self) -> Vec<CacheMember> {
        Self::cache_members(self)
    }

    fn cache_digest(&self, store: &Path) -> Result<String, CatalogError> {
        Ok(Self::cache_digest(self, store)?)
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
