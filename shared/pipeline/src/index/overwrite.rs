//! Putting a result in the place of an index (worker flows §6).
//!
//! Registries offer no compare-and-swap. So the tag is looked at right before it is moved, and what is
//! in between is one call; no other request of this service comes in between, because they take turns
//! (`line.rs`). What goes into a Git repository is pushed before that, and taken back if the tag does not move
//! (`git.rs`). Where it names another index than at the beginning, all is done anew on top of that one;
//! what took somebody else's change back would be lost.

use iib_oci::{Digest, PullSpec, RawManifest, Reference};
use iib_ports::RegistryError;
use iib_request::{IndexToOverwrite, Overwritten, Unknown, Update};

use super::push::Made;
use crate::git;
use crate::job::Job;
use crate::layered::{push_images, push_list};
use crate::line;
use crate::steps::inputs::pull_spec;
use crate::{ImageError, IndexError, StageError};

/// How often all is done anew before the request is given up.
const REBASES: u32 = 3;

/// How the tag of an index that is overwritten stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It names what it named when the work began, or the result already.
    Unmoved,
    /// Somebody else has moved it.
    Moved,
    /// It named the result, and somebody has moved it since.
    MovedOn,
}

/// The index whose place a result takes.
pub(super) struct Target<'a> {
    plan: &'a IndexToOverwrite,
    spec: PullSpec,
    /// What it is to name.
    result: Digest,
    /// Whether all results go to its repository.
    is_among_results: bool,
    /// Whether what changed goes into the Git repository of the index.
    in_git: bool,
}

impl<'a> Target<'a> {
    pub(super) async fn new(
        job: &mut Job<'_>,
        plan: &'a IndexToOverwrite,
        list: &RawManifest,
        output: &PullSpec,
        in_git: bool,
    ) -> Result<Self, StageError> {
        // A login that is gone is told before anything is pushed.
        job.registry().await?;
        let spec = pull_spec("from_index", &plan.requested)?;
        Ok(Self {
            plan,
            is_among_results: spec.repository() == output.repository(),
            spec,
            result: list.digest(),
            in_git,
        })
    }

    /// Its names with the result in its place: as it was asked for, and by digest.
    pub(super) fn names(&self, result: &Digest) -> (String, String) {
        let resolved = self.spec.pin(result.clone()).to_string();
        (self.plan.requested.clone(), resolved)
    }

    /// Whether somebody else has moved the tag.
    ///
    /// # Errors
    /// [`IndexError::ChangedAgain`] if it was moved, and all was done anew often enough.
    pub(super) async fn look(&self, job: &mut Job<'_>) -> Result<Place, StageError> {
        let now = self.now(job).await?;
        // An attempt before this one may have moved it.
        if now.as_ref() == Some(&self.plan.digest) || now.as_ref() == Some(&self.result) {
            return Ok(Place::Unmoved);
        }
        if self.was_result(job).await? {
            job.log(format!(
                "{} named the result of this request and was moved by somebody else since: it is left \
                 where it is",
                self.plan.requested
            ));
            return Ok(Place::MovedOn);
        }
        let now = now.map_or("nothing".to_owned(), |now| now.to_string());
        if job.record.work.rebases >= REBASES {
            return Err(IndexError::ChangedAgain {
                index: self.plan.requested.clone(),
                before: self.plan.digest.to_string(),
                now,
                times: REBASES,
            }
            .into());
        }
        job.log(format!(
            "{} named {} when the work began and names {now} now: it is done anew on top of that",
            self.plan.requested, self.plan.digest
        ));
        Ok(Place::Moved)
    }

    /// Whether an attempt before this one has moved the tag. Only then is the list of the result in the
    /// index's repository, unless all results go there.
    async fn was_result(&self, job: &mut Job<'_>) -> Result<bool, StageError> {
        let noted = job.record.overwritten.as_ref();
        let is_noted = noted
            .is_some_and(|noted| noted.result == self.result && noted.replaced == self.plan.digest);
        if !is_noted || self.is_among_results {
            return Ok(false);
        }
        let registry = job.registry().await?;
        let result = Reference::Digest(self.result.clone());
        match registry.manifest(self.spec.repository(), &result).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(source) => Err(self.not_seen(source).into()),
        }
    }

    fn not_seen(&self, source: RegistryError) -> ImageError {
        ImageError::Inspect {
            image: self.plan.requested.clone(),
            source,
        }
    }

    async fn now(&self, job: &mut Job<'_>) -> Result<Option<Digest>, StageError> {
        let registry = job.registry().await?;
        let Reference::Tag(tag) = self.spec.reference() else {
            return Ok(None);
        };
        let found = registry.tagged(self.spec.repository(), tag).await;
        Ok(found.map_err(|source| self.not_seen(source))?)
    }

    /// Copies the result and moves the tag. `false` if somebody else has moved it meanwhile.
    ///
    /// # Errors
    /// As [`Target::look`]; [`ImageError::Overwrite`].
    pub(super) async fn overwrite(
        &self,
        job: &mut Job<'_>,
        made: &Made,
        list: &RawManifest,
        output: &PullSpec,
    ) -> Result<bool, StageError> {
        let index = &self.plan.requested;
        let doing = format!("Overwriting the index image {index} with {output}");
        job.update(Update::doing(doing)).await?;
        let (registry, own) = (job.registry().await?, job.deps.registry.clone());
        let failed = |error: ImageError| ImageError::Overwrite {
            image: index.clone(),
            source: Box::new(error),
        };
        let layer = (&made.layer, &made.content as &dyn iib_ports::BlobSource);
        push_images(&*registry, &own, &self.spec, &made.images, layer, |image| {
            Reference::Digest(image.digest())
        })
        .await
        .map_err(failed)?;
        // Last of what takes long: between this and the tag nobody else should come.
        if self.in_git {
            git::commit(job, index).await?;
        }
        // Noted before, so that nobody has to guess after a crash what stood there.
        let noted = Overwritten {
            index: index.clone(),
            replaced: self.plan.digest.clone(),
            result: self.result.clone(),
            unknown: Unknown::default(),
        };
        job.save(|record| record.overwritten = Some(noted.clone()))
            .await?;
        // Whoever takes this request over may move the tag, too.
        job.renew().await?;
        match self.look(job).await? {
            Place::Unmoved => {
                let moved = push_list(&*registry, &self.spec, list).await;
                moved.map_err(failed)?;
                line::note_moved(job.deps, &job.record).await;
            }
            Place::Moved => {
                git::settle_job(job).await?;
                return Ok(false);
            }
            Place::MovedOn => {}
        }
        Ok(true)
    }
}
