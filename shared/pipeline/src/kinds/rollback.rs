//! Putting back what an index named before a request overwrote it.
//!
//! - pin: the tag has to name what that request made.
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
use crate::job::Job;
use crate::layered::push_list;
use crate::line;
use crate::steps::inputs::pull_spec;
use crate::{ImageError, InputError, StageError};

#[async_trait]
impl Flow for Rollback {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let index = pull_spec("from_index", &self.from_index)?;
        let registry = job.registry().await?;
        job.update(Update::doing("Resolving the container images"))
            .await?;
        match look(self, &*registry, &index).await? {
            Place::Result => {}
            Place::PutBack => {
                return Err(InputError::NothingToPutBack {
                    index: self.from_index.clone(),
                    request: self.rolled_back,
                    now: self.replaced.to_string(),
                }
                .into());
            }
            Place::Other(now) => return Err(not_the_result(self, now).into()),
        }
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
        let began_before = job.record.overwritten.is_some();
        match look(self, &*registry, &index).await? {
            Place::Result | Place::PutBack => {}
            Place::Other(_) if began_before => {}
            Place::Other(now) => return Err(not_the_result(self, now).into()),
        }
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
        match look(self, &*registry, &index).await? {
            Place::Result | Place::PutBack => {
                let moved = push_list(&*registry, &index, &list).await;
                moved.map_err(|error| ImageError::Overwrite {
                    image: self.from_index.clone(),
                    source: Box::new(error),
                })?;
                line::note_moved(job.deps, &job.record).await;
            }
            // An attempt before this one may have moved it, and somebody else since.
            Place::Other(now) if began_before => job.log(format!(
                "{index} names {now}: if it was put back, somebody else has moved it since, and it is left \
                 where it is"
            )),
            Place::Other(now) => return Err(not_the_result(self, now).into()),
        }
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

/// What the tag names.
enum Place {
    /// The result that is to go.
    Result,
    /// What is put back.
    PutBack,
    /// Something else, for people.
    Other(String),
}

/// Looks at the tag.
///
/// # Errors
/// [`InputError::NoTag`]; [`ImageError::Inspect`].
async fn look(
    rollback: &Rollback,
    registry: &dyn Registry,
    index: &PullSpec,
) -> Result<Place, StageError> {
    let Reference::Tag(tag) = index.reference() else {
        return Err(InputError::NoTag(rollback.from_index.clone()).into());
    };
    let now = registry.tagged(index.repository(), tag).await;
    Ok(match now.map_err(|source| not_seen(rollback, source))? {
        Some(now) if now == rollback.result => Place::Result,
        Some(now) if now == rollback.replaced => Place::PutBack,
        Some(now) => Place::Other(now.to_string()),
        None => Place::Other("nothing".to_owned()),
    })
}

fn not_the_result(rollback: &Rollback, now: String) -> InputError {
    InputError::NotTheResult {
        index: rollback.from_index.clone(),
        request: rollback.rolled_back,
        result: rollback.result.to_string(),
        now,
    }
}

fn not_seen(rollback: &Rollback, source: RegistryError) -> ImageError {
    ImageError::Inspect {
        image: rollback.from_index.clone(),
        source,
    }
}
