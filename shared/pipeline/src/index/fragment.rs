//! Fragments of file-based catalogs on this machine, and putting them into an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iib_fbc::{Rules, is_folder_name};
use iib_ports::{CatalogError, Catalogs};

use super::catalog::CatalogIndex;
use crate::transfer::blocking;
use crate::{IndexError, StageError};

/// A fragment on this machine.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// Its image, or what it is called.
    pub(crate) image: String,
    pub(crate) folder: PathBuf,
    pub(crate) packages: BTreeSet<String>,
}

impl Fragment {
    /// Looks whether what is in a folder is a catalog with a package, by these rules.
    ///
    /// # Errors
    /// [`IndexError`] naming the image.
    pub(crate) async fn read(
        catalogs: Arc<dyn Catalogs>,
        image: String,
        folder: PathBuf,
        rules: Rules,
    ) -> Result<Self, StageError> {
        let found = packages_of(catalogs, folder.clone(), rules);
        let found = found.await?.map_err(|source| IndexError::Fragment {
            image: image.clone(),
            source,
        })?;
        if found.packages.is_empty() {
            return Err(IndexError::EmptyFragment(image).into());
        }
        if !found.strays.is_empty() {
            let packages = found.strays.join(", ");
            return Err(IndexError::Stray { image, packages }.into());
        }
        let packages = found.packages;
        if let Some(package) = packages.iter().find(|name| !is_folder_name(name)) {
            let package = package.clone();
            return Err(IndexError::PackageName { image, package }.into());
        }
        Ok(Self {
            image,
            folder,
            packages,
        })
    }
}

/// The packages of a fragment.
struct Found {
    packages: BTreeSet<String>,
    /// Packages that objects belong to and that are not there.
    strays: Vec<String>,
}

/// The packages in a catalog that has to be without faults.
async fn packages_of(
    catalogs: Arc<dyn Catalogs>,
    folder: PathBuf,
    rules: Rules,
) -> Result<Result<Found, CatalogError>, StageError> {
    let read = move || {
        let catalog = catalogs.open(Path::new(&folder), rules)?;
        let report = catalog.check();
        if !report.is_clean() {
            return Err(CatalogError::Invalid(report));
        }
        let outline = catalog.outline();
        let packages = outline.packages.iter().map(|package| package.name.clone());
        let packages: BTreeSet<String> = packages.collect();
        let strays = outline
            .package_names()
            .difference(&packages)
            .cloned()
            .collect();
        Ok(Found { packages, strays })
    };
    blocking(move || Ok::<_, StageError>(read())).await
}

/// The packages that several fragments have: the name, and the images of one and the next.
pub(crate) fn repeated(fragments: &[Fragment]) -> Vec<[String; 3]> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut repeated = Vec::new();
    for fragment in fragments {
        for package in &fragment.packages {
            if let Some(earlier) = from.insert(package, &fragment.image) {
                repeated.push([package, earlier, &fragment.image].map(str::to_owned));
            }
        }
    }
    repeated
}

/// Puts the fragments in, one after the other.
///
/// # Errors
/// As of [`CatalogIndex::merge`].
pub(crate) fn merge(index: &mut CatalogIndex, fragments: &[Fragment]) -> Result<(), StageError> {
    for fragment in fragments {
        index.merge(&fragment.folder, &fragment.packages)?;
    }
    index.follow_database()
}
