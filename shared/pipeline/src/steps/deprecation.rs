//! Bundles that a request wants deprecated (worker flows §7.7).

use std::collections::BTreeSet;
use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use iib_catalog::named_of;
use iib_fbc::CatalogDiff;
use iib_ports::{IndexDb, IndexDbError, PresentBundle, Registry, RegistryError};
use iib_request::{BundleToDeprecate, Unknown};

use super::bundles;
use crate::index::catalog::CatalogIndex;
use crate::{ImageError, IndexError, StageError};

/// Images looked up at the same time.
const LOOKUPS: usize = 8;

/// Resolves what a list names. The reference does so only after it has added bundles; so one that is
/// not there is told then, by [`images`].
///
/// # Errors
/// [`StageError`] naming the pull spec.
pub(crate) async fn pin(
    registry: &dyn Registry,
    list: &[String],
) -> Result<Vec<BundleToDeprecate>, StageError> {
    let lookups: Vec<_> = list.iter().map(|text| pin_one(registry, text)).collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

async fn pin_one(registry: &dyn Registry, text: &str) -> Result<BundleToDeprecate, StageError> {
    let pinned = match bundles::resolve_one(registry, "deprecation_list", text).await {
        Ok(found) => Some(found.pinned().clone()),
        Err(StageError::Image(ImageError::Inspect {
            source: RegistryError::NotFound { .. },
            ..
        })) => None,
        Err(error) => return Err(error),
    };
    Ok(BundleToDeprecate {
        requested: text.to_owned(),
        pinned,
        unknown: Unknown::default(),
    })
}

/// The pull specs of a list by digest, each once.
///
/// # Errors
/// [`ImageError::Absent`] for one that was not there.
pub(crate) fn images(list: &[BundleToDeprecate]) -> Result<Vec<String>, ImageError> {
    let (mut seen, mut images) = (BTreeSet::new(), Vec::new());
    for bundle in list {
        let pinned = bundle.pinned.as_ref();
        let pinned = pinned.ok_or_else(|| ImageError::Absent(bundle.requested.clone()))?;
        if seen.insert(pinned.to_string()) {
            images.push(pinned.to_string());
        }
    }
    Ok(images)
}

/// What deprecating bundles did.
#[derive(Default)]
pub(crate) struct Deprecated {
    pub(crate) diff: CatalogDiff,
    /// The packages of the bundles.
    pub(crate) packages: BTreeSet<String>,
    /// For the log.
    pub(crate) words: Vec<String>,
}

/// Deprecates those of the images that the database has.
///
/// # Errors
/// [`IndexDbError`].
pub(crate) fn deprecate(
    index_db: &dyn IndexDb,
    database: &Path,
    images: &[String],
) -> Result<Deprecated, IndexDbError> {
    if images.is_empty() {
        return Ok(Deprecated::default());
    }
    let present = index_db.bundles(database)?;
    let served = present.iter().map(|bundle| bundle.image.as_str());
    let mut named = named_of(images, served);
    let mut seen = BTreeSet::new();
    named.retain(|image| seen.insert(image.clone()));
    let not_there = images.iter().filter(|image| !named.contains(*image));
    let words = not_there.map(|image| passed_over(image));
    let is_named = |bundle: &&PresentBundle| named.contains(&bundle.image);
    let packages = present
        .iter()
        .filter(is_named)
        .map(|bundle| bundle.package.clone());
    let mut deprecated = Deprecated {
        diff: CatalogDiff::default(),
        packages: packages.collect(),
        words: words.collect(),
    };
    if !named.is_empty() {
        deprecated.diff = index_db.deprecate(database, &named)?;
    }
    Ok(deprecated)
}

fn passed_over(image: &str) -> String {
    format!("{image} of the deprecation list is not in the index and is passed over")
}

/// Deprecates bundles in the database behind a catalog, and puts their packages into the catalog as they
/// are there then. A package that is gone from the database goes from the catalog, too.
///
/// # Errors
/// [`IndexError::Deprecate`] for bundles that cannot be; those of [`CatalogIndex`].
pub(crate) fn deprecate_in_catalog(
    index: &mut CatalogIndex,
    images: &[String],
) -> Result<(), StageError> {
    if images.is_empty() {
        return Ok(());
    }
    if !index.has_database() {
        images
            .iter()
            .for_each(|image| index.tell(passed_over(image)));
        return Ok(());
    }
    let done = index.database(|index_db, file| deprecate(index_db, file, images));
    let done = done.map_err(|source| index.not_deprecated(source))?;
    done.words.into_iter().for_each(|line| index.tell(line));
    let known = index.in_database()?;
    let (left, gone): (BTreeSet<String>, BTreeSet<String>) = done
        .packages
        .into_iter()
        .partition(|package| known.contains(package));
    index.remove(&gone)?;
    index.migrate(&left)
}

/// Bundles that cannot be deprecated are the list's fault; anything else is the database's.
pub(crate) fn not_deprecated(source: IndexDbError, image: Option<String>) -> IndexError {
    match (source, image) {
        (source @ IndexDbError::Refused(_), _) | (source, None) => IndexError::Deprecate(source),
        (source, Some(image)) => IndexError::Database { image, source },
    }
}
