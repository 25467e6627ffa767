//! Adding bundles to an index (worker flows §7).
//!
//! - pin: the bundles and the inputs are resolved, and it is read which packages the bundles are of.
//! - mutate: those that the index does not have are read and go into its database, the database
//!   into a layer.
//! - push: the images with this layer, and the tags.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use async_trait::async_trait;
use futures::TryFutureExt;
use iib_bundle::{Bundle, BundleFiles, Typed};
use iib_catalog::{AddOptions, AlphaFeatures, Mode, Overwrite};
use iib_oci::{Digest, Pinned};
use iib_ports::{IndexDbError, PresentBundle};
use iib_request::{
    AddRequest, Built, Facts, IndexPlan, Operators, PinnedBundle, Plan, Scope, Update,
};

use crate::changes::Changes;
use crate::flow::Flow;
use crate::index::database;
use crate::index::push::{Naming, Push};
use crate::job::Job;
use crate::steps::bundles::{self, Contents};
use crate::steps::inputs::{self, Asked};
use crate::transfer::blocking;
use crate::{ImageError, IndexError, StageError};

#[async_trait]
impl Flow for AddRequest {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let registry = job.deps.registry.clone();
        job.update(Update::doing("Resolving the bundles")).await?;
        let bundles = bundles::resolve(&*registry, &self.bundles).await?;
        let asked = Asked {
            from_index: self.from_index.as_deref(),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            add_arches: &self.add_arches,
            overwrites: self.overwrite_from_index,
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
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        if plan.from.is_some() {
            let doing = "Checking if bundles are already present in index image";
            job.update(Update::doing(doing)).await?;
        }
        let folder = job.scratch_folder()?;
        let database = folder.path().join("index.db");
        let wanted = bundles::distinct(&plan.bundles);
        let (input, contents) = futures::try_join!(
            database::fetch_input(job.deps, &plan, &database),
            bundles::read(job.deps, &wanted).map_err(|never| match never {})
        )?;
        let (bundles, packages) = missing(job, &plan, &database, wanted, contents).await?;
        let options = options(self, &plan)?;
        let changes = add_to(job, &plan, &database, bundles, packages, options).await?;
        changes.keep(job).await?;
        database::write_layer(job, &database, input).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Update, StageError> {
        let push = Push {
            labels: &BTreeMap::new(),
            build_tags: &self.build_tags,
            naming: Naming::WithCopy,
        };
        push.run(job).await
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

/// The bundles that the index does not have, read; and the packages of all that were asked for.
async fn missing(
    job: &mut Job<'_>,
    plan: &IndexPlan,
    database: &Path,
    wanted: Vec<&PinnedBundle>,
    contents: Contents,
) -> Result<(Vec<Bundle>, BTreeSet<String>), StageError> {
    let present = present_packages(job, plan, database).await?;
    let mut packages = BTreeSet::new();
    let mut missing = Vec::new();
    for (bundle, content) in wanted.into_iter().zip(contents) {
        let pinned = &bundle.pinned;
        if let Some(served_in) = present.get(pinned.digest()) {
            packages.extend(served_in.iter().cloned());
            job.log(format!("{pinned} is in the index already and is left out"));
            continue;
        }
        missing.push((pinned.clone(), content?));
    }
    let bundles: Vec<Bundle> = blocking(move || {
        missing
            .iter()
            .map(|(pinned, files)| read(pinned, files))
            .collect()
    })
    .await?;
    for bundle in &bundles {
        for file in &bundle.passed_over {
            job.log(format!("{}: {file}; the file is passed over", bundle.image));
        }
    }
    packages.extend(bundles.iter().map(|bundle| bundle.package.clone()));
    Ok((bundles, packages))
}

/// The packages of the bundles in the index by the bundles' digests, whatever name those are under
/// (worker flows §7.4).
async fn present_packages(
    job: &Job<'_>,
    plan: &IndexPlan,
    database: &Path,
) -> Result<BTreeMap<Digest, BTreeSet<String>>, StageError> {
    let Some(index) = &plan.from else {
        return Ok(BTreeMap::new());
    };
    let (index_db, database) = (job.deps.index_db.clone(), database.to_owned());
    let image = index.resolved.to_string();
    let bundles: Vec<PresentBundle> = blocking(move || {
        index_db
            .bundles(&database)
            .map_err(|source| IndexError::Database { image, source })
    })
    .await?;
    let mut packages: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
    for bundle in bundles {
        let digest = bundle.image.rsplit_once('@');
        if let Some(digest) = digest.and_then(|(_, digest)| digest.parse().ok()) {
            packages.entry(digest).or_default().insert(bundle.package);
        }
    }
    Ok(packages)
}

fn read(pinned: &Pinned, files: &BundleFiles) -> Result<Bundle, ImageError> {
    let image = pinned.to_string();
    Bundle::read(&image, files).map_err(|source| ImageError::Bundle { image, source })
}

/// The property that says up to which platform a bundle works (worker flows §11).
const MAX_VERSION: &str = "olm.maxOpenShiftVersion";
/// The last platform with the APIs that 4.9 removed; a bare number, as the reference has it.
const LAST_WITH_BETA_APIS: &str = "4.8";

fn options(add: &AddRequest, plan: &IndexPlan) -> Result<AddOptions, IndexError> {
    // Below `prod`, an index may be changed where it is released already (worker flows §7.5).
    let overwrite = match plan.scope {
        Scope::Prod => Overwrite::Refuse,
        Scope::Stage | Scope::Dev => Overwrite::Latest,
    };
    let mode = match &add.graph_update_mode {
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

/// Adds the bundles, and says what changed and how these packages are now.
async fn add_to(
    job: &mut Job<'_>,
    plan: &IndexPlan,
    database: &Path,
    bundles: Vec<Bundle>,
    packages: BTreeSet<String>,
    options: AddOptions,
) -> Result<Changes, StageError> {
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let (index_db, database) = (job.deps.index_db.clone(), database.to_owned());
    let (limited, limited_names): (Vec<String>, Vec<String>) = bundles
        .iter()
        .filter(|bundle| bundle.needs_max_version)
        .map(|bundle| (bundle.image.clone(), bundle.name.clone()))
        .unzip();
    for bundle in &limited {
        job.log(format!(
            "{bundle} uses APIs that platform 4.9 removed, and gets {MAX_VERSION} \
             {LAST_WITH_BETA_APIS}"
        ));
    }
    blocking(move || {
        let report = index_db.add(&database, &bundles, &options);
        let limit = Typed {
            kind: MAX_VERSION.to_owned(),
            value: LAST_WITH_BETA_APIS.to_owned(),
        };
        let (diff, pictures) = report
            .and_then(|mut report| {
                index_db.add_property(&database, &limited, &limit)?;
                for name in &limited_names {
                    let changes = &mut report.changes;
                    changes.note_property(name, &limit.kind, &limit.value);
                }
                Ok((report.changes, index_db.pictures(&database, &packages)?))
            })
            .map_err(|source| not_added(source, image))?;
        Changes::new(diff, pictures).map_err(StageError::from)
    })
    .await
}

/// Bundles that do not fit are the bundles' fault; anything else is the database's.
fn not_added(source: IndexDbError, image: Option<String>) -> IndexError {
    match (source, image) {
        (source @ IndexDbError::Refused(_), _) | (source, None) => IndexError::Add(source),
        (source, Some(image)) => IndexError::Database { image, source },
    }
}
