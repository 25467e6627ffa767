//! Putting back what an index named before a request overwrote it.
//!
//! - pin: the tag has to name what that request made, or already what it named before.
//! - mutate: nothing; the image is there.
//! - push: the tag moves, after one more look at it.
//!
//! It has the turn of its index like those that overwrite it, and is noted like what they do, so that
//! it can be rolled back itself.

use async_trait::async_trait;
use iib_oci::{Arch, PullSpec, Reference};
use iib_ports::{Registry, RegistryError};
use iib_request::{Built, Facts, Overwritten, Plan, Rollback, State, Unknown, Update};

use crate::flow::{Flow, Pushed};
use crate::image;
use crate::index::push_list;
use crate::job::Job;
use crate::steps::inputs::pull_spec;
use crate::{ImageError, InputError, StageError};

#[async_trait]
impl Flow for Rollback {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let index = pull_spec("from_index", &self.from_index)?;
        let registry = job.registry().await?;
        job.update(Update::doing("Resolving the container images"))
            .await?;
        check(self, &*registry, &index).await?;
        // What is put back may have been removed meanwhile.
        let before = index.pin(self.replaced.clone()).to_pull_spec();
        let before = image::resolve(&*registry, &before).await?;
        let arches = before.by_arch(&*registry).await?.into_keys();
        let facts = Facts {
            arches: Some(arches.map(|arch: Arch| arch.to_string()).collect()),
            from_index_resolved: Some(index.pin(self.result.clone()).to_string()),
            ..Facts::default()
        };
        let doing = format!("Putting {index} back to {}", self.replaced);
        Ok((Plan::Rollback, Update::doing(doing).with(facts)))
    }

    async fn mutate(&self, _: &mut Job<'_>) -> Result<Built, StageError> {
        Ok(Built::default())
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        let index = pull_spec("from_index", &self.from_index)?;
        let registry = job.registry().await?;
        let before = Reference::Digest(self.replaced.clone());
        let list = registry.manifest(index.repository(), &before).await;
        let list = list.map_err(|source| not_seen(self, source))?;
        let noted = Overwritten {
            index: self.from_index.clone(),
            replaced: self.result.clone(),
            result: self.replaced.clone(),
            unknown: Unknown::default(),
        };
        job.save(|record| record.overwritten = Some(noted.clone()))
            .await?;
        // Whoever takes this request over may move the tag, too.
        job.renew().await?;
        check(self, &*registry, &index).await?;
        let moved = push_list(&*registry, &index, &list).await;
        moved.map_err(|error| ImageError::Overwrite {
            image: self.from_index.clone(),
            source: Box::new(error),
        })?;
        let facts = Facts {
            index_image: Some(self.from_index.clone()),
            index_image_resolved: Some(index.pin(self.replaced.clone()).to_string()),
            ..Facts::default()
        };
        job.update(Update::default().with(facts)).await?;
        let closing = Update::state(State::Complete, job.record.request.closing());
        Ok(Pushed::Done(Box::new(closing)))
    }
}

/// Sees that the tag names the result that is to go, or what is put back: an attempt before this one may
/// have moved it.
///
/// # Errors
/// [`InputError::NotTheResult`]; [`ImageError::Inspect`].
async fn check(
    rollback: &Rollback,
    registry: &dyn Registry,
    index: &PullSpec,
) -> Result<(), StageError> {
    let Reference::Tag(tag) = index.reference() else {
        return Err(InputError::NoTag(rollback.from_index.clone()).into());
    };
    let now = registry.tagged(index.repository(), tag).await;
    let now = now.map_err(|source| not_seen(rollback, source))?;
    if now.as_ref() == Some(&rollback.result) || now.as_ref() == Some(&rollback.replaced) {
        return Ok(());
    }
    Err(InputError::NotTheResult {
        index: rollback.from_index.clone(),
        request: rollback.rolled_back,
        result: rollback.result.to_string(),
        now: now.map_or("nothing".to_owned(), |now| now.to_string()),
    }
    .into())
}

fn not_seen(rollback: &Rollback, source: RegistryError) -> ImageError {
    ImageError::Inspect {
        image: rollback.from_index.clone(),
        source,
    }
}
