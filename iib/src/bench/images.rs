//! What the benchmark works on: generated indexes, one small bundle, a binary image.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, stream};
use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
use iib_oci::layer::{EntryPath, Extracted, LayerReader, PackEntry, Reuse, Threads, pack, unpack};
use iib_oci::{
    Arch, ConfigEdit, Descriptor, Digest, ImageConfig, Manifest, MediaType, PullSpec, Reference,
    Repository, Resolved, RunSettings,
};
use iib_pipeline::Deps;
use iib_ports::{BlobSource, BlobStream, InMemory, IndexDb as _, Registry, RegistryError};
use iib_registry::{RegistryClient, RegistryConfig};
use jiff::Timestamp;
use serde::Serialize;

use crate::demo::images::{push_binary_image, push_image};

/// Where the database is in an index.
const DATABASE: &str = "database/index.db";
/// Bytes of an upload at a time.
const CHUNK: usize = 256 * 1024;
/// More than any layer here unpacks to.
const LIMIT: u64 = 16 << 30;

/// Who wrote the layer of the input index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Input {
    /// One gzip stream, as other tools write it.
    Foreign,
    /// Our own form.
    Ours,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "foreign",
            Self::Ours => "ours",
        })
    }
}

/// Bundles of a package of the generated index, about as many as in public catalogs.
const PER_PACKAGE: usize = 17;
/// Bundles made and added at a time, to bound the memory they take.
const BATCH: usize = 100;

/// Writes the database of an index with this many bundles of real size.
pub(super) fn generate(folder: &Path, bundles: usize) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("generated-{bundles}.db"));
    let options = AddOptions::default();
    // Without bundles, the schema alone is written.
    for start in (0..bundles.max(1)).step_by(BATCH) {
        let batch = (start..bundles.min(start + BATCH)).map(|number| {
            let recipe = Recipe::numbered(number, PER_PACKAGE);
            Bundle::read(&recipe.image(), &recipe.files())
        });
        let batch = batch.collect::<Result<Vec<_>, _>>()?;
        SqliteIndex
            .add(&path, &batch, &options)
            .with_context(|| format!("generating {bundles} bundles"))?;
    }
    Ok(path)
}

/// Images that every run needs.
pub(super) struct Images {
    registry: RegistryClient,
    host: String,
    /// The image to build on.
    pub(super) binary: PullSpec,
}

impl Images {
    /// Pushes them.
    pub(super) async fn push_common(host: &str) -> anyhow::Result<Self> {
        let registry = RegistryClient::new(RegistryConfig {
            insecure_registries: [host.to_owned()].into(),
            ..RegistryConfig::default()
        })?;
        let binary = push_binary_image(&registry, host).await?;
        Ok(Self {
            registry,
            host: host.to_owned(),
            binary,
        })
    }

    /// Pushes the bundle that comes next after this many.
    pub(super) async fn push_bundle(&self, bundles: usize) -> anyhow::Result<PullSpec> {
        let files = Recipe::numbered(bundles, PER_PACKAGE).files();
        let manifests = files
            .manifests
            .iter()
            .map(|(name, text)| (format!("manifests/{name}"), text));
        let metadata = files.metadata.iter().flatten();
        let metadata = metadata.map(|(name, text)| (format!("metadata/{name}"), text));
        let content = manifests
            .chain(metadata)
            .map(|(path, text)| (path, text.clone()))
            .collect();
        let repository = Repository::new(&self.host, "bench/bundle")?;
        push_image(
            &self.registry,
            &repository,
            &format!("n{bundles}"),
            &content,
        )
        .await
    }

    /// Packs a database into an index image and pushes it.
    pub(super) async fn push_index(
        &self,
        folder: &Path,
        database: &Path,
        bundles: usize,
        input: Input,
    ) -> anyhow::Result<PullSpec> {
        let path = folder.join("index-layer");
        let (layer, diff_id) = match input {
            Input::Ours => pack_file(database, &path, None)?,
            Input::Foreign => repack(database, &path)?,
        };
        let edit = ConfigEdit {
            diff_id,
            layer_content: DATABASE.to_owned(),
            labels: [(
                "operators.operatorframework.io.index.database.v1".to_owned(),
                format!("/{DATABASE}"),
            )]
            .into(),
            run: Some(RunSettings::serve_database()),
            created: Timestamp::UNIX_EPOCH,
        };
        let config = ImageConfig::scratch(&Arch::amd64())
            .with_layer(0, &edit)?
            .to_bytes()?;
        let config_descriptor = Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_CONFIG),
            size: config.len() as u64,
            digest: Digest::of(&config),
        };
        let repository = Repository::new(&self.host, "bench/index")?;
        let file = FileBlob(path);
        self.registry.push_blob(&repository, &layer, &file).await?;
        self.registry
            .push_blob(&repository, &config_descriptor, &InMemory(config.into()))
            .await?;
        let manifest = Manifest::docker(config_descriptor, vec![layer]).to_raw()?;
        let tag = format!("n{bundles}-{input}");
        self.registry
            .push_manifest(&repository, &Reference::Tag(tag.clone()), &manifest)
            .await?;
        Ok(format!("{repository}:{tag}").parse()?)
    }
}

/// Downloads the layer of an index, unpacks it, packs it again and uploads it, one after the
/// other: what the job takes without any thinking.
pub(super) async fn move_bytes(deps: &Deps, index: &str) -> anyhow::Result<()> {
    let spec: PullSpec = index.parse()?;
    let Resolved::Image(manifest) = deps
        .registry
        .manifest(spec.repository(), spec.reference())
        .await?
        .read()?
    else {
        anyhow::bail!("{index} is a list");
    };
    let layer = manifest.layers.last().context("an index without layers")?;
    let folder = tempfile::tempdir_in(&deps.scratch)?;
    let compressed = folder.path().join("layer");
    let mut file = File::create(&compressed)?;
    let mut blob = deps.registry.blob(spec.repository(), layer).await?;
    while let Some(chunk) = blob.next().await {
        file.write_all(&chunk?)?;
    }
    let (database, packed) = (folder.path().join("index.db"), folder.path().join("packed"));
    let (target, scratch) = (packed.clone(), folder.path().to_owned());
    let descriptor = tokio::task::spawn_blocking(move || {
        let mut sink = File::create(&database)?;
        let wanted = EntryPath::parse(DATABASE.as_bytes())?;
        let threads = Threads::available();
        let (input, mut previous) = (File::open(&compressed)?, tempfile::tempfile_in(&scratch)?);
        let unpacked = unpack(input, &mut previous, &wanted, &mut sink, LIMIT, threads)?;
        ensure!(
            matches!(unpacked.file, Extracted::Found { .. }),
            "no database in the layer"
        );
        let reuse = unpacked.pieces.as_ref().map(|pieces| Reuse {
            pieces,
            layer: &previous,
        });
        pack_file(&database, &target, reuse).map(|(descriptor, _)| descriptor)
    })
    .await??;
    let to = Repository::new(spec.repository().registry(), "bench/moved")?;
    deps.registry
        .push_blob(&to, &descriptor, &FileBlob(packed))
        .await?;
    Ok(())
}

/// Packs a database in our own form.
fn pack_file(
    database: &Path,
    target: &Path,
    reuse: Option<Reuse<'_>>,
) -> anyhow::Result<(Descriptor, Digest)> {
    let mut content = File::open(database)?;
    let size = content.metadata()?.len();
    let mut entries = [
        PackEntry::directory(EntryPath::parse(b"database")?),
        PackEntry::file(EntryPath::parse(DATABASE.as_bytes())?, size, &mut content),
    ];
    let mut out = BufWriter::with_capacity(CHUNK, File::create(target)?);
    let packed = pack(&mut entries, reuse, Threads::available(), &mut out)?;
    out.flush()?;
    let media_type = MediaType::new(MediaType::DOCKER_LAYER);
    Ok((
        Descriptor {
            media_type,
            size: packed.size,
            digest: packed.digest,
        },
        packed.diff_id,
    ))
}

/// Packs a database as one gzip stream at the usual level.
fn repack(database: &Path, target: &Path) -> anyhow::Result<(Descriptor, Digest)> {
    let ours = target.with_extension("ours");
    let (_, diff_id) = pack_file(database, &ours, None)?;
    let mut tar = LayerReader::open(BufReader::new(File::open(&ours)?), LIMIT)?;
    let mut gzip = GzEncoder::new(File::create(target)?, Compression::default());
    std::io::copy(&mut tar, &mut gzip)?;
    let mut file = gzip.finish()?;
    file.seek(SeekFrom::Start(0))?;
    std::fs::remove_file(&ours)?;
    let digests = LayerReader::open(BufReader::new(File::open(target)?), LIMIT)?.finish()?;
    let media_type = MediaType::new(MediaType::DOCKER_LAYER);
    Ok((
        Descriptor {
            media_type,
            size: digests.size,
            digest: digests.digest,
        },
        diff_id,
    ))
}

/// A blob in a file.
struct FileBlob(PathBuf);

#[async_trait]
impl BlobSource for FileBlob {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let what = self.0.display().to_string();
        let failed = move |source: std::io::Error| RegistryError::Source {
            what: what.clone(),
            source: Box::new(source),
        };
        let file = tokio::fs::File::open(&self.0).await.map_err(&failed)?;
        Ok(Box::pin(stream::try_unfold(
            (file, failed),
            async |(mut file, failed)| {
                use tokio::io::AsyncReadExt as _;
                let mut chunk = vec![0; CHUNK];
                let count = file.read(&mut chunk).await.map_err(&failed)?;
                chunk.truncate(count);
                Ok((count > 0).then(|| (Bytes::from(chunk), (file, failed))))
            },
        )))
    }
}
