//! Making a bundle anew for an organization (worker flows §13, regenerate-bundle).
//!
//! - pin: the bundle is resolved, with its architectures and its label.
//! - mutate: its files are read and adapted; what has to be known about images is asked of registries, all at once;
//!   the files go into a layer.
//! - push: this layer on each of the bundle's images, a manifest list over them, the tag.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iib_oci::{Arch, ImageFormat, Reference};
use iib_ports::{ArtifactKey, BlobSource};
use iib_regenerate::{Bundle, FilesDiff};
use iib_request::{
    Built, BuiltLayer, Facts, Plan, RegenerateBundle, Serves, State, Unknown, Update, arch_tag,
};

use crate::bundle_anew::{CONTENT, adapt, images, look_up, pack};
use crate::bundle_image::read_all;
use crate::ending::write_json;
use crate::flow::{Flow, Pushed};
use crate::job::Job;
use crate::layered::{StoredLayer, manifest_list, push_images, push_list};
use crate::output::{self, output};
use crate::steps::customizations::{self, organization};
use crate::steps::inputs::pull_spec;
use crate::steps::lookups::{Lookups, patience};
use crate::transfer::{blocking, write_artifact};
use crate::{StageError, WorkError};

/// Lines of the diff that go into the log; all of it is kept beside it.
const DIFF_LINES: usize = 400;

#[async_trait]
impl Flow for RegenerateBundle {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        let spec = pull_spec("from_bundle_image", &self.from_bundle_image)?;
        job.update(Update::doing("Resolving from_bundle_image"))
            .await?;
        let registry = job.registry().await?;
        let format = self.output_format.unwrap_or(job.deps.work.output_format);
        let plan = look_up(&*registry, &spec, format).await?;
        let arches: Vec<&str> = plan.bases.keys().map(Arch::as_str).collect();
        let doing = format!(
            "Regenerating the bundle image for the following arches: {}",
            arches.join(", ")
        );
        let facts = Facts {
            from_bundle_image_resolved: Some(plan.from.to_string()),
            ..Facts::default()
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
        let done = adapt(&lookups, bundle, steps).await;
        for told in lookups.take_told() {
            job.log(told);
        }
        let done = done?;
        for note in &done.notes {
            job.log(note);
        }
        let (mut files, done, diff) = blocking(move || -> Result<_, StageError> {
            let diff = FilesDiff::between(&files, &done);
            Ok((files, done, diff))
        })
        .await?;
        let text = diff.to_string();
        for line in text.lines().take(DIFF_LINES) {
            job.log(line);
        }
        if text.lines().nth(DIFF_LINES).is_some() {
            job.log("…: all of it is what `GET /api/v1/builds/<id>/diff` answers");
        }
        let changed = done.files.into_iter();
        files.extend(changed.map(|(file, text)| (file, text.into_bytes())));
        let layer = store(job, files, plan.output_format).await?;
        // A tag may have moved since another attempt asked for it: what is kept for users has to be of the attempt
        // that counts.
        job.renew().await?;
        let (id, artifacts) = (job.record.id, job.deps.artifacts.clone());
        write_json(&*artifacts, &ArtifactKey::changes(id), &diff).await?;
        if let Some(bundles) = &done.related_bundles {
            write_json(&*artifacts, &ArtifactKey::related_bundles(id), bundles).await?;
        }
        Ok(Built {
            layers: vec![layer],
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
        let images = images(&*from, &plan, &layer, labels).await?;
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
        layer: packed.descriptor(format),
        diff_id: packed.diff_id,
        holds: CONTENT.to_owned(),
        unknown: Unknown::default(),
    })
}
