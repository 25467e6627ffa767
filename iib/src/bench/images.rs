//! What the benchmark works on: generated indexes, one small bundle, a binary image.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_catalog_folder::FolderWriter;
use iib_fbc::BundleForm;
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
use iib_oci::layer::{
    EntryPath, FolderTree, LayerReader, PackEntry, PackedLayer, Part, Reuse, Threads, pack,
    pack_frame, unpack_tree,
};
use iib_oci::{
    Arch, ConfigEdit, Descriptor, Digest, ImageConfig, ImageFormat, Manifest, PullSpec, Reference,
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
/// Where the catalog is in an index, and the database behind it.
const CATALOG: &str = "configs";
const HIDDEN: &str = "var/lib/iib/_hidden/do.not.edit.db";
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
    /// That of OCI images, which the result is then, too.
    Oci,
}

impl Input {
    /// Which documents input and result have.
    pub(super) fn format(self) -> ImageFormat {
        match self {
            Self::Foreign | Self::Ours => ImageFormat::Docker,
            Self::Oci => ImageFormat::Oci,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Ours => "ours",
            Self::Oci => "oci",
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Bundles of a package of the generated index, about as many as in public catalogs.
const PER_PACKAGE: usize = 17;
/// Bundles made and added at a time, to bound the memory they take.
const BATCH: usize = 100;

/// The name of a package of the generated index, by number.
pub(super) fn package(number: usize) -> String {
    Recipe::numbered(number * PER_PACKAGE, PER_PACKAGE).package_name()
}

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

/// A client of the small registry.
pub(super) fn client(host: &str) -> anyhow::Result<RegistryClient> {
    Ok(RegistryClient::new(RegistryConfig {
        insecure_registries: [host.to_owned()].into(),
        ..RegistryConfig::default()
    })?)
}

/// Images that every run needs.
pub(super) struct Images {
    pub(super) registry: RegistryClient,
    host: String,
    /// The image to build on.
    pub(super) binary: PullSpec,
}

impl Images {
    /// Pushes them.
    pub(super) async fn push_common(host: &str) -> anyhow::Result<Self> {
        let registry = client(host)?;
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
            BTreeMap::new(),
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
            Input::Ours | Input::Oci => pack_file(database, &path, input.format())?,
            Input::Foreign => repack(database, &path)?,
        };
        let run = RunSettings::serve_database();
        let config = config(diff_id, ("database", DATABASE), run)?;
        let tag = format!("n{bundles}-{input}");
        self.push((config, vec![layer]), FileBlob(path), &tag, input)
            .await
    }

    /// Makes a catalog of a database, puts both into an index image and pushes it. It has no serve cache.
    pub(super) async fn push_catalog(
        &self,
        folder: &Path,
        database: &Path,
        bundles: usize,
    ) -> anyhow::Result<PullSpec> {
        let (content, path) = (folder.join("content"), folder.join("index-layer"));
        let hidden = content.join(HIDDEN);
        std::fs::create_dir_all(hidden.parent().unwrap_or(&content))?;
        std::fs::copy(database, &hidden)?;
        let mut writer = FolderWriter::new(&content.join(CATALOG))?;
        let form = BundleForm::Objects;
        SqliteIndex.export(database, form, |name, catalog| {
            writer.package(name, &catalog).map_err(anyhow::Error::from)
        })?;
        writer.finish()?;
        let (layer, diff_id) = pack_folder(&content, &path, ImageFormat::Docker, None)?;
        std::fs::remove_dir_all(&content)?;
        let run = RunSettings::serve_catalog();
        let config = config(diff_id, ("configs", CATALOG), run)?;
        let (content, tag) = ((config, vec![layer]), format!("raw{bundles}"));
        self.push(content, FileBlob(path), &tag, Input::Ours).await
    }

    /// Pushes an index again whose layer is one gzip stream.
    pub(super) async fn push_repacked(
        &self,
        folder: &Path,
        index: &PullSpec,
        tag: &str,
    ) -> anyhow::Result<PullSpec> {
        let (manifest, layer) = top_layer(&self.registry, index).await?;
        let (ours, path) = (folder.join("layer-ours"), folder.join("index-layer"));
        download(&self.registry, index.repository(), &layer, &ours).await?;
        let config = self
            .registry
            .blob(index.repository(), &manifest.config)
            .await?;
        let config: Vec<u8> = config
            .try_fold(Vec::new(), async |mut all, chunk| {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await?;
        let foreign = as_one_stream(&ours, &path)?;
        std::fs::remove_file(&ours)?;
        let mut layers = manifest.layers.clone();
        let from = index.repository();
        let to = Repository::new(&self.host, "bench/index")?;
        layers.pop();
        for below in &layers {
            ensure!(
                self.registry.mount_blob(&to, from, &below.digest).await?,
                "a layer of the binary image cannot be had"
            );
        }
        layers.push(foreign);
        self.push((config, layers), FileBlob(path), tag, Input::Foreign)
            .await
    }

    /// Pushes an image whose highest layer is in a file; those below are there.
    async fn push(
        &self,
        (config, layers): (Vec<u8>, Vec<Descriptor>),
        file: FileBlob,
        tag: &str,
        input: Input,
    ) -> anyhow::Result<PullSpec> {
        let repository = Repository::new(&self.host, "bench/index")?;
        let config_descriptor = Descriptor {
            media_type: input.format().config_type(),
            size: config.len() as u64,
            digest: Digest::of(&config),
        };
        let layer = layers.last().context("an image without layers")?;
        self.registry.push_blob(&repository, layer, &file).await?;
        self.registry
            .push_blob(&repository, &config_descriptor, &InMemory(config.into()))
            .await?;
        let manifest = Manifest::of(input.format(), config_descriptor, layers).to_raw()?;
        self.registry
            .push_manifest(&repository, &Reference::Tag(tag.to_owned()), &manifest)
            .await?;
        Ok(format!("{repository}:{tag}").parse()?)
    }
}

/// The configuration of an index with one layer, which has what the index serves at this place.
fn config(
    diff_id: Digest,
    (form, place): (&str, &str),
    run: RunSettings,
) -> anyhow::Result<Vec<u8>> {
    let label = format!("operators.operatorframework.io.index.{form}.v1");
    let edit = ConfigEdit {
        diff_id,
        layer_content: place.to_owned(),
        labels: [(label, format!("/{place}"))].into(),
        run: Some(run),
        created: Timestamp::UNIX_EPOCH,
    };
    let config = ImageConfig::scratch(&Arch::amd64()).with_layer(0, &edit)?;
    Ok(config.to_bytes()?)
}

/// The first image behind a pull spec, and its highest layer.
async fn top_layer(
    registry: &dyn Registry,
    index: &PullSpec,
) -> anyhow::Result<(Manifest, Descriptor)> {
    let mut reference = index.reference().clone();
    let manifest = loop {
        let found = registry.manifest(index.repository(), &reference).await?;
        match found.read()? {
            Resolved::Image(manifest) => break manifest,
            Resolved::List(list) => {
                let first = list.manifests.first().context("an empty list")?;
                reference = Reference::Digest(first.descriptor.digest.clone());
            }
        }
    };
    let layer = manifest.layers.last().cloned();
    Ok((manifest, layer.context("an index without layers")?))
}

async fn download(
    registry: &dyn Registry,
    repository: &Repository,
    layer: &Descriptor,
    to: &Path,
) -> anyhow::Result<()> {
    let mut file = File::create(to)?;
    let mut blob = registry.blob(repository, layer).await?;
    while let Some(chunk) = blob.next().await {
        file.write_all(&chunk?)?;
    }
    Ok(())
}

/// Downloads the layer of an index, unpacks it, packs it again and uploads it, one after the
/// other: what the job takes without any thinking.
pub(super) async fn move_bytes(deps: &Deps, index: &str) -> anyhow::Result<()> {
    let spec: PullSpec = index.parse()?;
    let (_, layer) = top_layer(&*deps.registry, &spec).await?;
    let format = match layer.media_type == ImageFormat::Oci.own_layer_type() {
        true => ImageFormat::Oci,
        false => ImageFormat::Docker,
    };
    let folder = tempfile::tempdir_in(deps.scratch.path())?;
    let compressed = folder.path().join("layer");
    download(&*deps.registry, spec.repository(), &layer, &compressed).await?;
    let (content, packed) = (folder.path().join("content"), folder.path().join("packed"));
    let (target, scratch) = (packed.clone(), folder.path().to_owned());
    let descriptor = tokio::task::spawn_blocking(move || {
        let threads = Threads::available();
        let (input, mut previous) = (File::open(&compressed)?, tempfile::tempfile_in(&scratch)?);
        let all = EntryPath::parse(b".")?;
        let mut tree = FolderTree::new(vec![Part::Folder(all)], usize::MAX);
        let create = |path: &EntryPath, _| {
            let path = content.join(path.as_str());
            std::fs::create_dir_all(path.parent().unwrap_or(&content))?;
            File::create(path)
        };
        let (_, pieces) = unpack_tree(input, &mut previous, &mut tree, create, LIMIT, threads)?;
        let reuse = pieces.as_ref().map(|pieces| Reuse {
            pieces,
            layer: &previous,
        });
        pack_folder(&content, &target, format, reuse).map(|(layer, _)| layer)
    })
    .await??;
    let to = Repository::new(spec.repository().registry(), "bench/moved")?;
    deps.registry
        .push_blob(&to, &descriptor, &FileBlob(packed))
        .await?;
    Ok(())
}

/// Packs all files of a folder in our own form, which images of this format have.
fn pack_folder(
    content: &Path,
    target: &Path,
    format: ImageFormat,
    reuse: Option<Reuse<'_>>,
) -> anyhow::Result<(Descriptor, Digest)> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(content).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(content)?.to_string_lossy();
            let path = EntryPath::parse(path.as_bytes())?;
            files.push((path, LateFile::new(entry.path())));
        }
    }
    files.sort_by(|low, high| low.0.cmp(&high.0));
    let mut entries = Vec::new();
    for (path, file) in &mut files {
        let size = std::fs::metadata(&file.path)?.len();
        entries.push(PackEntry::file(path.clone(), size, file));
    }
    let packed = pack_entries(&mut entries, target, format, reuse)?;
    Ok((packed.descriptor(format), packed.diff_id))
}

fn pack_entries(
    entries: &mut [PackEntry<'_>],
    target: &Path,
    format: ImageFormat,
    reuse: Option<Reuse<'_>>,
) -> anyhow::Result<PackedLayer> {
    let mut out = BufWriter::with_capacity(CHUNK, File::create(target)?);
    let packed = match format {
        ImageFormat::Docker => pack(entries, reuse, Threads::available(), &mut out)?,
        ImageFormat::Oci => pack_frame(entries, &mut out)?,
    };
    out.flush()?;
    Ok(packed)
}

/// A file that is opened when it is read first: there are more of them than a process may have open.
struct LateFile {
    path: PathBuf,
    file: Option<File>,
}

impl LateFile {
    fn new(path: &Path) -> Self {
        let (path, file) = (path.to_owned(), None);
        Self { path, file }
    }
}

impl Read for LateFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        let read = file.read(buffer)?;
        if read == 0 {
            self.file = None;
        }
        Ok(read)
    }
}

/// Packs a database in our own form, which images of this format have.
fn pack_file(
    database: &Path,
    target: &Path,
    format: ImageFormat,
) -> anyhow::Result<(Descriptor, Digest)> {
    let mut content = File::open(database)?;
    let size = content.metadata()?.len();
    let mut entries = [
        PackEntry::directory(EntryPath::parse(b"database")?),
        PackEntry::file(EntryPath::parse(DATABASE.as_bytes())?, size, &mut content),
    ];
    let packed = pack_entries(&mut entries, target, format, None)?;
    Ok((packed.descriptor(format), packed.diff_id))
}

/// Packs a database as one gzip stream at the usual level.
fn repack(database: &Path, target: &Path) -> anyhow::Result<(Descriptor, Digest)> {
    let ours = target.with_extension("ours");
    let (_, diff_id) = pack_file(database, &ours, ImageFormat::Docker)?;
    let layer = as_one_stream(&ours, target)?;
    std::fs::remove_file(&ours)?;
    Ok((layer, diff_id))
}

/// Packs a layer as one gzip stream at the usual level.
fn as_one_stream(layer: &Path, target: &Path) -> anyhow::Result<Descriptor> {
    let mut tar = LayerReader::open(BufReader::new(File::open(layer)?), LIMIT)?;
    let mut gzip = GzEncoder::new(File::create(target)?, Compression::default());
    std::io::copy(&mut tar, &mut gzip)?;
    gzip.finish()?;
    let digests = LayerReader::open(BufReader::new(File::open(target)?), LIMIT)?.finish()?;
    Ok(Descriptor {
        media_type: ImageFormat::Docker.own_layer_type(),
        size: digests.size,
        digest: digests.digest,
    })
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
