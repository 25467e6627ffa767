//! Inputs that were unpacked before.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_oci::{Descriptor, Digest, ImageFormat, PullSpec, RawManifest, Reference, Repository};
use iib_pipeline::Unpacked;
use iib_ports::{BlobSource, BlobStream, Registry, RegistryError};
use iib_request::{AddRequest, CreateEmptyIndex, Record};

use crate::catalogs::Content;
use crate::samples::{self, index_image};
use crate::world::World;

/// A registry that notes which blobs are read.
struct Noting {
    inner: Arc<dyn Registry>,
    read: Mutex<Vec<Digest>>,
}

#[async_trait]
impl Registry for Noting {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        self.inner.manifest(repository, reference).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        self.read.lock().unwrap().push(descriptor.digest.clone());
        self.inner.blob(repository, descriptor).await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.inner.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.inner.mount_blob(to, from, digest).await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        self.inner.push_blob(repository, descriptor, source).await
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        self.inner.tagged(repository, tag).await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        self.inner
            .push_manifest(repository, reference, manifest)
            .await
    }
}

/// Bundles that are added one after the other, each to the result of the one before.
const CHAIN: [(&str, &str); 4] = [
    ("lantern", "0.1.0"),
    ("lantern", "0.2.0"),
    ("kettle", "1.0.0"),
    ("kettle", "1.1.0"),
];

/// A world in which reads are noted.
async fn noting() -> (World, Arc<Noting>) {
    let mut world = World::new().await;
    let noting = Arc::new(Noting {
        inner: world.deps.registry.clone(),
        read: Mutex::default(),
    });
    world.deps.registry = noting.clone();
    (world, noting)
}

/// Adds the chain to an index; tells of each request which layers of its input were read, and the
/// layer that it made.
async fn chain(world: &World, noting: &Noting, mut index: String) -> Vec<(usize, Digest)> {
    let mut told = Vec::new();
    for (operator, version) in CHAIN {
        let bundle = world.push_bundle(operator, version).await;
        let request = AddRequest {
            from_index: Some(index.clone()),
            ..world.add(&bundle).await
        };
        let layers = layers_of(world, &index).await;
        noting.read.lock().unwrap().clear();
        let record = world.completes(request).await;
        let read = noting.read.lock().unwrap().clone();
        let of_index = read.iter().filter(|digest| layers.contains(digest));
        index = record.facts.index_image.clone().unwrap();
        let made = layers_of(world, &index).await;
        told.push((of_index.count(), made.last().unwrap().clone()));
        assert_cleaned(&record);
    }
    told
}

fn assert_cleaned(record: &Record) {
    assert_eq!(record.work.repeats, 0, "{:#?}", record.history);
}

/// The layers of the one image behind a pull spec, the lowest first.
async fn layers_of(world: &World, index: &str) -> Vec<Digest> {
    let index: PullSpec = index.parse().unwrap();
    let registry = &world.deps.registry;
    let read = async |reference: &Reference| {
        let raw = registry.manifest(index.repository(), reference).await;
        serde_json::from_slice::<serde_json::Value>(&raw.unwrap().bytes).unwrap()
    };
    let mut document = read(index.reference()).await;
    if let Some(first) = document.pointer("/manifests/0/digest") {
        let digest = first.as_str().unwrap().parse().unwrap();
        document = read(&Reference::Digest(digest)).await;
    }
    let layers = document["layers"].as_array().unwrap().iter();
    let digest = |layer: &serde_json::Value| layer["digest"].as_str().unwrap().parse().unwrap();
    layers.map(digest).collect()
}

async fn empty(world: &World, is_catalog: bool) -> String {
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let first = world.completes(world.add(&bundle).await).await;
    let binary = world.push_binary(&["amd64"]).await;
    let request = CreateEmptyIndex {
        from_index: first.facts.index_image.unwrap(),
        binary_image: Some(binary.to_string()),
        output_fbc: Some(is_catalog),
        ..CreateEmptyIndex::default()
    };
    let made = world.completes(request).await;
    made.facts.index_image.unwrap()
}

#[tokio::test]
async fn a_chain_of_requests_does_not_unpack_its_index_again() {
    for format in [ImageFormat::Docker, ImageFormat::Oci] {
        for is_catalog in [false, true] {
            assert_unpacked_once(format, is_catalog).await;
        }
    }
}

/// Of a chain of indexes with these documents.
async fn assert_unpacked_once(format: ImageFormat, is_catalog: bool) {
    let (mut world, noting) = noting().await;
    world.deps.work.output_format = format;
    let index = empty(&world, is_catalog).await;
    let kept = chain(&world, &noting, index.clone()).await;
    let reads: Vec<usize> = kept.iter().map(|(reads, _)| *reads).collect();
    // That the layers of the binary image have nothing of a catalog has to be seen once.
    let seen_once = match is_catalog {
        true => 2,
        false => 0,
    };
    assert_eq!(reads, [seen_once, 0, 0, 0], "{format} {is_catalog}");
    // What comes of it is the same as without.
    world.deps.unpacked = Arc::new(Unpacked::off());
    let anew = chain(&world, &noting, index).await;
    assert!(anew.iter().all(|(reads, _)| *reads > 0), "{anew:?}");
    let layers = |told: &[(usize, Digest)]| -> Vec<Digest> {
        told.iter().map(|(_, layer)| layer.clone()).collect()
    };
    assert_eq!(layers(&anew), layers(&kept));
}

#[tokio::test]
async fn an_index_that_is_read_again_and_again_is_kept_from_the_second_time_on() {
    for format in [ImageFormat::Docker, ImageFormat::Oci] {
        let (mut world, noting) = noting().await;
        world.deps.work.output_format = format;
        let index = empty(&world, false).await;
        assert_kept_when_read_twice(world, &noting, index).await;
    }
    // One gzip stream, of which nothing can be taken over.
    let (world, noting) = noting().await;
    let foreign = index_image(&samples::database(&[]));
    let foreign = world.push("team/foreign:v4.6", &foreign).await.to_string();
    assert_kept_when_read_twice(world, &noting, foreign).await;
}

async fn assert_kept_when_read_twice(mut world: World, noting: &Noting, index: String) {
    let folder = tempfile::tempdir().unwrap();
    world.deps.unpacked = Arc::new(Unpacked::in_folder(folder.path(), 1 << 30).unwrap());
    let bundle = world.push_bundle("kettle", "1.0.0").await;
    let request = AddRequest {
        from_index: Some(index.clone()),
        ..world.add(&bundle).await
    };
    let layers = layers_of(&world, &index).await;
    let mut reads = Vec::new();
    for _ in 0..4 {
        noting.read.lock().unwrap().clear();
        world.completes(request.clone()).await;
        let read = noting.read.lock().unwrap().clone();
        reads.push(read.iter().filter(|digest| layers.contains(digest)).count());
    }
    assert_eq!(reads, [1, 1, 0, 0], "{index}");
}

#[tokio::test]
async fn what_is_damaged_or_gone_is_unpacked_again() {
    let (mut world, noting) = noting().await;
    let folder = tempfile::tempdir().unwrap();
    world.deps.unpacked = Arc::new(Unpacked::in_folder(folder.path(), 1 << 30).unwrap());
    let mut index = empty(&world, true).await;
    for damage in ["shorter", "gone", "none"] {
        let bundle = world.push_bundle("kettle", "1.0.0").await;
        let request = AddRequest {
            from_index: Some(index.clone()),
            ..world.add(&bundle).await
        };
        let kept = folder.path().join("unpacked");
        let entries = std::fs::read_dir(&kept).unwrap();
        let databases = entries.map(|entry| entry.unwrap().path().join("1"));
        // Not those of indexes without a catalog.
        for database in databases.filter(|database| database.exists()) {
            match damage {
                "shorter" => std::fs::write(database, "short").unwrap(),
                "gone" => std::fs::remove_file(database).unwrap(),
                _ => {}
            }
        }
        let layers = layers_of(&world, &index).await;
        noting.read.lock().unwrap().clear();
        let record = world.completes(request).await;
        let read = noting.read.lock().unwrap().clone();
        let is_read = read.iter().any(|digest| layers.contains(digest));
        assert_eq!(is_read, damage != "none", "{damage}");
        let content = Content::of(&world, &record).await;
        assert_eq!(content.bundles(), ["kettle.v1.0.0"], "{damage}");
        index = empty(&world, true).await;
    }
}

#[tokio::test]
async fn no_more_is_kept_than_is_allowed() {
    let (mut world, noting) = noting().await;
    let folder = tempfile::tempdir().unwrap();
    // One database of these has some 200 KiB.
    world.deps.unpacked = Arc::new(Unpacked::in_folder(folder.path(), 400_000).unwrap());
    let index = empty(&world, false).await;
    chain(&world, &noting, index).await;
    let kept = std::fs::read_dir(folder.path().join("unpacked")).unwrap();
    let mut bytes = 0;
    for entry in kept {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            bytes += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!((1..=400_000).contains(&bytes), "{bytes} bytes are kept");
    // What another process has left is nobody's.
    let stray = folder.path().join("unpacked").join("stray");
    std::fs::create_dir(&stray).unwrap();
    let off = Unpacked::in_folder(folder.path(), 0).unwrap();
    assert!(!stray.exists(), "{off:?}");
}
