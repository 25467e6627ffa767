//! Merging an index into another one (worker flows §9).
//!
//! - pin: both indexes and the inputs are resolved.
//! - mutate: the bundles that the target has and the source lacks are added to the source; those that are
//!   not for the target's platform, and those of the list, are deprecated. The result has the target's
//!   form.
//! - push: the images with the new layer, and the tags.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use iib_catalog::{
    ServedBundle, ServedDigests, latest_of, missing_in, named_of, unfit, unlabelled_fit,
};
use iib_fbc::CatalogDiff;
use iib_ports::Registry;
use iib_request::{
    Built, IndexForm, IndexPlan, IndexToRead, MergeIndexImage, PinnedBundle, Plan, Unknown, Update,
};

use super::add::{self, Missing, Wanted};
use crate::changes::Changes;
use crate::flow::{Flow, Pushed};
use crate::index::catalog::{self, CatalogIndex};
use crate::index::contents::Contents;
use crate::index::forms::Forms;
use crate::index::push::{Naming, Push};
use crate::index::scratch;
use crate::job::Job;
use crate::labels::{self, label};
use crate::steps::bundles;
use crate::steps::deprecation::{self, deprecate, deprecate_in_catalog, not_deprecated};
use crate::steps::inputs::{self, Asked, Merge};
use crate::transfer::blocking;
use crate::{IndexError, StageError};

/// Bundles whose labels are read at the same time.
const LOOKUPS: usize = 8;

#[async_trait]
impl Flow for MergeIndexImage {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let asked = Asked {
            merge: Some(Merge {
                source: &self.source_from_index,
                target: self.target_index.as_deref(),
            }),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            ..Asked::default()
        };
        let (mut plan, facts) = inputs::prepare(job, &asked).await?;
        let registry = job.registry().await?;
        plan.deprecate = deprecation::pin(&*registry, &self.deprecation_list).await?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        let serves_catalog = has_catalog(plan.into.as_ref().or(plan.from.as_ref()));
        if has_catalog(plan.from.as_ref()) && !serves_catalog {
            return Err(IndexError::CatalogIntoDatabase.into());
        }
        job.update(Update::doing("Getting bundles present in the index images"))
            .await?;
        let folder = job.scratch_folder()?;
        for side in ["source", "target"] {
            fs::create_dir(folder.path().join(side)).map_err(scratch("created"))?;
        }
        let source_folder = folder.path().join("source");
        let mut contents = Contents::of_plan(job, &plan, &source_folder).await?;
        if contents.catalog.is_some() && !contents.database.exists() {
            return Err(IndexError::NothingBehind(self.source_from_index.clone()).into());
        }
        let source = served(job, plan.from.as_ref(), &mut contents).await?;
        let target = match &plan.into {
            None => Vec::new(),
            Some(index) => {
                let mut copy = Contents::fetch(job, index, &folder.path().join("target")).await?;
                served(job, Some(index), &mut copy).await?
            }
        };
        job.update(Update::doing(
            "Adding bundles missing in source index image",
        ))
        .await?;
        let missing = missing_in(&source, &target).map_err(IndexError::NoDigest)?;
        let missing: Vec<ServedBundle> = missing.into_iter().cloned().collect();
        let labelled = label_all(job, source.iter().chain(&missing)).await?;
        let both: Vec<&ServedBundle> = missing.iter().chain(&source).collect();
        let invalid = unfit_for(self, job, &plan.version, &both, &labelled)?;
        let added = add_missing(job, self, &plan, &contents, &missing, &labelled).await?;
        job.update(Update::doing("Deprecating bundles in the deprecation list"))
            .await?;
        let listed = deprecation::images(&plan.deprecate)?;
        let present = source
            .iter()
            .chain(&missing)
            .map(|bundle| bundle.image.as_str());
        let mut candidates = named_of(&listed, present);
        candidates.extend(invalid);
        let known = [source, target].concat();
        let latest = latest_of(&candidates, &known).map_err(IndexError::NoLatest)?;
        if !serves_catalog {
            deprecate_in_database(job, &plan, &contents, added, latest).await?;
            return contents.store(job).await;
        }
        let had_catalog = contents.catalog.is_some();
        if !had_catalog {
            contents = contents.with_empty_catalog(&source_folder).await?;
        }
        let change = move |index: &mut CatalogIndex| {
            index.draw(&added.packages);
            if had_catalog {
                leave_bundles(index, &added.packages)?;
            } else {
                index.put_all()?;
                index.note(added.diff);
            }
            deprecate_in_catalog(index, &latest)?;
            index.follow_database()
        };
        catalog::change(job, &mut contents, change).await?;
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        let push = Push {
            labels: &BTreeMap::new(),
            build_tags: &self.build_tags,
            naming: Naming::Merged,
        };
        push.run(job).await
    }
}

/// Which of the bundles are not for the platform of the new index.
fn unfit_for(
    request: &MergeIndexImage,
    job: &mut Job<'_>,
    version: &str,
    bundles: &[&ServedBundle],
    labelled: &BTreeMap<String, Labelled>,
) -> Result<Vec<String>, StageError> {
    let indexes = [
        Some(&request.source_from_index),
        request.target_index.as_ref(),
    ];
    let indexes: Vec<&str> = indexes.into_iter().flatten().map(String::as_str).collect();
    let unlabelled = unlabelled_fit(
        request.ignore_bundle_ocp_version == Some(true),
        &job.deps.work.no_ocp_label_allow_list,
        &indexes,
        job.record.user.as_deref(),
    );
    let label = |image: &str| labelled.get(image)?.versions.as_deref();
    let unfit = unfit(bundles.iter().copied(), label, version, unlabelled);
    let unfit = unfit.map_err(IndexError::Platform)?;
    for bundle in &unfit {
        let label = label(&bundle.image);
        let label = label.map_or("no label".to_owned(), |label| format!("the label {label}"));
        job.log(format!(
            "{} is not for {version}: its image has {label} of `{}`",
            bundle.image,
            labels::VERSIONS
        ));
    }
    Ok(unfit
        .into_iter()
        .map(|bundle| bundle.image.clone())
        .collect())
}

fn has_catalog(index: Option<&IndexToRead>) -> bool {
    index.is_some_and(|index| matches!(index.form, IndexForm::Catalog(_)))
}

/// The bundles that an index serves. One with a catalog serves those of the catalog; where it says where
/// the database behind that is, only those that are there, too, count.
async fn served(
    job: &Job<'_>,
    index: Option<&IndexToRead>,
    contents: &mut Contents,
) -> Result<Vec<ServedBundle>, StageError> {
    let Some(index) = index.cloned() else {
        return Ok(Vec::new());
    };
    let (index_db, catalogs) = (job.deps.index_db.clone(), job.deps.catalogs.clone());
    let rules = Forms::of(&job.index_plan()?.version, &job.deps.work).rules;
    let mut copies = contents.clone();
    let read = blocking(move || -> Result<_, IndexError> {
        let image = index.resolved.to_string();
        let in_database = || {
            let bundles = index_db.bundles(&copies.database)?;
            let bundles = bundles.into_iter().map(|bundle| ServedBundle {
                package: bundle.package,
                name: bundle.name,
                image: bundle.image,
                version: bundle.version,
            });
            Ok(bundles.collect::<Vec<_>>())
        };
        let Some(copy) = &mut copies.catalog else {
            let served = in_database().map_err(|source| IndexError::Database { image, source })?;
            return Ok((served, None));
        };
        let catalog = copy.open(&*catalogs, rules);
        let catalog = catalog.map_err(|source| IndexError::Catalog {
            image: image.clone(),
            source,
        })?;
        let outline = catalog.outline();
        let bundles = outline.bundles.iter().map(|bundle| ServedBundle {
            package: bundle.package.clone(),
            name: bundle.name.clone(),
            image: bundle.image.clone(),
            version: bundle.version().unwrap_or_default(),
        });
        let mut bundles: Vec<ServedBundle> = bundles.collect();
        if index.hidden.is_some() && copies.database.exists() {
            let known = in_database().map_err(|source| IndexError::Hidden { image, source })?;
            let known: BTreeSet<&str> = known.iter().map(|bundle| bundle.image.as_str()).collect();
            bundles.retain(|bundle| known.contains(bundle.image.as_str()));
        }
        // It is changed next, and need not be read again.
        copy.known = Some(Arc::from(catalog));
        Ok((bundles, copies.catalog))
    });
    let (bundles, catalog) = read.await?;
    contents.catalog = catalog;
    Ok(bundles)
}

/// What the image of a bundle says, and where its content is.
struct Labelled {
    bundle: PinnedBundle,
    /// The platforms it is for.
    versions: Option<String>,
}

/// Looks at the images of bundles, which are all by digest; each is looked at once.
async fn label_all(
    job: &mut Job<'_>,
    bundles: impl Iterator<Item = &ServedBundle>,
) -> Result<BTreeMap<String, Labelled>, StageError> {
    let registry = job.registry().await?;
    let images: BTreeSet<&str> = bundles.map(|bundle| bundle.image.as_str()).collect();
    let lookups: Vec<_> = images
        .into_iter()
        .map(|image| label_one(&*registry, image))
        .collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

async fn label_one(registry: &dyn Registry, text: &str) -> Result<(String, Labelled), StageError> {
    let found = bundles::resolve_one(registry, "source_from_index", text).await?;
    let (manifest, config) = found.config(registry).await?;
    let bundle = PinnedBundle {
        requested: text.to_owned(),
        pinned: found.pinned().clone(),
        package: label(&config, labels::PACKAGE).map(str::to_owned),
        layers: manifest.layers,
        unknown: Unknown::default(),
    };
    let versions = label(&config, labels::VERSIONS).map(str::to_owned);
    Ok((text.to_owned(), Labelled { bundle, versions }))
}

/// What adding did.
struct Added {
    diff: CatalogDiff,
    /// The packages of the bundles.
    packages: BTreeSet<String>,
}

/// Adds the missing bundles to the source's database.
async fn add_missing(
    job: &mut Job<'_>,
    request: &MergeIndexImage,
    plan: &IndexPlan,
    contents: &Contents,
    missing: &[ServedBundle],
    labelled: &BTreeMap<String, Labelled>,
) -> Result<Added, StageError> {
    let looked_at = missing
        .iter()
        .filter_map(|bundle| labelled.get(&bundle.image));
    let pinned: Vec<PinnedBundle> = looked_at.map(|found| found.bundle.clone()).collect();
    let pinned = bundles::distinct(&pinned);
    let registry = job.registry().await?;
    let read = bundles::read(job.deps, &*registry, &pinned).await;
    let read = read.unwrap_or_else(|never| match never {});
    let wanted: Vec<Wanted> = pinned
        .iter()
        .map(|bundle| bundle.pinned.clone())
        .zip(read)
        .collect();
    let options = add::options(request.graph_update_mode.as_deref(), plan.scope)?;
    let (index_db, database) = (job.deps.index_db.clone(), contents.database.clone());
    let (words, added) = blocking(move || {
        let Missing {
            bundles,
            packages,
            words,
        } = Missing::of(wanted, &ServedDigests::default())?;
        let diff = add::add(&*index_db, &database, &bundles, &options);
        let diff = diff.map_err(IndexError::Add);
        Ok::<_, StageError>((words, diff.map(|diff| Added { diff, packages })))
    })
    .await?;
    words.into_iter().for_each(|line| job.log(line));
    Ok(added?)
}

/// Deprecates bundles, and notes what changed and how the packages are now.
async fn deprecate_in_database(
    job: &mut Job<'_>,
    plan: &IndexPlan,
    contents: &Contents,
    added: Added,
    images: Vec<String>,
) -> Result<(), StageError> {
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let (index_db, database) = (job.deps.index_db.clone(), contents.database.clone());
    let (words, changes) = blocking(move || -> Result<_, StageError> {
        let failed = |source| not_deprecated(source, image.clone());
        let done = deprecate(&*index_db, &database, &images).map_err(failed)?;
        let (mut diff, mut packages) = (added.diff, added.packages);
        diff.changes.extend(done.diff.changes);
        packages.extend(done.packages);
        let pictures = index_db.pictures(&database, &packages).map_err(failed)?;
        Ok((done.words, Changes::new(diff, pictures)?))
    })
    .await?;
    words.into_iter().for_each(|line| job.log(line));
    changes.keep(job).await
}

/// Leaves in the catalog what came in as bundles, with those that were added. Packages that are in a
/// catalog only are not carried over, as in the reference.
fn leave_bundles(index: &mut CatalogIndex, added: &BTreeSet<String>) -> Result<(), StageError> {
    let known = index.in_database()?;
    let others = index.outline().package_names().into_iter();
    let others: BTreeSet<String> = others.filter(|name| !known.contains(name)).collect();
    for package in &others {
        index.tell(format!(
            "the package {package} came in as a file-based catalog and is not carried over: put its \
             fragment into the new index with fbc-operations"
        ));
    }
    index.remove(&others)?;
    index.migrate(added)
}
