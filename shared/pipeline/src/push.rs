//! The last stage: an image for each architecture, a manifest list over them, the tags (worker
//! flows §5 and §6).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{
    Arch, ConfigEdit, Descriptor, Digest, ImageConfig, Manifest, ManifestList, ManifestListEntry,
    MediaType, Pinned, Platform, PullSpec, RawManifest, Reference, Repository, RunSettings,
};
use iib_ports::{
    ArtifactKey, Artifacts, BlobSource, BlobStream, InMemory, Registry, RegistryError,
};
use iib_request::{AddRequest, Built, Kind, Plan, Stage, State, Task, Update};

use crate::mutate::DATABASE_PATH;
use crate::pin::{DATABASE_LABEL, SCOPE_LABEL, VERSION_LABEL};
use crate::stage::{self, Job, Verdict, Work};
use crate::{Deps, StageError, image};

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
            _ => Err(StageError::NotBuilt("this kind of request".to_owned())),
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
    let output = output(job, &job.record.id.to_string())?;

    let mut images = Vec::new();
    for (arch, base) in &plan.binary_images {
        images.push(assemble(&*registry, arch, base.as_ref(), &plan, &built).await?);
    }
    push_blobs(job, output.repository(), &images, &built).await?;
    push_images(&*registry, &output, &images).await?;

    job.update(Update::doing("Creating the manifest list"))
        .await?;
    let list = manifest_list(&images).map_err(StageError::Write)?;
    let mut targets = vec![output.clone()];
    for tag in &add.build_tags {
        targets.push(self::output(job, tag)?);
    }
    for target in &targets {
        registry
            .push_manifest(target.repository(), target.reference(), &list)
            .await
            .map_err(|source| StageError::Registry {
                doing: format!("Failed to push the manifest list to {target}"),
                source,
            })?;
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

/// The result under this tag: the push template filled in (worker flows §5.2).
fn output(job: &Job<'_>, tag: &str) -> Result<PullSpec, StageError> {
    let work = &job.deps.work;
    let text = work
        .image_push_template
        .replace("{registry}", &work.registry)
        .replace("{request_id}", tag);
    text.parse().map_err(StageError::OutputName)
}

/// The result as users are to see it (worker flows §6): the first mention of our registry is
/// replaced by the name they know.
fn shown_name(internal: &str, job: &Job<'_>) -> String {
    match &job.deps.work.index_image_output_registry {
        Some(other) => internal.replacen(&job.deps.work.registry, other, 1),
        None => internal.to_owned(),
    }
}

/// An image ready to be pushed.
struct IndexImage {
    arch: Arch,
    variant: Option<String>,
    manifest: RawManifest,
    config: Descriptor,
    config_bytes: Bytes,
    /// Layers of the binary image and where they are.
    base_layers: Vec<Descriptor>,
    base: Option<Repository>,
}

/// Puts configuration and manifest of one architecture together: the layers of the binary
/// image, and the index layer on top.
async fn assemble(
    registry: &dyn Registry,
    arch: &Arch,
    base: Option<&Pinned>,
    plan: &Plan,
    built: &Built,
) -> Result<IndexImage, StageError> {
    let (base_layers, base_config) = match base {
        Some(base) => {
            let (manifest, config) = image::config(registry, base).await?;
            check_arch_label(base, arch, &config)?;
            (docker_layers(base, manifest.layers)?, config)
        }
        None => (Vec::new(), ImageConfig::scratch(arch)),
    };
    let edit = ConfigEdit {
        diff_id: built.diff_id.clone(),
        layer_content: DATABASE_PATH.to_owned(),
        labels: BTreeMap::from([
            (DATABASE_LABEL.to_owned(), DATABASE_PATH.to_owned()),
            (VERSION_LABEL.to_owned(), plan.version.clone()),
            (SCOPE_LABEL.to_owned(), plan.scope.to_string()),
        ]),
        // Without a binary image there is no program to run.
        run: base.map(|_| RunSettings::serve_database()),
    };
    let config = base_config
        .with_layer(base_layers.len(), &edit)
        .map_err(|source| {
            let image = base.map_or_else(|| "scratch".to_owned(), ToString::to_string);
            StageError::ImageConfig { image, source }
        })?;
    let config_bytes = Bytes::from(config.to_bytes().map_err(StageError::Write)?);
    let config = Descriptor {
        media_type: MediaType::new(MediaType::DOCKER_CONFIG),
        size: config_bytes.len() as u64,
        digest: Digest::of(&config_bytes),
    };
    let layers = base_layers.iter().chain([&built.layer]).cloned().collect();
    let manifest = Manifest::docker(config.clone(), layers)
        .to_raw()
        .map_err(StageError::Write)?;
    Ok(IndexImage {
        arch: arch.clone(),
        variant: base_config.variant().map(ToOwned::to_owned),
        manifest,
        config,
        config_bytes,
        base_layers,
        base: base.map(|base| base.repository().clone()),
    })
}

/// The binary image's own word on its architecture, if it has one (worker flows §5.1).
fn check_arch_label(base: &Pinned, arch: &Arch, config: &ImageConfig) -> Result<(), StageError> {
    match config.labels().get("architecture") {
        Some(label) if label != arch.label_name() && label != arch.as_str() => {
            Err(StageError::WrongArch {
                image: base.to_string(),
                arch: arch.clone(),
                label: label.clone(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// The layers of the binary image as a Docker manifest names them.
fn docker_layers(base: &Pinned, layers: Vec<Descriptor>) -> Result<Vec<Descriptor>, StageError> {
    layers
        .into_iter()
        .map(|layer| match layer.media_type.as_docker_layer() {
            Some(media_type) => Ok(Descriptor {
                media_type,
                ..layer
            }),
            None => Err(StageError::LayerType {
                image: base.to_string(),
                digest: layer.digest.to_string(),
                media_type: layer.media_type.to_string(),
            }),
        })
        .collect()
}

/// Makes every blob of the images available in the output repository, each once.
async fn push_blobs(
    job: &Job<'_>,
    to: &Repository,
    images: &[IndexImage],
    built: &Built,
) -> Result<(), StageError> {
    let layer = Layer {
        artifacts: job.deps.artifacts.clone(),
        key: ArtifactKey::layer(job.record.id),
    };
    let mut blobs: BTreeMap<&Digest, Blob<'_>> = BTreeMap::new();
    for image in images {
        for layer in &image.base_layers {
            if let Some(from) = &image.base {
                blobs
                    .entry(&layer.digest)
                    .or_insert(Blob::Base(layer, from));
            }
        }
        blobs.insert(
            &image.config.digest,
            Blob::Config(&image.config, &image.config_bytes),
        );
    }
    blobs.insert(&built.layer.digest, Blob::Index(&built.layer, &layer));
    let registry = &job.deps.registry;
    let uploads: Vec<_> = blobs
        .into_values()
        .map(|blob| push_blob(registry, to, blob))
        .collect();
    stream::iter(uploads)
        .buffer_unordered(UPLOADS)
        .try_collect()
        .await
}

async fn push_blob(
    registry: &Arc<dyn Registry>,
    to: &Repository,
    blob: Blob<'_>,
) -> Result<(), StageError> {
    provide(registry, to, &blob)
        .await
        .map_err(|source| StageError::Registry {
            doing: format!("Failed to push blob {} to {to}", blob.descriptor().digest),
            source,
        })
}

/// A blob and where its content is.
enum Blob<'a> {
    Base(&'a Descriptor, &'a Repository),
    Config(&'a Descriptor, &'a Bytes),
    Index(&'a Descriptor, &'a Layer),
}

impl Blob<'_> {
    fn descriptor(&self) -> &Descriptor {
        match self {
            Self::Base(descriptor, _)
            | Self::Config(descriptor, _)
            | Self::Index(descriptor, _) => descriptor,
        }
    }
}

/// Asks first, mounts second, moves bytes last.
async fn provide(
    registry: &Arc<dyn Registry>,
    to: &Repository,
    blob: &Blob<'_>,
) -> Result<(), RegistryError> {
    let descriptor = blob.descriptor();
    if registry.has_blob(to, &descriptor.digest).await? {
        return Ok(());
    }
    match blob {
        Blob::Base(_, from) => {
            if registry.mount_blob(to, from, &descriptor.digest).await? {
                return Ok(());
            }
            let elsewhere = Elsewhere {
                registry: registry.clone(),
                repository: (*from).clone(),
                descriptor: descriptor.clone(),
            };
            registry.push_blob(to, descriptor, &elsewhere).await
        }
        Blob::Config(_, bytes) => {
            registry
                .push_blob(to, descriptor, &InMemory((*bytes).clone()))
                .await
        }
        Blob::Index(_, layer) => registry.push_blob(to, descriptor, *layer).await,
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

/// A layer of the binary image, read from where it is.
struct Elsewhere {
    registry: Arc<dyn Registry>,
    repository: Repository,
    descriptor: Descriptor,
}

#[async_trait]
impl BlobSource for Elsewhere {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        self.registry.blob(&self.repository, &self.descriptor).await
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
    let tag = Reference::Tag(format!("{}-{arch}", output.reference()));
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
