//! The second stage: the bundles go into the database, the database into a layer (worker flows
//! §7.4, §7.5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures::{StreamExt, TryFutureExt, stream};
use iib_bundle::{Bundle, BundleFiles, Typed};
use iib_catalog::{AddOptions, AlphaFeatures, Mode, Overwrite};
use iib_oci::{Descriptor, Digest, MediaType, Pinned, PullSpec};
use iib_ports::{ArtifactKey, IndexDbError, PresentBundle};
use iib_request::{
    AddRequest, Built, BuiltLayer, IndexPlan, PinnedBundle, Plan, Request, Scope, Stage, Task,
    Unknown, Update,
};

use crate::changes::Changes;
use crate::contents::{InputLayer, fetch_database, read_bundle};
use crate::index_image::pack_database;
use crate::stage::{self, Finished, Job, Verdict, Work};
use crate::transfer::{blocking, write_artifact};
use crate::{Deps, StageError};

/// Bundles read at the same time: they are small, but each is held in memory.
const READS: usize = 4;

/// Where the database is in every index image made here, and what its label says.
pub(crate) const DATABASE_PATH: &str = "/database/index.db";

/// Handles one message of the mutate queue.
pub async fn run(deps: &Deps, task: &Task) -> Verdict {
    stage::run(deps, task, &MutateWork).await
}

struct MutateWork;

#[async_trait]
impl Work for MutateWork {
    fn stage(&self) -> Stage {
        Stage::Mutate
    }

    async fn run(&self, job: &mut Job<'_>) -> Result<Finished, StageError> {
        match job.record.request.clone() {
            Request::Add(add) => mutate_add(job, &add).await,
        }
    }
}

async fn mutate_add(job: &mut Job<'_>, add: &AddRequest) -> Result<Finished, StageError> {
    let plan = job.record.plan.clone();
    let Plan::Index(plan) = plan.ok_or(StageError::Incomplete("pin"))?;
    if plan.from.is_some() {
        let doing = "Checking if bundles are already present in index image";
        job.update(Update::doing(doing)).await?;
    }
    let folder = tempfile::Builder::new()
        .prefix("iib-mutate-")
        .tempdir_in(&job.deps.scratch)
        .map_err(|source| StageError::Scratch {
            action: "created",
            source,
        })?;
    let database = folder.path().join("index.db");
    let wanted = distinct(&plan.bundles);
    let (input, contents) = futures::try_join!(
        fetch_input(job.deps, &plan, &database),
        read_bundles(job.deps, &wanted).map_err(|never| match never {})
    )?;

    let present = present_packages(job, &plan, &database).await?;
    let mut packages = BTreeSet::new();
    let mut missing = Vec::new();
    for (pinned, content) in wanted.into_iter().zip(contents) {
        if let Some(served_in) = present.get(pinned.digest()) {
            packages.extend(served_in.iter().cloned());
            job.log(format!("{pinned} is in the index already and is left out"))
                .await;
            continue;
        }
        missing.push((pinned, content?));
    }
    let bundles: Vec<Bundle> = blocking(move || {
        missing
            .iter()
            .map(|(pinned, files)| read(pinned, files))
            .collect()
    })
    .await?;
    for bundle in &bundles {
        for file in &bundle.passed_over {
            job.log(format!("{}: {file}; the file is passed over", bundle.image))
                .await;
        }
    }
    packages.extend(bundles.iter().map(|bundle| bundle.package.clone()));
    let options = options(add, &plan)?;
    let changes = add_to(job, &plan, &database, bundles, packages, options).await?;
    // Before the record goes on, so that a request which is complete always has its changes.
    changes.keep(&*job.deps.artifacts, job.record.id).await?;
    let layer = write_layer(job, &database, input).await?;
    Ok(Finished {
        built: Some(Built {
            layers: vec![layer],
            unknown: Unknown::default(),
        }),
        ..Finished::default()
    })
}

/// The images to read, each once: several pull specs may name the same one.
fn distinct(bundles: &[PinnedBundle]) -> Vec<Pinned> {
    let mut seen = BTreeSet::new();
    bundles
        .iter()
        .map(|bundle| &bundle.pinned)
        .filter(|pinned| seen.insert(pinned.digest().clone()))
        .cloned()
        .collect()
}

async fn fetch_input(
    deps: &Deps,
    plan: &IndexPlan,
    database: &Path,
) -> Result<Option<InputLayer>, StageError> {
    match &plan.from {
        Some(index) => {
            fetch_database(&*deps.registry, index, database, deps.work.max_index_bytes).await
        }
        None => Ok(None),
    }
}

type Contents = Vec<Result<BundleFiles, StageError>>;

/// Reads all bundles while the index still downloads. One that cannot be read matters only if
/// it turns out not to be in the index already, so failures are kept, not returned. All that is
/// kept together has the limit of a single bundle, because it is in memory at the same time.
async fn read_bundles(
    deps: &Deps,
    wanted: &[Pinned],
) -> Result<Contents, std::convert::Infallible> {
    let limit = deps.work.max_bundle_bytes;
    let registry = &*deps.registry;
    let specs: Vec<PullSpec> = wanted.iter().map(Pinned::to_pull_spec).collect();
    let reads: Vec<_> = specs
        .iter()
        .map(|spec| read_bundle(registry, spec, limit))
        .collect();
    let mut reads = stream::iter(reads).buffered(READS);
    let (mut held, mut contents) = (0, Vec::new());
    while let Some(read) = reads.next().await {
        contents.push(read.and_then(|files| {
            held += size(&files);
            if held > limit {
                Err(StageError::BundlesTooLarge { limit })
            } else {
                Ok(files)
            }
        }));
    }
    Ok(contents)
}

fn size(files: &BundleFiles) -> u64 {
    let metadata = files.metadata.iter().flat_map(|files| files.values());
    files
        .manifests
        .values()
        .chain(metadata)
        .map(|content| content.len() as u64)
        .sum()
}

/// The packages of the bundles in the index by the bundles' digests, whatever name those are under
/// (worker flows §7.4).
async fn present_packages(
    job: &Job<'_>,
    plan: &IndexPlan,
    database: &Path,
) -> Result<BTreeMap<Digest, BTreeSet<String>>, StageError> {
    let Some(index) = &plan.from else {
        return Ok(BTreeMap::new());
    };
    let (index_db, database) = (job.deps.index_db.clone(), database.to_owned());
    let image = index.resolved.to_string();
    let bundles: Vec<PresentBundle> = blocking(move || {
        index_db
            .bundles(&database)
            .map_err(|source| StageError::IndexDb { image, source })
    })
    .await?;
    let mut packages: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
    for bundle in bundles {
        let digest = bundle.image.rsplit_once('@');
        if let Some(digest) = digest.and_then(|(_, digest)| digest.parse().ok()) {
            packages.entry(digest).or_default().insert(bundle.package);
        }
    }
    Ok(packages)
}

fn read(pinned: &Pinned, files: &BundleFiles) -> Result<Bundle, StageError> {
    let image = pinned.to_string();
    Bundle::read(&image, files).map_err(|source| StageError::Bundle { image, source })
}

/// The property that says up to which platform a bundle works (worker flows §11).
const MAX_VERSION: &str = "olm.maxOpenShiftVersion";
/// The last platform with the APIs that 4.9 removed; a bare number, as the reference has it.
const LAST_WITH_BETA_APIS: &str = "4.8";

fn options(add: &AddRequest, plan: &IndexPlan) -> Result<AddOptions, StageError> {
    // Below `prod`, an index may be changed where it is released already (worker flows §7.5).
    let overwrite = match plan.scope {
        Scope::Prod => Overwrite::Refuse,
        Scope::Stage | Scope::Dev => Overwrite::Latest,
    };
    let mode = match &add.graph_update_mode {
        // The settings may allow a mode that nobody knows.
        Some(mode) => mode
            .parse()
            .map_err(|mode| StageError::Add(IndexDbError::UnknownMode(mode)))?,
        None => Mode::Replaces,
    };
    Ok(AddOptions {
        mode,
        overwrite,
        alpha: AlphaFeatures::On,
    })
}

/// Adds the bundles, and says what changed and how these packages are now.
async fn add_to(
    job: &Job<'_>,
    plan: &IndexPlan,
    database: &Path,
    bundles: Vec<Bundle>,
    packages: BTreeSet<String>,
    options: AddOptions,
) -> Result<Changes, StageError> {
    let image = plan.from.as_ref().map(|index| index.resolved.to_string());
    let (index_db, database) = (job.deps.index_db.clone(), database.to_owned());
    let (limited, limited_names): (Vec<String>, Vec<String>) = bundles
        .iter()
        .filter(|bundle| bundle.needs_max_version)
        .map(|bundle| (bundle.image.clone(), bundle.name.clone()))
        .unzip();
    for bundle in &limited {
        job.log(format!(
            "{bundle} uses APIs that platform 4.9 removed, and gets {MAX_VERSION} \
             {LAST_WITH_BETA_APIS}"
        ))
        .await;
    }
    let changes = blocking(move || {
        let report = index_db.add(&database, &bundles, &options);
        let limit = Typed {
            kind: MAX_VERSION.to_owned(),
            value: LAST_WITH_BETA_APIS.to_owned(),
        };
        let (diff, pictures) = report
            .and_then(|mut report| {
                index_db.add_property(&database, &limited, &limit)?;
                for name in &limited_names {
                    let changes = &mut report.changes;
                    changes.note_property(name, &limit.kind, &limit.value);
                }
                Ok((report.changes, index_db.pictures(&database, &packages)?))
            })
            .map_err(|source| not_added(source, image))?;
        Changes::new(diff, pictures)
    })
    .await?;
    for line in changes.diff.to_string().lines() {
        job.log(line).await;
    }
    Ok(changes)
}

/// Bundles that do not fit are the bundles' fault; anything else is the database's.
fn not_added(source: IndexDbError, image: Option<String>) -> StageError {
    match (source, image) {
        (source @ IndexDbError::Refused(_), _) | (source, None) => StageError::Add(source),
        (source, Some(image)) => StageError::IndexDb { image, source },
    }
}

/// Packs the database into the index layer and stores it, in one pass.
async fn write_layer(
    job: &Job<'_>,
    database: &Path,
    input: Option<InputLayer>,
) -> Result<BuiltLayer, StageError> {
    let key = ArtifactKey::layer(job.record.id, &job.token);
    let path: PathBuf = database.to_owned();
    let (layer, stored) = write_artifact(&*job.deps.artifacts, &key, move |out| {
        let place = DATABASE_PATH.trim_start_matches('/');
        pack_database(&path, place, input.as_ref(), out)
    })
    .await?;
    if stored.digest != layer.digest {
        return Err(StageError::StoredOther {
            sent: layer.digest.to_string(),
            got: stored.digest.to_string(),
        });
    }
    job.log(format!(
        "the index layer {} has {} bytes; {} of its {} pieces are those of the input",
        layer.digest, layer.size, layer.pieces_reused, layer.pieces
    ))
    .await;
    Ok(BuiltLayer {
        artifact: key.as_str().to_owned(),
        layer: Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_LAYER),
            size: layer.size,
            digest: layer.digest,
        },
        diff_id: layer.diff_id,
        holds: DATABASE_PATH.to_owned(),
        unknown: Unknown::default(),
    })
}
