//! The last stage: an image for each architecture, a manifest list over them, the tags (worker
//! flows §5 and §6).

mod tags;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use iib_oci::{Arch, PullSpec, Reference, RunSettings};
use iib_ports::{ArtifactKey, Artifacts, BlobSource, BlobStream, RegistryError};
use iib_request::{AddRequest, Facts, Plan, Request, Stage, State, Task, Update, WorkSettings};

use crate::index_image::{
    Base, Edit, IndexImage, IndexLayer, manifest_list, push_images, push_list,
};
use crate::mutate::DATABASE_PATH;
use crate::pin::{DATABASE_LABEL, SCOPE_LABEL, VERSION_LABEL};
use crate::stage::{self, Finished, Job, Verdict, Work};
use crate::{Deps, StageError};

/// Handles one message of the push queue.
pub async fn run(deps: &Deps, task: &Task) -> Verdict {
    stage::run(deps, task, &PushWork).await
}

struct PushWork;

#[async_trait]
impl Work for PushWork {
    fn stage(&self) -> Stage {
        Stage::Push
    }

    async fn run(&self, job: &mut Job<'_>) -> Result<Finished, StageError> {
        match job.record.request.clone() {
            Request::Add(add) => Ok(push_index(job, &add).await?.into()),
        }
    }
}

async fn push_index(job: &mut Job<'_>, add: &AddRequest) -> Result<Update, StageError> {
    let plan = job.record.plan.clone();
    let Plan::Index(plan) = plan.ok_or(StageError::Incomplete("pin"))?;
    let built = job.record.built.as_ref();
    let built = built.and_then(|built| built.layers.first()).cloned();
    let built = built.ok_or(StageError::Incomplete("mutate"))?;
    let registry = job.deps.registry.clone();
    let output = output(&job.deps.work, &job.record.id.to_string())?;

    let layer = IndexLayer {
        descriptor: built.layer,
        diff_id: built.diff_id,
    };
    let labels = BTreeMap::from([
        (DATABASE_LABEL.to_owned(), DATABASE_PATH.to_owned()),
        (VERSION_LABEL.to_owned(), plan.version.clone()),
        (SCOPE_LABEL.to_owned(), plan.scope.to_string()),
    ]);
    let mut images = Vec::new();
    for (arch, binary_image) in &plan.bases {
        let base = match binary_image {
            Some(image) => Base::image(&*registry, image).await?,
            None => Base::scratch(arch),
        };
        let edit = Edit {
            layer_content: DATABASE_PATH,
            labels: labels.clone(),
            // Without a binary image there is no program to run.
            run: (binary_image.is_some()).then(RunSettings::serve_database),
        };
        images.push(IndexImage::on(base, arch, &layer, &edit)?);
    }
    let content = Layer {
        artifacts: job.deps.artifacts.clone(),
        key: (built.artifact.parse()).map_err(|_| StageError::Incomplete("mutate"))?,
    };
    push_images(&registry, &output, &images, (&layer, &content), |image| {
        Reference::Tag(arch_tag(&output, &image.arch))
    })
    .await?;

    let began_before = job.record.tags_before.is_some();
    let tags_before = match &job.record.tags_before {
        Some(noted) => noted.clone(),
        None => tags::named(job, &add.build_tags).await?,
    };
    job.update_and(Update::doing("Creating the manifest list"), |record| {
        record.tags_before = Some(tags_before.clone());
    })
    .await?;
    let list = manifest_list(&images)?;
    push_list(&*registry, &output, &list).await?;
    for tag in &add.build_tags {
        if began_before && tags::was_moved(job, tag, &list.digest()).await? {
            job.log(format!(
                "the tag {tag} was moved by somebody else meanwhile and is left where it is"
            ))
            .await;
            continue;
        }
        job.look_again().await?;
        push_list(&*registry, &self::output(&job.deps.work, tag)?, &list).await?;
    }

    let internal = output.to_string();
    let shown = shown_name(&internal, job);
    let pinned = |name: &str| match name.rsplit_once(':') {
        Some((repository, _)) => format!("{repository}@{}", list.digest()),
        None => name.to_owned(),
    };
    let facts = Facts {
        arches: Some(images.iter().map(|image| image.arch.clone()).collect()),
        index_image_resolved: Some(pinned(&shown)),
        index_image: Some(shown),
        internal_index_image_copy_resolved: Some(pinned(&internal)),
        internal_index_image_copy: Some(internal),
        ..Facts::default()
    };
    job.update(Update::default().with(facts)).await?;
    Ok(Update::state(
        State::Complete,
        "The operator bundle(s) were successfully added to the index image",
    ))
}

/// The result under this tag: the push template filled in (worker flows §5.2).
pub(crate) fn output(work: &WorkSettings, tag: &str) -> Result<PullSpec, StageError> {
    let text = work
        .image_push_template
        .replace("{registry}", &work.registry)
        .replace("{request_id}", tag);
    text.parse().map_err(StageError::OutputName)
}

/// The tag of one architecture's image beside the result.
pub(crate) fn arch_tag(output: &PullSpec, arch: &Arch) -> String {
    format!("{}-{arch}", output.reference())
}

/// The result as users are to see it (worker flows §6): the first mention of our registry is
/// replaced by the name they know.
fn shown_name(internal: &str, job: &Job<'_>) -> String {
    match &job.deps.work.index_image_output_registry {
        Some(other) => internal.replacen(&job.deps.work.registry, other, 1),
        None => internal.to_owned(),
    }
}

/// The index layer in the artifact store.
struct Layer {
    artifacts: Arc<dyn Artifacts>,
    key: ArtifactKey,
}

#[async_trait]
impl BlobSource for Layer {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let key = self.key.clone();
        let failed = move |error| RegistryError::Source {
            what: format!("artifact {key}"),
            source: Box::new(error),
        };
        let stream = self
            .artifacts
            .get(&self.key)
            .await
            .map_err(failed.clone())?;
        Ok(Box::pin(stream.map_err(failed)))
    }
}
