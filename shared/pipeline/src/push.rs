//! The last stage: an image for each architecture, a manifest list over them, the tags (worker
//! flows §5 and §6).

mod assemble;
mod blobs;
mod tags;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{
    Arch, Descriptor, ManifestList, ManifestListEntry, Platform, PullSpec, RawManifest, Reference,
};
use iib_ports::Registry;
use iib_request::{AddRequest, Kind, Stage, State, Task, Update, WorkSettings};

use crate::stage::{self, Job, Verdict, Work};
use crate::{Deps, StageError};
use assemble::{IndexImage, assemble};
use blobs::push_blobs;

/// Blobs moved at the same time: layers of a few architectures side by side, without flooding
/// the registry.
const UPLOADS: usize = 4;

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

    async fn run(&self, job: &mut Job<'_>) -> Result<Update, StageError> {
        match job.record.kind.clone() {
            Kind::Add(add) => push_index(job, &add).await,
        }
    }
}

async fn push_index(job: &mut Job<'_>, add: &AddRequest) -> Result<Update, StageError> {
    let plan = job
        .record
        .plan
        .clone()
        .ok_or(StageError::Incomplete("pin"))?;
    let built = job
        .record
        .built
        .clone()
        .ok_or(StageError::Incomplete("mutate"))?;
    let registry = job.deps.registry.clone();
    let output = output(&job.deps.work, &job.record.id.to_string())?;

    let mut images = Vec::new();
    for (arch, base) in &plan.binary_images {
        images.push(assemble(&*registry, arch, base.as_ref(), &plan, &built).await?);
    }
    push_blobs(job, output.repository(), &images, &built).await?;
    push_images(&*registry, &output, &images).await?;

    let began_before = job.record.tags_before.is_some();
    if !began_before {
        job.record.tags_before = Some(tags::named(job, &add.build_tags).await?);
    }
    job.update(Update::doing("Creating the manifest list"))
        .await?;
    let list = manifest_list(&images).map_err(StageError::Write)?;
    push_list(&*registry, &output, &list).await?;
    for tag in &add.build_tags {
        if began_before && tags::was_moved(job, tag, &list.digest()).await? {
            job.log(format!(
                "the tag {tag} was moved by somebody else meanwhile and is left where it is"
            ))
            .await;
            continue;
        }
        push_list(&*registry, &self::output(&job.deps.work, tag)?, &list).await?;
    }

    let internal = output.to_string();
    let shown = shown_name(&internal, job);
    let pinned = |name: &str| match name.rsplit_once(':') {
        Some((repository, _)) => format!("{repository}@{}", list.digest()),
        None => name.to_owned(),
    };
    job.update(Update {
        arches: Some(images.iter().map(|image| image.arch.clone()).collect()),
        index_image_resolved: Some(pinned(&shown)),
        index_image: Some(shown),
        internal_index_image_copy_resolved: Some(pinned(&internal)),
        internal_index_image_copy: Some(internal),
        ..Update::default()
    })
    .await?;
    Ok(Update::state(
        State::Complete,
        "The operator bundle(s) were successfully added to the index image",
    ))
}

/// Pushes the manifest list under a tag.
async fn push_list(
    registry: &dyn Registry,
    target: &PullSpec,
    list: &RawManifest,
) -> Result<(), StageError> {
    registry
        .push_manifest(target.repository(), target.reference(), list)
        .await
        .map_err(|source| StageError::Registry {
            doing: format!("Failed to push the manifest list to {target}"),
            source,
        })
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

/// Pushes each image under `<output>-<arch>`.
async fn push_images(
    registry: &dyn Registry,
    output: &PullSpec,
    images: &[IndexImage],
) -> Result<(), StageError> {
    let pushes: Vec<_> = images
        .iter()
        .map(|image| push_image(registry, output, image))
        .collect();
    stream::iter(pushes)
        .buffer_unordered(UPLOADS)
        .try_collect()
        .await
}

async fn push_image(
    registry: &dyn Registry,
    output: &PullSpec,
    image: &IndexImage,
) -> Result<(), StageError> {
    let arch = &image.arch;
    let tag = Reference::Tag(arch_tag(output, arch));
    let pushed = registry
        .push_manifest(output.repository(), &tag, &image.manifest)
        .await;
    pushed.map_err(|source| StageError::Registry {
        doing: format!(
            "Failed to push the container image to docker://{output}-{arch} for the arch {arch}"
        ),
        source,
    })
}

fn manifest_list(images: &[IndexImage]) -> Result<RawManifest, serde_json::Error> {
    let entries = images.iter().map(|image| ManifestListEntry {
        descriptor: Descriptor {
            media_type: image.manifest.media_type.clone(),
            size: image.manifest.bytes.len() as u64,
            digest: image.manifest.digest(),
        },
        platform: Some(Platform {
            variant: image.variant.clone(),
            ..Platform::linux(&image.arch)
        }),
    });
    ManifestList::docker(entries.collect()).to_raw()
}
