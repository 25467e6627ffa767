//! Adding bundles to an index (worker flows §7).
//!
//! - pin: the bundles and the inputs are resolved, and it is read which packages the bundles are of.
//! - mutate: those that the index does not have are read and go into its database, from there into its
//!   catalog if it has one; both go into a layer.
//! - push: the images with this layer, and the tags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use async_trait::async_trait;
use futures::TryFutureExt;
use iib_bundle::{Bundle, BundleFiles, Typed};
use iib_catalog::{AddOptions, AlphaFeatures, Mode, Overwrite, ServedDigests};
use iib_fbc::CatalogDiff;
use iib_oci::Pinned;
use iib_ports::{IndexDb, IndexDbError};
use iib_request::{AddRequest, Built, Facts, IndexPlan, Operators, Plan, Scope, Update};

use crate::changes::Changes;
use crate::flow::{Flow, Pushed};
use crate::index::catalog::{self, CatalogIndex};
use crate::index::contents::Contents;
use crate::index::push::Push;
use crate::job::Job;
use crate::steps::deprecation::{self, deprecate, deprecate_in_catalog, not_deprecated};
use crate::steps::inputs::{self, Asked};
use crate::steps::{bundles, gating, related_images};
use crate::transfer::blocking;
use crate::{ImageError, IndexError, StageError};

#[async_trait]
impl Flow for AddRequest {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let registry = job.registry().await?;
        job.update(Update::doing("Resolving the bundles")).await?;
        let bundles = bundles::resolve(&*registry, &self.bundles).await?;
        bundles::check_labels(&*registry, &bundles, &job.deps.work.required_labels).await?;
        if self.check_related_images == Some(true) {
            related_images::check(job, &*registry, &bundles).await?;
        }
        gating::pass(job, &*registry, &bundles).await?;
        let asked = Asked {
            from_index: self.from_index.as_deref(),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            add_arches: &self.add_arches,
            ..Asked::default()
        };
        let (mut plan, facts) = inputs::prepare(job, &asked).await?;
        let bundles = bundles::label_with_packages(&*registry, bundles).await?;
        let mapping = bundles::mapping(&bundles);
        job.deps.operators.remember(&operators(&mapping)).await?;
        let facts = Facts {
            bundle_mapping: Some(mapping).filter(|mapping| !mapping.is_empty()),
            ..facts
        };
        plan.bundles = bundles;
        plan.deprecate = deprecation::pin(&*registry, &self.deprecation_list).await?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        if plan.from.is_some() {
            let doing = "Checking if bundles are already present in index image";
            job.update(Update::doing(doing)).await?;
        }
        let folder = job.scratch_folder()?;
        let wanted = bundles::distinct(&plan.bundles);
        let (registry, engine) = (job.registry().await?, job.deps.engine());
        let (mut contents, read) = futures::try_join!(
            Contents::copy(&engine, &*registry, plan.from.as_ref(), folder.path()),
            bundles::read(job.deps, &*registry, &wanted).map_err(|never| match never {})
        )?;
        let pinned = wanted.iter().map(|bundle| bundle.pinned.clone());
        let wanted: Vec<Wanted> = pinned.zip(read).collect();
        let asked = Asking {
            wanted,
            options: options(self.graph_update_mode.as_deref(), plan.scope)?,
            deprecate: deprecation::images(&plan.deprecate),
        };
        if contents.catalog.is_some() {
            let add = move |index: &mut CatalogIndex| add_to_catalog(index, asked);
            catalog::change(job, &mut contents, add).await?;
        } else {
            add_to_database(job, &plan, &contents.database, asked).await?;
        }
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        Push::with_copy(&self.build_tags).run(job).await
    }
}

/// The operator of each bundle, which other requests show, too.
fn operators(mapping: &BTreeMap<String, Vec<String>>) -> Operators {
    let pairs = mapping.iter().flat_map(|(operator, bundles)| {
        let of_operator = |bundle: &String| (bundle.clone(), operator.clone());
        bundles.iter().map(of_operator)
    });
    pairs.collect()
}

/// A bundle that is asked for, and what its image holds.
pub(super) type Wanted = (Pinned, Result<BundleFiles, StageError>);

/// What is to be done to the index.
struct Asking {
    wanted: Vec<Wanted>,
    options: AddOptions,
    /// What to deprecate then; that it cannot be found is said then, too.
    deprecate: Result<Vec<String>, ImageError>,
}

/// What there is to add.
#[derive(Default)]
pub(super) struct Missing {
    /// The bundles that the index does not have.
    pub(super) bundles: Vec<Bundle>,
    /// The packages of all that are asked for.
    pub(super) packages: BTreeSet<String>,
    /// For the log.
    pub(super) words: Vec<String>,
}

impl Missing {
    /// Those of the bundles that are not present, read.
    pub(super) fn of(wanted: Vec<Wanted>, present: &ServedDigests) -> Result<Self, StageError> {
        let mut missing = Self::default();
        for (pinned, content) in wanted {
            if let Some(served_in) = present.packages_with(pinned.digest()) {
                missing.packages.extend(served_in.iter().cloned());
                let words = format!("{pinned} is in the index already and is left out");
                missing.words.push(words);
                continue;
            }
            let bundle = read(&pinned, &content?)?;
            for file in &bundle.passed_over {
                let words = format!("{}: {file}; the file is passed over", bundle.image);
                missing.words.push(words);
            }
            if bundle.needs_max_version {
                missing.words.push(format!(
                    "{} uses APIs that platform 4.9 removed, and gets {MAX_VERSION} \
                     {LAST_WITH_BETA_APIS}",
                    bundle.image
                ));
            }
            missing.packages.insert(bundle.package.clone());
            missing.bundles.push(bundle);
        }
        Ok(missing)
    }
}

fn read(pinned: &Pinned, files: &BundleFiles) -> Result<Bundle, ImageError> {
    let image = pinned.to_string();
    Bundle::read(&image, files).map_err(|source| ImageError::Bundle { image, source })
}

/// The property that says up to which platform a bundle works (worker flows §11).
const MAX_VERSION: &str = "olm.maxOpenShiftVersion";
/// The last platform with the APIs that 4.9 removed; a bare number, as the reference has it.
const LAST_WITH_BETA_APIS: &str = "4.8";

/// How bundles are added to an index of this scope.
///
/// # Errors
/// [`IndexError::Add`] for a mode that nobody knows.
pub(super) fn options(mode: Option<&str>, scope: Scope) -> Result<AddOptions, IndexError> {
    // Below `prod`, an index may be changed where it is released already (worker flows §7.5).
    let overwrite = match scope {
        Scope::Prod => Overwrite::Refuse,
        Scope::Stage | Scope::Dev => Overwrite::Latest,
    };
    let mode = match mode {
        // The settings may allow a mode that nobody knows.
        Some(mode) => mode
            .parse()
            .map_err(|mode| IndexError::Add(IndexDbError::UnknownMode(mode)))?,
        None => Mode::Replaces,
    };
    Ok(AddOptions {
        mode,
        overwrite,
        alpha: AlphaFeatures::On,
    })
}

/// Adds bundles to a database, with the property that they need, and says what changed.
pub(super) fn add(
    index_db: &dyn IndexDb,
    database: &Path,
    bundles: &[Bundle],
    options: &AddOptions,
) -> Result<CatalogDiff, IndexDbError> {
    let mut changes = index_db.add(database, bundles, options)?.changes;
    let limit = Typed {
        kind: MAX_VERSION.to_owned(),
        value: LAST_WITH_BETA_APIS.to_owned(),
    };
    let limited = bundles.iter().filter(|bundle| bundle.needs_max_version);
    let images: Vec<String> = limited.clone().map(|bundle| bundle.image.clone()).collect();
    index_db.add_property(database, &images, &limit)?;
    for bundle in limited {
        changes.note_property(&bundle.name, &limit.kind, &limit.value);
    }
    Ok(changes)
}

/// Adds what is missing, and notes what changed and how the packages are now.
async fn add_to_database(
    job: &mut Job<'_>,
    plan: &IndexPlan,
    database: &Path,
    asked: Asking,
) -> Result<(), StageError> {
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let (index_db, database) = (job.deps.index_db.clone(), database.to_owned());
    let (words, changes) = blocking(move || {
        let present = match &image {
            None => ServedDigests::default(),
            Some(image) => {
                let bundles = index_db.bundles(&database);
                let bundles = bundles.map_err(|source| IndexError::Database {
                    image: image.clone(),
                    source,
                })?;
                ServedDigests::of(bundles.iter().map(|found| (&*found.image, &*found.package)))
            }
        };
        let Missing {
            bundles,
            mut packages,
            mut words,
        } = Missing::of(asked.wanted, &present)?;
        let change = || -> Result<Changes, StageError> {
            let mut diff = add(&*index_db, &database, &bundles, &asked.options)
                .map_err(|source| not_added(source, image.clone()))?;
            let done = deprecate(&*index_db, &database, &asked.deprecate?)
                .map_err(|source| not_deprecated(source, image.clone()))?;
            words.extend(done.words);
            packages.extend(done.packages);
            diff.changes.extend(done.diff.changes);
            let pictures = index_db.pictures(&database, &packages);
            let pictures = pictures.map_err(|source| not_added(source, image.clone()))?;
            Ok(Changes::new(diff, pictures)?)
        };
        let changes = change();
        Ok::<_, StageError>((words, changes))
    })
    .await?;
    for line in words {
        job.log(line);
    }
    changes?.keep(job).await
}

/// Adds what is missing to the database behind a catalog, and puts the packages that changed into the
/// catalog as they are there then.
fn add_to_catalog(index: &mut CatalogIndex, asked: Asking) -> Result<(), StageError> {
    let served = &index.outline().bundles;
    let present = ServedDigests::of(served.iter().map(|found| (&*found.image, &*found.package)));
    let Missing {
        bundles,
        packages,
        words,
    } = Missing::of(asked.wanted, &present)?;
    words.into_iter().for_each(|line| index.tell(line));
    index.draw(&packages);
    let changed: BTreeSet<String> = bundles
        .iter()
        .map(|bundle| bundle.package.clone())
        .collect();
    let opted_in: Vec<String> = {
        let known = index.in_database()?;
        let in_catalog = index.outline().packages.iter().map(|found| &found.name);
        let only_there =
            in_catalog.filter(|name| changed.contains(*name) && !known.contains(*name));
        only_there.cloned().collect()
    };
    // Before what their bundles replace is looked for where it is not.
    if !opted_in.is_empty() {
        return Err(IndexError::OptedIn(opted_in.join(", ")).into());
    }
    if !bundles.is_empty() {
        let added = index.database(|index_db, file| add(index_db, file, &bundles, &asked.options));
        added.map_err(|source| index.not_added(source))?;
    }
    index.migrate(&changed)?;
    deprecate_in_catalog(index, &asked.deprecate?)?;
    index.follow_database()
}

/// Bundles that do not fit are the bundles' fault; anything else is the database's.
fn not_added(source: IndexDbError, image: Option<String>) -> IndexError {
    match (source, image) {
        (source @ IndexDbError::Refused(_), _) | (source, None) => IndexError::Add(source),
        (source, Some(image)) => IndexError::Database { image, source },
    }
}
