//! Finding the bundles that a bundle refers to, and those they refer to (worker flows §13).
//!
//! - pin: the bundle is resolved.
//! - mutate: level by level, each bundle is read and the images in it are looked up; the list goes to where it can be
//!   read.
//! - push: nothing; no image is made.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iib_oci::PullSpec;
use iib_ports::ArtifactKey;
use iib_regenerate::{
    Bundle, Customization, Manifests, NestedBundles, Regeneration, up_to_related_bundles,
};
use iib_request::{
    Built, Facts, Plan, RecursiveRelatedBundles, RelatedPlan, State, Unknown, Update,
};

use crate::bundle_image::{any_layers, read_all};
use crate::ending::write_json;
use crate::flow::{Flow, Pushed};
use crate::job::Job;
use crate::steps::customizations::{self, organization};
use crate::steps::inputs::pull_spec;
use crate::steps::lookups::{Lookups, patience};
use crate::transfer::blocking;
use crate::{BundleError, ImageError, StageError, image};

/// What is told while the parent is looked up.
pub(crate) const RESOLVING: &str = "Resolving parent_bundle_image";

/// What is told while the list is stored.
pub(crate) const WRITING: &str = "Writing recursive related bundles to a file";

/// What is told while the bundles are looked for.
pub(crate) fn finding(parent: &str) -> String {
    format!("Finding recursive related bundles for the bundle: {parent}")
}

/// Bundles read at the same time: they are small, but each is held in memory.
const READS: usize = 4;

#[async_trait]
impl Flow for RecursiveRelatedBundles {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let spec = pull_spec("parent_bundle_image", &self.parent_bundle_image)?;
        job.update(Update::doing(RESOLVING)).await?;
        let registry = job.registry().await?;
        let parent = image::resolve(&*registry, &spec).await?.resolved;
        let facts = Facts {
            parent_bundle_image_resolved: Some(parent.to_string()),
            ..Facts::default()
        };
        let doing = finding(&self.parent_bundle_image);
        let plan = RelatedPlan {
            parent,
            unknown: Unknown::default(),
        };
        Ok((Plan::Related(plan), Update::doing(doing).with(facts)))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let parent = job.related_plan()?.parent.to_string();
        let steps = match organization(&self.organization) {
            Some(organization) => {
                let steps = customizations::of(job, Some(organization))?;
                Some(up_to_related_bundles(steps))
            }
            None => None,
        };
        let limit = job.deps.work.max_recursive_related_bundles;
        let search = Search {
            lookups: Lookups::new(job.registry().await?, patience(job)),
            steps,
            limit: job.deps.work.max_bundle_bytes,
        };
        let mut walk = NestedBundles::behind(parent, limit as usize);
        let found = search.all_behind(&mut walk).await;
        for told in search.lookups.take_told() {
            job.log(told);
        }
        for (bundle, related) in found? {
            job.log(match related.is_empty() {
                true => format!("{bundle} names no bundles"),
                false => format!("{bundle} names {}", related.join(", ")),
            });
        }
        job.update(Update::doing(WRITING)).await?;
        let key = ArtifactKey::nested_bundles(job.record.id);
        write_json(&*job.deps.artifacts, &key, &walk.document()).await?;
        Ok(Built::default())
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        let closing = Update::state(State::Complete, job.record.request.closing());
        Ok(Pushed::Done(Box::new(closing)))
    }
}

/// Related bundles by bundles.
type Related = BTreeMap<String, Vec<String>>;

/// A search for the bundles behind a bundle.
struct Search {
    lookups: Lookups,
    /// What the organization of the request does before bundles are listed; none: bundles are read as they are.
    steps: Option<Vec<Customization>>,
    /// Bytes read of a bundle.
    limit: u64,
}

impl Search {
    /// Walks down; each bundle is read once, however often it is named.
    async fn all_behind(&self, walk: &mut NestedBundles) -> Result<Related, StageError> {
        let mut found = Related::new();
        while !walk.level().is_empty() {
            let level = walk.level().to_vec();
            let mut seen = BTreeSet::new();
            let new = level.iter().filter(|bundle| !found.contains_key(*bundle));
            let new: Vec<_> = new.filter(|bundle| seen.insert(*bundle)).cloned().collect();
            let reads = new.into_iter().map(|bundle| async {
                let related = self.behind(&bundle).await?;
                Ok::<_, StageError>((bundle, related))
            });
            let reads: Vec<_> = reads.collect();
            let mut reads = stream::iter(reads).buffered(READS);
            for bundle in &level {
                while !found.contains_key(bundle)
                    && let Some((bundle, related)) = reads.try_next().await?
                {
                    found.insert(bundle, related);
                }
                let related = found.get(bundle).map(Vec::as_slice);
                walk.add(related.unwrap_or_default())
                    .map_err(BundleError::from)?;
            }
            drop(reads);
            walk.descend();
        }
        Ok(found)
    }

    /// The bundles that a bundle names.
    async fn behind(&self, bundle: &str) -> Result<Vec<String>, StageError> {
        let spec: PullSpec = (bundle.parse()).map_err(|_| ImageError::Absent(bundle.to_owned()))?;
        let registry = self.lookups.registry();
        let layers = any_layers(registry, &spec).await?;
        let repository = spec.repository();
        let files = read_all(registry, repository, bundle, &layers, self.limit).await?;
        let manifests = match &self.steps {
            None => {
                let read = move || Manifests::read(&files).map_err(BundleError::from);
                blocking(read).await?
            }
            Some(steps) => {
                let bundle = Bundle {
                    files,
                    has_organization: true,
                    ..Bundle::default()
                };
                let steps = steps.clone();
                let read = move || Regeneration::new(bundle, steps).map_err(BundleError::from);
                let mut adapted = blocking(read).await?;
                self.lookups.settle(|answers| adapted.next(answers)).await?;
                adapted.into_manifests()
            }
        };
        let settled = self
            .lookups
            .settle(|answers| manifests.related_bundles(answers));
        settled.await
    }
}
