//! The first stage: everything that is named by a tag becomes a digest, and everything the later
//! stages have to know about the images is settled (worker flows §4 and §7).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{Arch, ImageConfig, Pinned, PullSpec};
use iib_ports::Registry;
use iib_request::{
    AddRequest, Facts, IndexForm, IndexPlan, IndexToRead, PinnedBundle, Plan, Request, Scope,
    ScopeError, Stage, Task, Unknown, Update,
};

use crate::binary_image::{self, SCRATCH};
use crate::image::{self, Image};
use crate::stage::{self, Finished, Job, Verdict, Work};
use crate::{Deps, StageError};

/// Bundles looked up at the same time: enough to hide the round trips, few enough not to be
/// throttled.
const LOOKUPS: usize = 8;

/// Version of an index without the label, and of none (worker flows §4.1).
const DEFAULT_VERSION: &str = "v4.5";

/// Label with the version of an index.
pub(crate) const VERSION_LABEL: &str = "com.redhat.index.delivery.version";
/// Label with the scope of an index.
pub(crate) const SCOPE_LABEL: &str = "com.redhat.index.delivery.distribution_scope";
/// Label with the path of the database.
pub(crate) const DATABASE_LABEL: &str = "operators.operatorframework.io.index.database.v1";
/// Label that only file-based indexes have.
pub(crate) const CONFIGS_LABEL: &str = "operators.operatorframework.io.index.configs.v1";
/// Label with the package of a bundle.
pub(crate) const PACKAGE_LABEL: &str = "operators.operatorframework.io.bundle.package.v1";

/// Handles one message of the pin queue.
pub async fn run(deps: &Deps, task: &Task) -> Verdict {
    stage::run(deps, task, &PinWork).await
}

struct PinWork;

#[async_trait]
impl Work for PinWork {
    fn stage(&self) -> Stage {
        Stage::Pin
    }

    async fn run(&self, job: &mut Job<'_>) -> Result<Finished, StageError> {
        match job.record.request.clone() {
            Request::Add(add) => pin_add(job, &add).await,
        }
    }
}

async fn pin_add(job: &mut Job<'_>, add: &AddRequest) -> Result<Finished, StageError> {
    let not_built = add.not_built();
    if !not_built.is_empty() {
        let names: Vec<String> = not_built.iter().map(|name| format!("\"{name}\"")).collect();
        return Err(StageError::NotBuilt(names.join(", ")));
    }
    let registry = job.deps.registry.clone();
    job.update(Update::doing("Resolving the bundles")).await?;
    let mut bundles = resolve_bundles(&*registry, &add.bundles).await?;

    job.update(Update::doing("Resolving the container images"))
        .await?;
    let index = match &add.from_index {
        Some(text) => Some(look_at_index(&*registry, &pull_spec("from_index", text)?).await?),
        None => None,
    };
    let (label, version) = index.as_ref().map_or((None, DEFAULT_VERSION), |index| {
        (index.scope.as_deref(), index.version.as_str())
    });
    let scope = Scope::settle(label, add.distribution_scope).map_err(|source| match &index {
        Some(index) if matches!(source, ScopeError::Unknown(_)) => StageError::ScopeLabel {
            image: index.read.resolved.to_string(),
            source,
        },
        _ => StageError::Scope(source),
    })?;
    let binary_image = binary_image::settle(
        add.binary_image.as_deref(),
        &job.deps.work.binary_images,
        scope,
        version,
    )?;
    let index_arches = index
        .as_ref()
        .map(|index| index.arches.clone())
        .unwrap_or_default();
    let (binary_image_resolved, binary_images) =
        find_binary_images(&*registry, &binary_image, index_arches, &add.add_arches).await?;
    label_bundles(&*registry, &mut bundles).await?;

    let arches: Vec<String> = binary_images.keys().map(ToString::to_string).collect();
    let building = format!(
        "Building the index image for the following arches: {}",
        arches.join(", ")
    );
    let update = Update::doing(building).with(Facts {
        binary_image: Some(binary_image),
        binary_image_resolved: Some(binary_image_resolved),
        distribution_scope: Some(scope),
        from_index_resolved: index.as_ref().map(|index| index.read.resolved.to_string()),
        bundle_mapping: Some(mapping(&bundles)).filter(|mapping| !mapping.is_empty()),
        ..Facts::default()
    });
    let plan = IndexPlan {
        bundles,
        version: version.to_owned(),
        from: index.map(|index| index.read),
        bases: binary_images,
        scope,
        unknown: Unknown::default(),
    };
    Ok(Finished {
        update,
        plan: Some(Plan::Index(plan)),
        built: None,
    })
}

/// Resolves the bundles, keeping their order.
async fn resolve_bundles(
    registry: &dyn Registry,
    texts: &[String],
) -> Result<Vec<PinnedBundle>, StageError> {
    let lookups: Vec<_> = texts
        .iter()
        .map(|text| resolve_bundle(registry, text))
        .collect();
    stream::iter(lookups).buffered(LOOKUPS).try_collect().await
}

async fn resolve_bundle(registry: &dyn Registry, text: &str) -> Result<PinnedBundle, StageError> {
    let image = image::resolve(registry, &pull_spec("bundles", text)?).await?;
    // A list stands for its first entry, as in the reference (worker flows §4).
    let first = image
        .variants
        .first()
        .ok_or_else(|| StageError::EmptyList(text.to_owned()))?;
    Ok(PinnedBundle {
        requested: text.to_owned(),
        pinned: first.pinned.clone(),
        package: None,
        unknown: Unknown::default(),
    })
}

/// Reads the package label of each bundle.
async fn label_bundles(
    registry: &dyn Registry,
    bundles: &mut [PinnedBundle],
) -> Result<(), StageError> {
    let lookups: Vec<_> = bundles
        .iter()
        .map(|bundle| package_label(registry, &bundle.pinned))
        .collect();
    let packages: Vec<Option<String>> = stream::iter(lookups)
        .buffered(LOOKUPS)
        .try_collect()
        .await?;
    for (bundle, package) in bundles.iter_mut().zip(packages) {
        bundle.package = package.filter(|package| !package.is_empty());
    }
    Ok(())
}

async fn package_label(
    registry: &dyn Registry,
    image: &Pinned,
) -> Result<Option<String>, StageError> {
    let (_, config) = image::config(registry, image).await?;
    Ok(label(&config, PACKAGE_LABEL).map(ToOwned::to_owned))
}

/// Package to bundles as requested; unlabelled ones are left out (worker flows §4.5).
fn mapping(bundles: &[PinnedBundle]) -> BTreeMap<String, Vec<String>> {
    let mut mapping: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for bundle in bundles {
        if let Some(package) = &bundle.package {
            mapping
                .entry(package.clone())
                .or_default()
                .push(bundle.requested.clone());
        }
    }
    mapping
}

/// What is known about the input index.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) read: IndexToRead,
    pub(crate) arches: BTreeSet<Arch>,
    pub(crate) version: String,
    pub(crate) scope: Option<String>,
}

/// Looks an index up: digest, architectures, labels.
pub(crate) async fn look_at_index(
    registry: &dyn Registry,
    spec: &PullSpec,
) -> Result<Index, StageError> {
    let text = spec.as_str();
    let image: Image = image::resolve(registry, spec).await?;
    let arches = image.by_arch(registry).await?.into_keys().collect();
    let variant = image.any()?;
    let (_, config) = image::config(registry, &variant.pinned).await?;
    let Some(path) = label(&config, DATABASE_LABEL) else {
        return Err(match label(&config, CONFIGS_LABEL) {
            Some(_) => StageError::FileBased(text.to_owned()),
            None => StageError::NoDatabaseLabel(text.to_owned()),
        });
    };
    Ok(Index {
        read: IndexToRead {
            resolved: image.resolved.clone(),
            image: variant.pinned.clone(),
            form: IndexForm::Database(database_path(text, path)?),
            unknown: Unknown::default(),
        },
        arches,
        version: label(&config, VERSION_LABEL)
            .unwrap_or(DEFAULT_VERSION)
            .to_owned(),
        scope: label(&config, SCOPE_LABEL).map(ToOwned::to_owned),
    })
}

/// The path of the database inside the image: absolute in the label, relative in layers.
fn database_path(image: &str, path: &str) -> Result<String, StageError> {
    let relative = path.trim_start_matches('/');
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if relative.split('/').all(plain) {
        return Ok(relative.to_owned());
    }
    Err(StageError::DatabasePath {
        image: image.to_owned(),
        path: path.to_owned(),
    })
}

/// The binary image pinned, and the image of each architecture to build on.
async fn find_binary_images(
    registry: &dyn Registry,
    binary_image: &str,
    mut wanted: BTreeSet<Arch>,
    add_arches: &[String],
) -> Result<(String, BTreeMap<Arch, Option<Pinned>>), StageError> {
    if binary_image == SCRATCH {
        // Without a binary there is nothing that runs on one architecture only.
        return Ok((SCRATCH.to_owned(), BTreeMap::from([(Arch::amd64(), None)])));
    }
    for arch in add_arches {
        wanted.insert(arch.parse().map_err(|source| StageError::Arch {
            image: "\"add_arches\"".to_owned(),
            source,
        })?);
    }
    let spec = pull_spec("binary_image", binary_image)?;
    let image = image::resolve(registry, &spec).await?;
    if wanted.is_empty() {
        return Err(StageError::NoArches);
    }
    let mut available = image.by_arch(registry).await?;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|arch| !available.contains_key(*arch))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Err(StageError::MissingArches(missing.join(", ")));
    }
    available.retain(|arch, _| wanted.contains(arch));
    let images = available
        .into_iter()
        .map(|(arch, pinned)| (arch, Some(pinned)))
        .collect();
    Ok((image.resolved.to_string(), images))
}

fn label<'a>(config: &'a ImageConfig, name: &str) -> Option<&'a str> {
    config.labels().get(name).map(String::as_str)
}

fn pull_spec(field: &'static str, text: &str) -> Result<PullSpec, StageError> {
    text.parse()
        .map_err(|source| StageError::PullSpec { field, source })
}
