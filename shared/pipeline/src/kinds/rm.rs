//! Taking operators out of an index (worker flows §8).
//!
//! - pin: the inputs are resolved.
//! - mutate: the packages are taken out of the index's database, the database goes into a layer.
//! - push: the images with this layer, and the tags.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_ports::IndexDbError;
use iib_request::{Built, Plan, RmRequest, Update};

use crate::changes::Changes;
use crate::flow::Flow;
use crate::index::database;
use crate::index::push::{Naming, Push};
use crate::job::Job;
use crate::steps::inputs::{self, Asked};
use crate::transfer::blocking;
use crate::{IndexError, StageError};

#[async_trait]
impl Flow for RmRequest {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let asked = Asked {
            from_index: Some(&self.from_index),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            add_arches: &self.add_arches,
            overwrites: self.overwrite_from_index,
        };
        let (plan, facts) = inputs::prepare(job, &asked).await?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        let folder = job.scratch_folder()?;
        let database = folder.path().join("index.db");
        let input = database::fetch_input(job.deps, &plan, &database).await?;
        let (index_db, file) = (job.deps.index_db.clone(), database.clone());
        let packages = self.operators.clone();
        let image = plan.from.map(|index| index.resolved.to_string());
        let removed =
            blocking(move || Ok::<_, StageError>(index_db.remove_packages(&file, &packages)));
        let diff = match removed.await? {
            Ok(diff) => diff,
            Err(IndexDbError::Refused(refusals)) => {
                job.log(refusals.to_string());
                let index_db = job.deps.index_db.clone();
                let known =
                    blocking(move || Ok::<_, StageError>(index_db.shape(&database))).await?;
                if let Ok(known) = known {
                    let names = self.operators.iter();
                    let unknown = names.filter(|name| !known.packages.contains_key(*name));
                    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
                    job.log(format!("not in the index: {}", unknown.join(", ")));
                }
                return Err(IndexError::Remove.into());
            }
            Err(source) => {
                let image = image.unwrap_or_default();
                return Err(IndexError::Database { image, source }.into());
            }
        };
        // Of what is gone there is nothing to draw.
        Changes::new(diff, Vec::new())?.keep(job).await?;
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
