//! Making an index without operators out of another one (worker flows §10).
//!
//! - pin: the inputs are resolved.
//! - mutate: every package is taken out of the index's database, the database goes into a layer.
//! - push: the images with this layer, with the labels of the request, and the tags.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_request::{Built, CreateEmptyIndex, Plan, Update};

use crate::changes::Changes;
use crate::flow::Flow;
use crate::index::database;
use crate::index::push::{Naming, Push};
use crate::job::Job;
use crate::steps::inputs::{self, Asked};
use crate::transfer::blocking;
use crate::{IndexError, StageError};

#[async_trait]
impl Flow for CreateEmptyIndex {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let asked = Asked {
            from_index: Some(&self.from_index),
            binary_image: self.binary_image.as_deref(),
            distribution_scope: self.distribution_scope,
            ..Asked::default()
        };
        let prepared = inputs::prepare(job, &asked).await;
        let (plan, facts) = prepared.map_err(|error| match error {
            StageError::Index(IndexError::FileBased(_)) => IndexError::DatabaseOfCatalog.into(),
            other => other,
        })?;
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        job.update(Update::doing("Checking operators present in index image"))
            .await?;
        let folder = job.scratch_folder()?;
        let database = folder.path().join("index.db");
        let input = database::fetch_input(job.deps, &plan, &database).await?;
        job.update(Update::doing("Removing operators from index image"))
            .await?;
        let (index_db, file) = (job.deps.index_db.clone(), database.clone());
        let image = plan.from.map(|index| index.resolved.to_string());
        let diff = blocking(move || {
            let emptied = index_db.remove_all(&file);
            emptied.map_err(|source| IndexError::Database {
                image: image.unwrap_or_default(),
                source,
            })
        })
        .await?;
        Changes::new(diff, Vec::new())?.keep(job).await?;
        database::write_layer(job, &database, input).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Update, StageError> {
        let doing = "Getting and updating labels for new index image";
        job.update(Update::doing(doing)).await?;
        let none = BTreeMap::new();
        let push = Push {
            labels: self.labels.as_ref().unwrap_or(&none),
            build_tags: &[],
            naming: Naming::Plain,
        };
        push.run(job).await
    }
}
