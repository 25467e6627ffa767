//! Pushing an index: an image for each architecture, a manifest list over them, the tags (worker
//! flows §5 and §6).

use std::collections::BTreeMap;

use iib_oci::{PullSpec, RawManifest, Reference, RunSettings};
use iib_ports::BlobSource;
use iib_request::{Built, Facts, IndexPlan, Serves, State, Update, arch_tag};

use super::overwrite::{Place, Target};
use super::places;
use super::tags;
use crate::flow::Pushed;
use crate::git;
use crate::job::Job;
use crate::layered::{
    Base, Edit, LayeredImage, StoredLayer, TopLayer, manifest_list, push_images, push_list,
};
use crate::output::{self, output};
use crate::{StageError, WorkError, labels};

/// What the kinds of index requests do differently when their result is pushed.
pub(crate) struct Push<'a> {
    /// Labels besides those of every index, which win over them.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// Tags of the result besides the request's number.
    pub(crate) build_tags: &'a [String],
    /// Under which names the result is told.
    pub(crate) naming: Naming,
}

/// Under which names a result is told (worker flows §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Its own, pinned or not; and the same as the service's copy, for requests that may overwrite.
    WithCopy,
    /// Its own. The pinned name is no part of what is told, because the reference does not tell it,
    /// but the API shows it.
    Plain,
    /// The same, of which nothing is told before (worker flows §5.3).
    Merged,
}

impl<'a> Push<'a> {
    /// A result that may take the place of its index, with no labels of its own.
    pub(crate) fn with_copy(build_tags: &'a [String]) -> Self {
        Self {
            labels: &NO_LABELS,
            build_tags,
            naming: Naming::WithCopy,
        }
    }
}

/// The labels of a result that has none of its own.
static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl Push<'_> {
    /// Pushes what was built. What comes back ends the request.
    ///
    /// # Errors
    /// [`crate::ImageError::Registry`]; [`WorkError::Incomplete`] for a record that lacks something.
    pub(crate) async fn run(&self, job: &mut Job<'_>) -> Result<Pushed, StageError> {
        let plan = job.index_plan()?;
        let built = job.record.built.clone();
        let built = built.ok_or(WorkError::Incomplete("mutate"))?;
        let output = output(&job.deps.work, &job.record.id.to_string())?;
        let made = self.images(job, &plan, built).await?;
        let list = manifest_list(plan.output_format, &made.images)?;
        let target = match &plan.overwrite {
            Some(overwrite) => {
                // Not what is merged (worker flows §9).
                let in_git = self.naming == Naming::WithCopy;
                Some(Target::new(job, overwrite, &list, &output, in_git).await?)
            }
            None => None,
        };
        // Before anything is pushed that would take the place of another one's. From here on what is under
        // the number of the request is its own.
        output::claim(job, &output, &list).await?;
        // Before anything is moved: most that changes has changed by now.
        let is_over = match &target {
            None => true,
            Some(target) => match target.look(job).await? {
                Place::Unmoved => false,
                Place::Moved => {
                    // An attempt before this one may have come further.
                    git::settle_job(job).await?;
                    return Ok(Pushed::Rebase);
                }
                Place::MovedOn => true,
            },
        };
        let own = &job.deps.registry;
        let layer = (&made.layer, &made.content as &dyn BlobSource);
        push_images(&**own, own, &output, &made.images, layer, |image| {
            Reference::Tag(arch_tag(&output, &image.arch))
        })
        .await?;
        self.move_tags(job, &output, &list).await?;
        if let Some(target) = &target
            && !is_over
            && !target.overwrite(job, &made, &list, &output).await?
        {
            return Ok(Pushed::Rebase);
        }
        let names = Names::of(job, target.as_ref(), &output, &list);
        self.tell(job, &made.images, names).await?;
        let closing = Update::state(State::Complete, job.record.request.closing());
        Ok(Pushed::Done(Box::new(closing)))
    }

    /// Puts the images together.
    async fn images(
        &self,
        job: &Job<'_>,
        plan: &IndexPlan,
        Built { layers, serves, .. }: Built,
    ) -> Result<Made, StageError> {
        let registry = &job.deps.registry;
        let built = layers.into_iter().next();
        let built = built.ok_or(WorkError::Incomplete("mutate"))?;
        let (layer, content) = StoredLayer::of(built, &job.deps.artifacts)?;
        let (form, run) = match serves {
            Serves::Database => (labels::DATABASE, RunSettings::serve_database()),
            Serves::Catalog => (labels::CONFIGS, RunSettings::serve_catalog()),
        };
        let mut labels = BTreeMap::from([
            (form.to_owned(), places::of(serves).to_owned()),
            (labels::VERSION.to_owned(), plan.version.clone()),
            (labels::SCOPE.to_owned(), plan.scope.to_string()),
        ]);
        labels.extend(self.labels.clone());
        let mut images = Vec::new();
        for (arch, binary_image) in &plan.bases {
            let base = match binary_image {
                Some(image) => Base::image(&**registry, image).await?,
                None => Base::scratch(arch),
            };
            let edit = Edit {
                layer_content: places::of(serves),
                labels: labels.clone(),
                // Without a binary image there is no program to run.
                run: (binary_image.is_some()).then(|| run.clone()),
                created: plan.created,
                format: plan.output_format,
            };
            images.push(LayeredImage::on(base, arch, &layer, &edit)?);
        }
        Ok(Made {
            images,
            layer,
            content,
        })
    }

    /// Puts the list under the request's number and its build tags.
    async fn move_tags(
        &self,
        job: &mut Job<'_>,
        output: &PullSpec,
        list: &RawManifest,
    ) -> Result<(), StageError> {
        let began_before = job.record.tags_before.is_some();
        let tags_before = match &job.record.tags_before {
            Some(noted) => noted.clone(),
            None => tags::named(job, self.build_tags).await?,
        };
        let update = match self.naming {
            Naming::Merged => Update::default(),
            Naming::WithCopy | Naming::Plain => Update::doing("Creating the manifest list"),
        };
        job.update_and(update, |record| {
            record.tags_before = Some(tags_before.clone());
        })
        .await?;
        output::check_free(job, output, list).await?;
        let registry = job.deps.registry.clone();
        push_list(&*registry, output, list).await?;
        for tag in self.build_tags {
            if began_before && tags::was_moved(job, tag, &list.digest()).await? {
                job.log(format!(
                    "the tag {tag} was moved by somebody else meanwhile and is left where it is"
                ));
                continue;
            }
            // Whoever takes this request over may move the tag, too, and so may newer requests then.
            job.renew().await?;
            push_list(
                &*registry,
                &crate::output::output(&job.deps.work, tag)?,
                list,
            )
            .await?;
        }
        Ok(())
    }

    /// Notes under which names the result is found.
    async fn tell(
        &self,
        job: &mut Job<'_>,
        images: &[LayeredImage],
        names: Names,
    ) -> Result<(), StageError> {
        let resolved = Facts {
            index_image_resolved: Some(names.resolved),
            ..Facts::default()
        };
        let told = Facts {
            arches: Some(images.iter().map(|image| image.arch.to_string()).collect()),
            index_image: Some(names.shown),
            ..Facts::default()
        };
        let told = match self.naming {
            Naming::Plain | Naming::Merged => told,
            Naming::WithCopy => Facts {
                index_image_resolved: resolved.index_image_resolved.clone(),
                internal_index_image_copy_resolved: Some(names.copy_resolved),
                internal_index_image_copy: Some(names.copy),
                ..told
            },
        };
        let update = Update::default().with(told);
        job.update_and(update, |record| record.facts.merge(&resolved))
            .await
    }
}

/// What is pushed.
pub(super) struct Made {
    pub(super) images: Vec<LayeredImage>,
    pub(super) layer: TopLayer,
    pub(super) content: StoredLayer,
}

/// The names of a result (worker flows §6).
struct Names {
    /// As users see it: the index that was overwritten, else the output under the name that they know.
    shown: String,
    resolved: String,
    /// The output.
    copy: String,
    copy_resolved: String,
}

impl Names {
    fn of(
        job: &Job<'_>,
        target: Option<&Target<'_>>,
        output: &PullSpec,
        list: &RawManifest,
    ) -> Self {
        let copy = output.to_string();
        let digest = list.digest();
        let pinned = |name: &str| match name.rsplit_once(':') {
            Some((repository, _)) => format!("{repository}@{digest}"),
            None => name.to_owned(),
        };
        let (shown, resolved) = match target {
            Some(target) => target.names(&digest),
            None => {
                let shown = job.deps.work.shown_name(&copy);
                let resolved = pinned(&shown);
                (shown, resolved)
            }
        };
        Self {
            copy_resolved: pinned(&copy),
            shown,
            resolved,
            copy,
        }
    }
}
