//! A stage that panics.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use iib_bundle::{Bundle, Typed};
use iib_catalog::{AddOptions, CatalogShape};
use iib_fbc::{BundleForm, Catalog, CatalogDiff, Picture};
use iib_ports::{AddReport, IndexDb, IndexDbError, PresentBundle};
use iib_request::{Stage, State};

use crate::world::World;

/// An index engine with a fault.
struct Faulty;

impl IndexDb for Faulty {
    fn bundles(&self, _db: &Path) -> Result<Vec<PresentBundle>, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn add(
        &self,
        _db: &Path,
        _bundles: &[Bundle],
        _options: &AddOptions,
    ) -> Result<AddReport, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn remove_packages(
        &self,
        _db: &Path,
        _packages: &[String],
    ) -> Result<CatalogDiff, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn remove_all(&self, _db: &Path) -> Result<CatalogDiff, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn deprecate(&self, _db: &Path, _images: &[String]) -> Result<CatalogDiff, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn add_property(
        &self,
        _db: &Path,
        _images: &[String],
        _property: &Typed,
    ) -> Result<(), IndexDbError> {
        panic!("a fault in the engine")
    }

    fn export(
        &self,
        _db: &Path,
        _packages: &BTreeSet<String>,
        _form: BundleForm,
        _take: &mut dyn FnMut(&str, Catalog),
    ) -> Result<Vec<String>, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn shape(&self, _db: &Path) -> Result<CatalogShape, IndexDbError> {
        panic!("a fault in the engine")
    }

    fn pictures(
        &self,
        _db: &Path,
        _packages: &BTreeSet<String>,
    ) -> Result<Vec<Picture>, IndexDbError> {
        panic!("a fault in the engine")
    }
}

#[tokio::test]
async fn a_stage_that_panics_ends_as_an_attempt_and_blocks_nobody() {
    let mut world = World::new().await;
    world.deps.index_db = Arc::new(Faulty);
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let record = world.run(world.add(&bundle).await).await;
    assert_eq!(
        (record.state(), record.work.stage),
        (State::Failed, Stage::Done)
    );
    assert!(
        record.state_reason().contains("tried 3 times"),
        "{}",
        record.state_reason()
    );
}
