//! Saying in an index what of an operator is deprecated (worker flows §10).
//!
//! - pin: the inputs are resolved.
//! - mutate: the deprecations take the place of those that the catalog has of the package.
//! - push: the images with the new layer, and the tags.

use async_trait::async_trait;
use iib_catalog::CatalogShape;
use iib_fbc::Deprecations;
use iib_request::{AddDeprecations, Built, IndexPlan, Plan, Update};

use crate::flow::{Flow, Pushed};
use crate::index::catalog::{self, CatalogIndex};
use crate::index::check_is_catalog;
use crate::index::contents::Contents;
use crate::index::push::Push;
use crate::job::Job;
use crate::steps::inputs::{self, Asked};
use crate::transfer::blocking;
use crate::{Deps, IndexError, InputError, NoPackage, StageError};

#[async_trait]
impl Flow for AddDeprecations {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        job.update(Update::doing("Resolving the index images"))
            .await?;
        let asked = Asked {
            from_index: Some(&self.from_index),
            binary_image: self.binary_image.as_deref(),
            ..Asked::default()
        };
        let (plan, facts) = inputs::prepare(job, &asked).await?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        check_is_catalog(&plan)?;
        let folder = job.scratch_folder()?;
        let mut contents = Contents::of_plan(job, &plan, folder.path()).await?;
        check_in_database(job.deps, &plan, &contents, &self.operator_package).await?;
        for doing in [
            "Getting all deprecations present in index image",
            "Adding deprecations to from_index",
        ] {
            job.update(Update::doing(doing)).await?;
        }
        let deprecations = read(self)?;
        let put = move |index: &mut CatalogIndex| {
            // The package may be in the database only.
            index.follow_database()?;
            index.deprecate(&deprecations)
        };
        catalog::change(job, &mut contents, put).await?;
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        Push::with_copy(&self.build_tags).run(job).await
    }
}

/// The package has to be one that came in as bundles; whoever sends a catalog of its own says in it what is
/// deprecated.
async fn check_in_database(
    deps: &Deps,
    plan: &IndexPlan,
    contents: &Contents,
    package: &str,
) -> Result<(), StageError> {
    let (index_db, database) = (deps.index_db.clone(), contents.database.clone());
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let image = image.unwrap_or_default();
    let known = blocking(move || match database.exists() {
        true => index_db
            .shape(&database)
            .map_err(|source| IndexError::Hidden { image, source }),
        false => Ok(CatalogShape::default()),
    });
    let known = known.await?.packages;
    match known.contains_key(package) {
        true => Ok(()),
        false => {
            let missing = NoPackage::among(known.keys(), package);
            Err(IndexError::NotInDatabase(missing).into())
        }
    }
}

/// The deprecations that were sent.
fn read(request: &AddDeprecations) -> Result<Deprecations, InputError> {
    let read = Deprecations::read(request.deprecation_schema.as_bytes());
    let read = read.map_err(InputError::Deprecations)?;
    match read.package == request.operator_package {
        true => Ok(read),
        false => Err(InputError::DeprecationsOfOther {
            package: read.package,
            wanted: request.operator_package.clone(),
        }),
    }
}
