//! Making a bundle anew for an organization (worker flows §13, regenerate-bundle).
//!
//! - pin: the bundle is resolved, with its architectures and its label.
//! - mutate: its files are read and adapted; what has to be known about images is asked of registries, all at once;
//!   the files go into a layer.
//! - push: this layer on each of the bundle's images, a manifest list over them, the tag.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use iib_oci::layer::{self, EntryPath, PackEntry, PackedLayer, Threads};
use iib_oci::{Arch, Descriptor, ImageFormat, Reference};
use iib_ports::{ArtifactKey, BlobSource};
use iib_regenerate::{Bundle, FilesDiff, PINNED_LABEL, Regeneration, is_true};
use iib_request::{
    Built, BuiltLayer, BundlePlan, Facts, Plan, RegenerateBundle, Serves, State, Unknown, Update,
    arch_tag,
};

use crate::bundle_image::read_all;
use crate::ending::write_json;
use crate::flow::{Flow, Pushed};
use crate::job::Job;
use crate::labels::label;
use crate::layered::{
    Base, Edit, LayeredImage, StoredLayer, manifest_list, push_images, push_list,
};
use crate::output::{self, output};
use crate::steps::customizations::{self, organization};
use crate::steps::inputs::pull_spec;
use crate::steps::lookups::Lookups;
use crate::transfer::{blocking, write_artifact};
use crate::{BundleError, StageError, WorkError, image};

/// Lines of the diff that go into the log; all of it is kept beside it.
const LOGGED: usize = 400;

/// What the layer holds, for the image's history.
const CONTENT: &str = "/manifests and /metadata";

#[async_trait]
impl Flow for RegenerateBundle {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let spec = pull_spec("from_bundle_image", &self.from_bundle_image)?;
        job.update(Update::doing("Resolving from_bundle_image"))
            .await?;
        let registry = job.registry().await?;
        let image = image::resolve(&*registry, &spec).await?;
        let bases = image.by_arch(&*registry).await?;
        let resolved = image.resolved.to_string();
        if bases.is_empty() {
            return Err(BundleError::NoArches(resolved).into());
        }
        let (manifest, config) = image.any()?.config(&*registry).await?;
        let arches: Vec<&str> = bases.keys().map(Arch::as_str).collect();
        let doing = format!(
            "Regenerating the bundle image for the following arches: {}",
            arches.join(", ")
        );
        let facts = Facts {
            from_bundle_image_resolved: Some(resolved),
            ..Facts::default()
        };
        let plan = BundlePlan {
            from: image.resolved,
            bases,
            layers: manifest.layers,
            is_pinned: label(&config, PINNED_LABEL).is_some_and(is_true),
            created: config.created().unwrap_or_default(),
            output_format: self.output_format.unwrap_or(job.deps.work.output_format),
            unknown: Unknown::default(),
        };
        Ok((Plan::Bundle(plan.into()), Update::doing(doing).with(facts)))
    }

    async fn mutate(&self, job: &mut Job<'_>) -> Result<Built, StageError> {
        let plan = job.bundle_plan()?;
        let organization = organization(&self.organization);
        let steps = customizations::of(job, organization)?;
        let registry = job.registry().await?;
        let (from, limit) = (plan.from.to_string(), job.deps.work.max_bundle_bytes);
        let repository = plan.from.repository();
        let files = read_all(&*registry, repository, &from, &plan.layers, limit).await?;
        let lookups = Lookups::new(registry, patience(job));
        let bundle = Bundle {
            files: files.clone(),
            has_organization: organization.is_some(),
            is_pinned: plan.is_pinned,
            replacements: self.bundle_replacements.clone(),
        };
        let read = move || Regeneration::new(bundle, steps).map_err(BundleError::from);
        let mut regeneration = blocking(read).await?;
        let done = lookups.settle(|answers| regeneration.next(answers)).await;
        for told in lookups.take_told() {
            job.log(told);
        }
        let done = done?;
        for note in &done.notes {
            job.log(note);
        }
        let diff = FilesDiff::between(&files, &done);
        let text = diff.to_string();
        for line in text.lines().take(LOGGED) {
            job.log(line);
        }
        if text.lines().nth(LOGGED).is_some() {
            job.log("…: all of it is what `GET /api/v1/builds/<id>/diff` answers");
        }
        let (id, artifacts) = (job.record.id, job.deps.artifacts.clone());
        write_json(&*artifacts, &ArtifactKey::changes(id), &diff).await?;
        if let Some(bundles) = &done.related_bundles {
            write_json(&*artifacts, &ArtifactKey::related_bundles(id), bundles).await?;
        }
        let mut files = files;
        let changed = done.files.into_iter();
        files.extend(changed.map(|(file, text)| (file, text.into_bytes())));
        Ok(Built {
            layers: vec![store(job, files, plan.output_format).await?],
            serves: Serves::default(),
            labels: done.labels,
            unknown: Unknown::default(),
        })
    }

    async fn push(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        let plan = job.bundle_plan()?;
        let built = job.record.built.clone();
        let Built { layers, labels, .. } = built.ok_or(WorkError::Incomplete("mutate"))?;
        let layer = layers.into_iter().next();
        let layer = layer.ok_or(WorkError::Incomplete("mutate"))?;
        let (layer, content) = StoredLayer::of(layer, &job.deps.artifacts)?;
        let from = job.registry().await?;
        let edit = Edit {
            layer_content: CONTENT,
            labels,
            run: None,
            created: plan.created,
            format: plan.output_format,
        };
        let mut images = Vec::new();
        for (arch, base) in &plan.bases {
            let base = Base::image(&*from, base).await?;
            images.push(LayeredImage::on(base, arch, &layer, &edit)?);
        }
        let list = manifest_list(plan.output_format, &images)?;
        let output = output(&job.deps.work, &job.record.id.to_string())?;
        output::claim(job, &output, &list).await?;
        let own = job.deps.registry.clone();
        let layer = (&layer, &content as &dyn BlobSource);
        push_images(&*own, &from, &output, &images, layer, |image| {
            Reference::Tag(arch_tag(&output, &image.arch))
        })
        .await?;
        job.update(Update::doing("Creating the manifest list"))
            .await?;
        output::check_free(job, &output, &list).await?;
        push_list(&*own, &output, &list).await?;
        let facts = Facts {
            arches: Some(plan.bases.keys().map(ToString::to_string).collect()),
            bundle_image: Some(job.deps.work.shown_name(&output.to_string())),
            ..Facts::default()
        };
        let closing = Update::state(State::Complete, job.record.request.closing()).with(facts);
        Ok(Pushed::Done(Box::new(closing)))
    }
}

/// How long registries are waited for altogether: a stage that meets a slow one is to end with a reason that
/// says what is missing.
pub(crate) fn patience(job: &Job<'_>) -> Duration {
    2 * job.deps.work.call_patience()
}

/// Packs the files of a bundle into a layer, which goes to the artifact store.
async fn store(
    job: &mut Job<'_>,
    files: BTreeMap<String, Vec<u8>>,
    format: ImageFormat,
) -> Result<BuiltLayer, StageError> {
    let key = ArtifactKey::layer(job.record.id, &job.token);
    let packed = write_artifact(&*job.deps.artifacts, &key, move |out| {
        pack(&files, format, out)
    });
    let (packed, stored) = packed.await?;
    if stored.digest != packed.digest {
        let (sent, got) = (packed.digest.to_string(), stored.digest.to_string());
        return Err(WorkError::StoredOther { sent, got }.into());
    }
    job.log(format!(
        "the layer {} with the bundle has {} bytes",
        packed.digest, packed.size
    ));
    Ok(BuiltLayer {
        artifact: key.as_str().to_owned(),
        layer: Descriptor {
            media_type: format.own_layer_type(),
            size: packed.size,
            digest: packed.digest,
        },
        diff_id: packed.diff_id,
        holds: CONTENT.to_owned(),
        unknown: Unknown::default(),
    })
}

/// Packs files, and the folders above them.
fn pack(
    files: &BTreeMap<String, Vec<u8>>,
    format: ImageFormat,
    out: &mut impl io::Write,
) -> Result<PackedLayer, WorkError> {
    let mut contents: BTreeMap<&str, Option<&[u8]>> = BTreeMap::new();
    for (path, content) in files {
        let ends = path.match_indices('/');
        contents.extend(ends.map(|(end, _)| (&path[..end], None)));
        contents.insert(path, Some(content));
    }
    let mut entries = Vec::new();
    for (path, content) in &mut contents {
        let path = EntryPath::parse(path.as_bytes());
        let path = path.map_err(|_| WorkError::Incomplete("pack"))?;
        entries.push(match content {
            Some(content) => PackEntry::file(path, content.len() as u64, content),
            None => PackEntry::directory(path),
        });
    }
    let packed = match format {
        ImageFormat::Docker => layer::pack(&mut entries, None, Threads::available(), out),
        ImageFormat::Oci => layer::pack_frame(&mut entries, out),
    };
    packed.map_err(WorkError::Pack)
}
