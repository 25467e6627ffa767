//! What an index request starts from: its index, its binary image, its scope and architectures
//! (worker flows §4).

use std::collections::BTreeSet;

use iib_oci::{Arch, Descriptor, PullSpec, Reference};
use iib_ports::Registry;
use iib_request::{
    BinaryImages, Facts, IndexForm, IndexPlan, IndexToOverwrite, IndexToRead, Scope, ScopeError,
    Unknown, Update, created_after, settle_binary_image,
};
use jiff::Timestamp;

use super::binary_image::{self, Bases};
use crate::image::{self, Image};
use crate::job::Job;
use crate::labels::{self, label};
use crate::transfer::check_size;
use crate::{ImageError, IndexError, InputError, StageError};

/// Version of an index without the label, and of none (worker flows §4.1).
pub(crate) const DEFAULT_VERSION: &str = "v4.5";

/// What is told while the inputs are looked up (worker flows §4).
pub(crate) const RESOLVING: &str = "Resolving the container images";

/// The indexes of a merge.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The one that is merged.
    pub source: &'a str,
    /// The one that it is merged into.
    pub target: Option<&'a str>,
}

/// What a request says of its inputs.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The index that it changes.
    pub from_index: Option<&'a str>,
    /// What is merged into something, in place of `from_index`.
    pub merge: Option<Merge<'a>>,
    /// The image to build on.
    pub binary_image: Option<&'a str>,
    /// The scope of the new index.
    pub distribution_scope: Option<Scope>,
    /// Architectures to build for besides those of the index.
    pub add_arches: &'a [String],
}

/// What the inputs of a request turned out to be.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The index to start from.
    pub(crate) index: Option<Index>,
    /// The index that it is merged into.
    pub(crate) target: Option<Index>,
    /// Version of the new index.
    pub(crate) version: String,
    /// Scope of the new index.
    pub(crate) scope: Scope,
    /// The images to build on.
    pub(crate) bases: Bases,
    /// What there is to tell of all that.
    pub(crate) facts: Facts,
}

impl Inputs {
    /// Looks up what is asked for, and settles what follows from it.
    ///
    /// # Errors
    /// [`StageError`], with the texts of worker flows §4.
    pub(crate) async fn settle(
        registry: &dyn Registry,
        binary_images: &BinaryImages,
        asked: &Asked<'_>,
    ) -> Result<Self, StageError> {
        let look = async |field, text: Option<&str>| match text {
            Some(text) => {
                let spec = pull_spec(field, text)?;
                Ok::<_, StageError>(Some(look_at_index(registry, &spec).await?))
            }
            None => Ok(None),
        };
        let (index, target) = match asked.merge {
            None => (look("from_index", asked.from_index).await?, None),
            Some(Merge { source, target }) => (
                look("source_from_index", Some(source)).await?,
                look("target_index", target).await?,
            ),
        };
        let leading = target.as_ref().or(index.as_ref());
        let version = leading.map(|index| index.version.clone());
        let version = version.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
        let scope = settle_scope(leading, asked.distribution_scope)?;
        let binary_image =
            settle_binary_image(asked.binary_image, binary_images, scope.as_str(), &version)
                .map_err(InputError::from)?;
        let arches = index.iter().chain(&target);
        let arches = arches.flat_map(|index| index.arches.clone()).collect();
        let found = binary_image::find(registry, &binary_image, arches, asked.add_arches).await?;
        let (binary_image_resolved, bases) = found;
        let resolved = |index: &Option<Index>| {
            let index = index.as_ref();
            index.map(|index| index.read.resolved.to_string())
        };
        let facts = Facts {
            binary_image: Some(binary_image),
            binary_image_resolved: Some(binary_image_resolved),
            distribution_scope: Some(scope.to_string()),
            ..Facts::default()
        };
        let facts = match asked.merge {
            None => Facts {
                from_index_resolved: resolved(&index),
                ..facts
            },
            Some(_) => Facts {
                source_from_index_resolved: resolved(&index),
                target_index_resolved: resolved(&target),
                ..facts
            },
        };
        Ok(Self {
            index,
            target,
            version,
            scope,
            bases,
            facts,
        })
    }
}

/// Settles everything about the inputs. The plan has no bundles yet.
///
/// # Errors
/// Those of [`Inputs::settle`]; [`InputError::NoTag`].
pub(crate) async fn prepare(
    job: &mut Job<'_>,
    asked: &Asked<'_>,
) -> Result<(IndexPlan, Facts), StageError> {
    let registry = job.registry().await?;
    job.update(Update::doing(RESOLVING)).await?;
    let looked_up = job.deps.clock.now();
    let inputs = Inputs::settle(&*registry, &job.deps.work.binary_images, asked).await?;
    let Inputs { index, target, .. } = inputs;
    for index in index.iter().chain(&target) {
        index.check_size(job.deps.work.max_index_bytes)?;
    }
    // A merge is as young as the younger one of both.
    let youngest = index.iter().chain(&target);
    let youngest = youngest.map(|index| index.created).max();
    let overwritten = job.record.request.overwritten().map(str::to_owned);
    let created = youngest.map(|created| created_after(created, overwritten.is_some()));
    let overwrite = match (overwritten, target.as_ref().or(index.as_ref())) {
        (Some(requested), Some(index)) => {
            let spec = pull_spec("from_index", &requested)?;
            if !matches!(spec.reference(), Reference::Tag(_)) {
                return Err(InputError::NoTag(requested).into());
            }
            Some(IndexToOverwrite {
                requested,
                digest: index.read.resolved.digest().clone(),
                unknown: Unknown::default(),
            })
        }
        _ => None,
    };
    let plan = IndexPlan {
        from: index.map(|index| index.read),
        into: target.map(|index| index.read),
        overwrite,
        bundles: Vec::new(),
        deprecate: Vec::new(),
        fragments: Vec::new(),
        bases: inputs.bases,
        version: inputs.version,
        scope: inputs.scope,
        looked_up: Some(looked_up),
        created: created.unwrap_or_default(),
        output_format: (job.record.request.output_format()).unwrap_or(job.deps.work.output_format),
        unknown: Unknown::default(),
    };
    Ok((plan, inputs.facts))
}

/// The change with which pin ends: what it found, and what is built now.
pub(crate) fn building(plan: &IndexPlan, facts: Facts) -> Update {
    let arches: Vec<&str> = plan.bases.keys().map(Arch::as_str).collect();
    let arches = arches.join(", ");
    Update::doing(format!(
        "Building the index image for the following arches: {arches}"
    ))
    .with(facts)
}

fn settle_scope(index: Option<&Index>, wanted: Option<Scope>) -> Result<Scope, StageError> {
    let label = index.and_then(|index| index.scope.as_deref());
    Scope::settle(label, wanted).map_err(|source| match index {
        Some(index) if matches!(source, ScopeError::Unknown(_)) => IndexError::ScopeLabel {
            image: index.read.resolved.to_string(),
            source,
        }
        .into(),
        _ => InputError::Scope(source).into(),
    })
}

/// What is known about the input index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) read: IndexToRead,
    /// The path of its database; one with a catalog may have a label for it, too.
    pub(crate) database: Option<String>,
    pub(crate) arches: BTreeSet<Arch>,
    pub(crate) version: String,
    pub(crate) scope: Option<String>,
    /// When it was created, if it says so: the image of the first of its architectures.
    pub(crate) created: Option<Timestamp>,
    /// The layer of `read.image` that is read first.
    top: Option<Descriptor>,
}

impl Index {
    /// Refuses what could not be unpacked anyhow, before any of it is fetched. Only the compressed size is known yet.
    ///
    /// # Errors
    /// [`ImageError::Layer`].
    fn check_size(&self, limit: u64) -> Result<(), ImageError> {
        let image = self.read.image.to_string();
        self.top
            .iter()
            .try_for_each(|layer| check_size(&image, layer, limit))
    }
}

/// Looks an index up: digest, architectures, labels.
pub(crate) async fn look_at_index(
    registry: &dyn Registry,
    spec: &PullSpec,
) -> Result<Index, StageError> {
    let text = spec.as_str();
    let image: Image = image::resolve(registry, spec).await?;
    let images = image.by_arch(registry).await?;
    let variant = image.any()?;
    let (manifest, config) = image::config(registry, &variant.pinned).await?;
    let database = label(&config, labels::DATABASE);
    let database = database.map(|path| path_in_image(text, "database", path, path));
    let database = database.transpose()?;
    let catalog = label(&config, labels::CONFIGS);
    let catalog = catalog.map(|path| catalog_in_image(text, path));
    let form = match (catalog.transpose()?, &database) {
        (Some(path), _) => IndexForm::Catalog(path),
        (None, Some(path)) => IndexForm::Database(path.clone()),
        (None, None) => return Err(IndexError::NoDatabaseLabel(text.to_owned()).into()),
    };
    let created = match images.values().next() {
        Some(first) if *first != variant.pinned => {
            image::config(registry, first).await?.1.created()
        }
        Some(_) | None => config.created(),
    };
    Ok(Index {
        created,
        top: manifest.layers.last().cloned(),
        arches: images.into_keys().collect(),
        read: IndexToRead {
            resolved: image.resolved.clone(),
            image: variant.pinned.clone(),
            hidden: match form {
                IndexForm::Catalog(_) => database.clone(),
                IndexForm::Database(_) => None,
            },
            form,
            unknown: Unknown::default(),
        },
        database,
        version: label(&config, labels::VERSION)
            .unwrap_or(DEFAULT_VERSION)
            .to_owned(),
        scope: label(&config, labels::SCOPE).map(ToOwned::to_owned),
    })
}

/// Where the label of an image says that its catalog is.
///
/// # Errors
/// [`IndexError::LabelPath`].
pub(crate) fn catalog_in_image(image: &str, label: &str) -> Result<String, IndexError> {
    path_in_image(image, "catalog", label, label.trim_end_matches('/'))
}

/// A path of `what` inside the image: absolute in the label, relative in layers.
fn path_in_image(
    image: &str,
    what: &'static str,
    label: &str,
    path: &str,
) -> Result<String, IndexError> {
    let relative = path.trim_start_matches('/');
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if relative.split('/').all(plain) {
        return Ok(relative.to_owned());
    }
    Err(IndexError::LabelPath {
        image: image.to_owned(),
        what,
        path: label.to_owned(),
    })
}

/// A pull spec in a parameter of the request.
///
/// # Errors
/// [`InputError::PullSpec`] naming the parameter.
pub(crate) fn pull_spec(field: &'static str, text: &str) -> Result<PullSpec, InputError> {
    text.parse()
        .map_err(|source| InputError::PullSpec { field, source })
}
