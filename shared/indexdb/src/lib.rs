#![doc = include_str!("../README.md")]

use std::path::Path;

use iib_bundle::Bundle;
use iib_catalog::{AddOptions, CatalogShape};
use iib_ports::{AddReport, IndexDb, IndexDbError, PresentBundle};

mod add;
mod bundle_rows;
mod error;
#[cfg(feature = "generate")]
pub mod generate;
mod graph_rows;
mod migrate;
mod open;
mod outline;
mod overwrite;
mod rows;
mod schema;
mod substitute;

/// Index databases in SQLite files.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteIndex;

impl IndexDb for SqliteIndex {
    fn bundles(&self, db: &Path) -> Result<Vec<PresentBundle>, IndexDbError> {
        open::read(db, outline::bundles)
    }

    fn add(
        &self,
        db: &Path,
        bundles: &[Bundle],
        options: &AddOptions,
    ) -> Result<AddReport, IndexDbError> {
        open::change(db, |transaction| add::add(transaction, bundles, options))
    }

    fn shape(&self, db: &Path) -> Result<CatalogShape, IndexDbError> {
        open::read(db, outline::shape)
    }
}
