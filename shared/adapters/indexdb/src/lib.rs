#![doc = include_str!("../README.md")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use iib_bundle::{Bundle, Typed};
use iib_catalog::{
    AddOptions, CatalogShape, DefaultHeads, DeprecateOptions, LoneBundle, Missing, PackageRemoval,
};
use iib_fbc::{BundleForm, Catalog, CatalogDiff, Picture, Report, Rules, check_tree};
use iib_ports::{AddReport, IndexDb, IndexDbError, PresentBundle};

mod add;
mod bulk;
mod bundle_rows;
mod damage;
mod definition;
mod deprecate;
mod error;
mod export;
#[cfg(feature = "generate")]
pub mod generate;
mod graph_rows;
mod latest;
mod migrate;
mod objects;
mod open;
mod outline;
mod overwrite;
mod picture;
mod removal;
mod rows;
mod schema;
mod substitute;
mod summary;
mod traced;

pub use damage::{Damage, ObjectKind};
pub use export::{ExportFault, LeftOut};

use traced::traced;

/// Index databases in SQLite files.
///
/// A file that holds more than an index database does, or that keeps a call busy for longer than
/// 120 s, is refused as [`IndexDbError::Corrupt`] with a [`Damage`] as its source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteIndex;

/// What an operation other than an add did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeReport {
    /// What changed in the catalog.
    pub changes: CatalogDiff,
    /// Names that were passed over because the index does not have them, as given.
    pub passed_over: Vec<String>,
}

/// An index was not written as a catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexDbError),
    /// What is in it is no catalog: of each package that cannot be one the first fault, at least
    /// one.
    #[error("{}", joined(.0))]
    Content(Vec<ExportFault>),
    /// The catalog has faults.
    #[error("{0}")]
    Invalid(Report),
}

fn joined(faults: &[ExportFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("\n")
}

impl SqliteIndex {
    /// The index as a file-based catalog, package by package (§11), bundles in this form, so that no more than one is
    /// in memory. One bad row does not make the others unreadable: properties and dependencies
    /// that no catalog can hold are left out, and returned.
    ///
    /// # Errors
    /// Those of `take`, which an [`ExportError`] can become. Faults of all packages are reported
    /// together, after the last one; those without faults were handed over by then.
    pub fn export<E: From<ExportError>>(
        &self,
        db: &Path,
        form: BundleForm,
        take: impl FnMut(&str, Catalog) -> Result<(), E>,
    ) -> Result<Vec<LeftOut>, E> {
        self.export_of(db, None, form, take)
    }

    /// The same for these packages; `None` for all.
    fn export_of<E: From<ExportError>>(
        &self,
        db: &Path,
        packages: Option<&BTreeSet<String>>,
        form: BundleForm,
        mut take: impl FnMut(&str, Catalog) -> Result<(), E>,
    ) -> Result<Vec<LeftOut>, E> {
        let exported = open::read(db, open::TIME_LIMIT, |connection| {
            let lookup = export::Lookup::of_packages(connection, packages)?;
            let export = |name: &str, left_out: &mut Vec<LeftOut>| {
                export::package(connection, name, form, &lookup, left_out)
            };
            let (mut left_out, mut broken) = (Vec::new(), Vec::new());
            let mut report = Report::default();
            for name in export::packages(connection)? {
                if packages.is_some_and(|packages| !packages.contains(&name)) {
                    continue;
                }
                let catalog = match export(&name, &mut left_out)? {
                    Ok(catalog) => catalog,
                    Err(fault) => {
                        broken.push(fault);
                        continue;
                    }
                };
                let found = check_tree(&catalog, Rules::Opm126);
                if !found.is_clean() {
                    report.faults.extend(found.faults);
                } else if let Err(error) = take(&name, catalog) {
                    return Ok(Err(error));
                }
            }
            Ok(if !broken.is_empty() {
                Err(ExportError::Content(broken).into())
            } else if !report.is_clean() {
                Err(ExportError::Invalid(report).into())
            } else {
                Ok(left_out)
            })
        });
        exported.map_err(ExportError::Index)?
    }

    /// Removes packages with their bundles, and what nothing names afterwards (spec index-database
    /// §8). All or nothing, as every change here.
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` for a package that is not there, or comes twice, unless
    /// those are passed over.
    pub fn remove(
        &self,
        db: &Path,
        packages: &[String],
        missing: Missing,
    ) -> Result<ChangeReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            removal::packages(transaction, packages, missing)
        })
    }

    /// Removes the latest bundle of a package from all its channels (mutable-registry O5). What it
    /// replaced becomes the head again.
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` if there is no such package, a channel would be empty, or
    /// another bundle would fall out of one, as in graphs that were made by versions.
    pub fn remove_latest(
        &self,
        db: &Path,
        package: &str,
        lone: LoneBundle,
    ) -> Result<ChangeReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            latest::remove(transaction, package, lone)
        })
    }

    /// Removes every package but these (§8.3).
    ///
    /// # Errors
    /// As [`SqliteIndex::remove`].
    pub fn prune(
        &self,
        db: &Path,
        keep: &[String],
        missing: Missing,
    ) -> Result<ChangeReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            removal::all_but(transaction, keep, missing)
        })
    }

    /// Removes bundles that no channel and no deprecation names (§8.3).
    ///
    /// # Errors
    /// As [`IndexDb::add`].
    pub fn prune_stranded(&self, db: &Path) -> Result<ChangeReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            removal::stranded(transaction)
        })
    }

    /// Deprecates the bundles with these images, in their order, and cuts off what is below them
    /// (§9).
    ///
    /// # Errors
    /// As [`IndexDb::add`]; `Refused` for images that no bundle in a channel has, unless those are
    /// passed over, and where a default channel would lose its head.
    pub fn deprecate(
        &self,
        db: &Path,
        images: &[String],
        options: &DeprecateOptions,
    ) -> Result<ChangeReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            deprecate::deprecate(transaction, images, options)
        })
    }
}

impl IndexDb for SqliteIndex {
    fn bundles(&self, db: &Path) -> Result<Vec<PresentBundle>, IndexDbError> {
        traced("bundles", || {
            open::read(db, open::TIME_LIMIT, outline::bundles)
        })
    }

    fn add(
        &self,
        db: &Path,
        bundles: &[Bundle],
        options: &AddOptions,
    ) -> Result<AddReport, IndexDbError> {
        traced("add", || {
            open::change(db, open::TIME_LIMIT, |transaction| {
                add::add(transaction, bundles, options)
            })
        })
    }

    fn remove_packages(&self, db: &Path, packages: &[String]) -> Result<CatalogDiff, IndexDbError> {
        let report = traced("remove_packages", || {
            self.remove(db, packages, Missing::Refuse)
        })?;
        Ok(report.changes)
    }

    fn remove_all(&self, db: &Path) -> Result<CatalogDiff, IndexDbError> {
        traced("remove_all", || {
            let before = open::read(db, open::TIME_LIMIT, |connection| {
                let packages = rows::all_packages(connection)?;
                summary::of_rows(connection, &packages)
            })?;
            // A new file: in an old one rows may be left that nothing names, and pages that were freed.
            open::replace_with_empty(db, open::TIME_LIMIT)?;
            Ok(CatalogDiff::between(&before, &BTreeMap::new()))
        })
    }

    fn deprecate(&self, db: &Path, images: &[String]) -> Result<CatalogDiff, IndexDbError> {
        let options = DeprecateOptions {
            missing: Missing::PassOver,
            package_removal: PackageRemoval::Allowed,
            default_heads: DefaultHeads::Refuse,
        };
        let report = traced("deprecate", || Self::deprecate(self, db, images, &options))?;
        Ok(report.changes)
    }

    fn add_property(
        &self,
        db: &Path,
        images: &[String],
        property: &Typed,
    ) -> Result<(), IndexDbError> {
        traced("add_property", || {
            open::change(db, open::TIME_LIMIT, |transaction| {
                bundle_rows::add_property(transaction, images, property)
            })
        })
    }

    fn export(
        &self,
        db: &Path,
        packages: &BTreeSet<String>,
        form: BundleForm,
        take: &mut dyn FnMut(&str, Catalog),
    ) -> Result<Vec<String>, IndexDbError> {
        traced("export", || {
            let exported = self.export_of(db, Some(packages), form, |name, catalog| {
                take(name, catalog);
                Ok::<_, ExportError>(())
            });
            match exported {
                Ok(left_out) => Ok(left_out.iter().map(ToString::to_string).collect()),
                Err(ExportError::Index(error)) => Err(error),
                Err(error) => Err(IndexDbError::NoCatalog(error.to_string())),
            }
        })
    }

    fn shape(&self, db: &Path) -> Result<CatalogShape, IndexDbError> {
        traced("shape", || open::read(db, open::TIME_LIMIT, outline::shape))
    }

    fn pictures(
        &self,
        db: &Path,
        packages: &BTreeSet<String>,
    ) -> Result<Vec<Picture>, IndexDbError> {
        traced("pictures", || {
            open::read(db, open::TIME_LIMIT, |connection| {
                picture::pictures(connection, packages)
            })
        })
    }
}
