//! Making an index without operators out of another one (worker flows §10).
//!
//! - pin: the inputs are resolved.
//! - mutate: every package is taken out of the index's database, also of one behind a catalog; the
//!   database goes into a layer, or with an empty catalog in front of it.
//! - push: the images with this layer, with the labels of the request, and the tags.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_fbc::CatalogDiff;
use iib_request::{Built, CreateEmptyIndex, IndexForm, IndexToRead, Plan, Update};

use crate::changes::Changes;
use crate::flow::{Flow, Pushed};
use crate::index::catalog;
use crate::index::contents::Contents;
use crate::index::forms::Forms;
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
        let (plan, facts) = inputs::prepare(job, &asked).await?;
        let is_catalog = |from: &IndexToRead| matches!(from.form, IndexForm::Catalog(_));
        if plan.from.as_ref().is_some_and(is_catalog) && self.output_fbc != Some(true) {
            return Err(IndexError::DatabaseOfCatalog.into());
        }
        let update = inputs::building(&plan, facts);
        Ok((Plan::Index(plan.into()), update))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.index_plan()?;
        job.update(Update::doing("Checking operators present in index image"))
            .await?;
        let folder = job.scratch_folder()?;
        let contents = Contents::of_plan(job, &plan, folder.path()).await?;
        job.update(Update::doing("Removing operators from index image"))
            .await?;
        let rules = Forms::of(&plan.version, &job.deps.work).rules;
        let (emptied, copy) = (contents.clone(), contents.catalog.clone());
        let (index_db, catalogs) = (job.deps.index_db.clone(), job.deps.catalogs.clone());
        let image = plan.from.map(|index| index.resolved.to_string());
        let image = image.unwrap_or_default();
        let diff = blocking(move || -> Result<CatalogDiff, IndexError> {
            let database = index_db.remove_all(&emptied.database);
            let Some(copy) = copy else {
                return database.map_err(|source| IndexError::Database { image, source });
            };
            database.map_err(|source| IndexError::Hidden {
                image: image.clone(),
                source,
            })?;
            let catalog = catalogs.open(&copy.folder, rules);
            let catalog = catalog.map_err(|source| IndexError::Catalog { image, source })?;
            let packages = catalog.outline().clone().by_package();
            Ok(CatalogDiff::between(&packages, &BTreeMap::new()))
        })
        .await?;
        if self.output_fbc != Some(true) {
            Changes::new(diff, Vec::new())?.keep(job).await?;
            return contents.store(job).await;
        }
        let mut contents = contents.with_empty_catalog(folder.path()).await?;
        catalog::change(job, &mut contents, |index| {
            index.note(diff);
            Ok(())
        })
        .await?;
        contents.store(job).await
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
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
