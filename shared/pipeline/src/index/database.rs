//! The database of an index: out of its image, into a layer.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use iib_oci::layer::{
    self, EntryPath, Extracted, PackEntry, PackedLayer, PieceTable, Reuse, Threads, unpack,
};
use iib_oci::{Descriptor, MediaType};
use iib_ports::{ArtifactKey, Registry};
use iib_request::{Built, BuiltLayer, IndexForm, IndexPlan, IndexToRead, Unknown};

use crate::job::Job;
use crate::linked_file::CHAIN_LIMIT;
use crate::transfer::{check_size, read_blob, write_artifact};
use crate::{Deps, ImageError, IndexError, StageError, WorkError, image};

/// Where the database is in every index image made here, and what its label says.
pub(crate) const PATH: &str = "/database/index.db";

/// The layer a database came from, for taking over what did not change.
#[derive(Debug, Clone)]
pub(crate) struct InputLayer {
    /// Its pieces, if it is in our own form.
    pub(crate) pieces: PieceTable,
    /// Its compressed bytes.
    pub(crate) file: PathBuf,
}

/// Copies the database of an index to `database`. The layers are looked at from the top, because
/// the highest one that has the file counts, and mostly it is the only one.
///
/// # Errors
/// [`StageError`] naming the image.
pub(crate) async fn fetch(
    registry: &dyn Registry,
    index: &IndexToRead,
    database: &Path,
    limit: u64,
) -> Result<Option<InputLayer>, StageError> {
    let name = index.resolved.to_string();
    let IndexForm::Database(path) = &index.form;
    let missing = || IndexError::NoDatabase {
        image: name.clone(),
        path: path.clone(),
    };
    let mut wanted = EntryPath::parse(path.as_bytes()).map_err(|_| IndexError::DatabasePath {
        image: name.clone(),
        path: path.clone(),
    })?;
    let manifest = image::manifest(registry, &index.image).await?;
    let mut layers = manifest.layers.iter().rev().peekable();
    let mut followed = 0;
    while let Some(layer) = layers.peek() {
        check_size(&name, layer, limit)?;
        let doing = format!("Failed to read a layer of the index image {name}");
        let (image, wanted_here, target) = (name.clone(), wanted.clone(), database.to_owned());
        let copy = database.with_extension("layer");
        let copy_of_layer = copy.clone();
        let unpacked = read_blob(
            registry,
            index.image.repository(),
            layer,
            &doing,
            move |reader| -> Result<_, StageError> {
                let scratch = |action| move |source| WorkError::Scratch { action, source };
                let mut sink = File::create(&target).map_err(scratch("created"))?;
                let mut copy = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&copy_of_layer)
                    .map_err(scratch("created"))?;
                let threads = Threads::available();
                let unpacked = unpack(reader, &mut copy, &wanted_here, &mut sink, limit, threads);
                Ok(unpacked.map_err(|source| ImageError::Layer { image, source })?)
            },
        )
        .await?;
        match unpacked.file {
            Extracted::Found { .. } => {
                return Ok(unpacked
                    .pieces
                    .map(|pieces| InputLayer { pieces, file: copy }));
            }
            // What it is another name of is in the same layer or below.
            Extracted::Linked { target } if followed < CHAIN_LIMIT => {
                wanted = target;
                followed += 1;
            }
            Extracted::WhitedOut | Extracted::Linked { .. } => return Err(missing().into()),
            Extracted::Absent => {
                layers.next();
            }
        }
    }
    Err(missing().into())
}

/// The database of a plan's index, if it starts from one.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn fetch_input(
    deps: &Deps,
    plan: &IndexPlan,
    database: &Path,
) -> Result<Option<InputLayer>, StageError> {
    match &plan.from {
        Some(index) => fetch(&*deps.registry, index, database, deps.work.max_index_bytes).await,
        None => Ok(None),
    }
}

/// Packs a database into a layer, where it is at the path `at`, relative to the root of the image.
/// What did not change since `input` is taken over from there.
///
/// # Errors
/// [`WorkError::Scratch`] for files on this machine; [`WorkError::Pack`], also for those of `out`.
pub(crate) fn pack(
    database: &Path,
    at: &str,
    input: Option<&InputLayer>,
    out: &mut impl Write,
) -> Result<PackedLayer, WorkError> {
    let scratch = |source| WorkError::Scratch {
        action: "read",
        source,
    };
    let mut content = File::open(database).map_err(scratch)?;
    let size = content.metadata().map_err(scratch)?.len();
    let previous = match input {
        Some(input) => Some((File::open(&input.file).map_err(scratch)?, &input.pieces)),
        None => None,
    };
    let reuse = previous
        .as_ref()
        .map(|(layer, pieces)| Reuse { pieces, layer });
    let parse =
        |path: &str| EntryPath::parse(path.as_bytes()).map_err(|_| WorkError::Incomplete("pack"));
    let mut entries = Vec::new();
    for (end, _) in at.match_indices('/') {
        entries.push(PackEntry::directory(parse(&at[..end])?));
    }
    entries.push(PackEntry::file(parse(at)?, size, &mut content));
    layer::pack(&mut entries, reuse, Threads::available(), out).map_err(WorkError::Pack)
}

/// Packs the database into the index layer and stores it, in one pass.
///
/// # Errors
/// [`WorkError::Pack`], [`StageError::Artifact`], and [`WorkError::StoredOther`] for a store that
/// kept something else.
pub(crate) async fn write_layer(
    job: &mut Job<'_>,
    database: &Path,
    input: Option<InputLayer>,
) -> Result<Built, StageError> {
    let key = ArtifactKey::layer(job.record.id, &job.token);
    let path: PathBuf = database.to_owned();
    let (layer, stored) = write_artifact(&*job.deps.artifacts, &key, move |out| {
        let place = PATH.trim_start_matches('/');
        pack(&path, place, input.as_ref(), out)
    })
    .await?;
    if stored.digest != layer.digest {
        let (sent, got) = (layer.digest.to_string(), stored.digest.to_string());
        return Err(WorkError::StoredOther { sent, got }.into());
    }
    job.log(format!(
        "the index layer {} has {} bytes; {} of its {} pieces are those of the input",
        layer.digest, layer.size, layer.pieces_reused, layer.pieces
    ));
    let layer = BuiltLayer {
        artifact: key.as_str().to_owned(),
        layer: Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_LAYER),
            size: layer.size,
            digest: layer.digest,
        },
        diff_id: layer.diff_id,
        holds: PATH.to_owned(),
        unknown: Unknown::default(),
    };
    Ok(Built {
        layers: vec![layer],
        unknown: Unknown::default(),
    })
}
