#![doc = include_str!("../README.md")]

use std::path::Path;

use iib_bundle::Bundle;
use iib_catalog::{AddOptions, CatalogShape};
use iib_ports::{AddReport, IndexDb, IndexDbError, PresentBundle};

mod add;
mod bundle_rows;
mod damage;
mod definition;
mod error;
#[cfg(feature = "generate")]
pub mod generate;
mod graph_rows;
mod migrate;
mod objects;
mod open;
mod outline;
mod overwrite;
mod rows;
mod schema;
mod substitute;

pub use damage::{Damage, ObjectKind};

/// Index databases in SQLite files.
///
/// A file that holds more than an index database does, or that keeps a call busy for longer than
/// 120 s, is refused as [`IndexDbError::Corrupt`] with a [`Damage`] as its source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteIndex;

impl IndexDb for SqliteIndex {
    fn bundles(&self, db: &Path) -> Result<Vec<PresentBundle>, IndexDbError> {
        open::read(db, open::TIME_LIMIT, outline::bundles)
    }

    fn add(
        &self,
        db: &Path,
        bundles: &[Bundle],
        options: &AddOptions,
    ) -> Result<AddReport, IndexDbError> {
        open::change(db, open::TIME_LIMIT, |transaction| {
            add::add(transaction, bundles, options)
        })
    }

    fn shape(&self, db: &Path) -> Result<CatalogShape, IndexDbError> {
        open::read(db, open::TIME_LIMIT, outline::shape)
    }
}
