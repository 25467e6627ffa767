//! Taking operators out of an index (worker flows §8).
//!
//! - pin: the inputs are resolved.
//! - mutate: the packages are taken out of the index's database, and out of its catalog if it has
//!   one; both go into a layer.
//! - push: the images with this layer, and the tags.

use std::collections::BTreeSet;
use std::path::Path;

use async_trait::async_trait;
use iib_ports::IndexDbError;
use iib_request::{Built, IndexPlan, Plan, RmRequest, Update};

use crate::changes::Changes;
use crate::flow::{Flow, Pushed};
use crate::index::catalog::{self, CatalogIndex};
use crate::index::contents::Contents;
use crate::index::push::Push;
use crate::job::Job;
use crate::steps::inputs::{self, Asked};
use crate::transfer::blocking;
use crate::{IndexError, NoPackage, StageError};

#[async_trait]
impl Flow for RmRequest {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let asked = Asked {
            from_index: Some(&self.from_index),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            add_arches: &self.add_arches,
            ..Asked::default()
        };
        let (plan, facts) = inputs::prepare(job, &asked).await?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        let folder = job.scratch_folder()?;
        let mut contents = Contents::of_plan(job, &plan, folder.path()).await?;
        if contents.catalog.is_some() {
            let operators: BTreeSet<String> = self.operators.iter().cloned().collect();
            let remove = move |index: &mut CatalogIndex| remove_from_catalog(index, &operators);
            catalog::change(job, &mut contents, remove).await?;
        } else {
            remove_from_database(job, plan, &contents.database, &self.operators).await?;
        }
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        Push::with_copy(&self.build_tags).run(job).await
    }
}

/// What an operator is known by in the catalog, in the database behind it or in both goes. Those that
/// are nowhere are passed over, as the reference does.
fn remove_from_catalog(
    index: &mut CatalogIndex,
    operators: &BTreeSet<String>,
) -> Result<(), StageError> {
    let known = index.packages()?;
    let removed = index.remove(operators)?;
    for operator in operators.difference(&removed) {
        let NoPackage { near, .. } = NoPackage::among(&known, operator);
        let near = near.map(|near| format!(": is {near} meant?"));
        index.tell(format!(
            "{operator} is not in the index and is passed over{}",
            near.unwrap_or_default()
        ));
    }
    index.follow_database()
}

/// All or nothing.
async fn remove_from_database(
    job: &mut Job<'_>,
    plan: IndexPlan,
    database: &Path,
    operators: &[String],
) -> Result<(), StageError> {
    let (index_db, file, packages) = (
        job.deps.index_db.clone(),
        database.to_owned(),
        operators.to_owned(),
    );
    let removed = blocking(move || {
        let removed = index_db.remove_packages(&file, &packages);
        let known = removed.is_err().then(|| index_db.shape(&file));
        Ok::<_, StageError>((removed, known))
    });
    let diff = match removed.await? {
        (Ok(diff), _) => diff,
        (Err(IndexDbError::Refused(refusals)), known) => {
            job.log(refusals.to_string());
            let mut hints = refusals.hints();
            // They are about the first that is not there.
            if let Some(Ok(known)) = known {
                let known = known.packages;
                let unknown = operators.iter();
                let unknown = unknown.filter(|name| !known.contains_key(*name));
                let missing = unknown.map(|name| NoPackage::among(known.keys(), name));
                let told: Vec<String> = missing
                    .map(|missing| format!("the index has {missing}"))
                    .collect();
                if !told.is_empty() {
                    hints = told;
                }
            }
            return Err(IndexError::Remove(hints).into());
        }
        (Err(source), _) => {
            let image = plan.from.map(|index| index.resolved.to_string());
            let image = image.unwrap_or_default();
            return Err(IndexError::Database { image, source }.into());
        }
    };
    // Of what is gone there is nothing to draw.
    Changes::new(diff, Vec::new())?.keep(job).await
}
