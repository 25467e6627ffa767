//! The contract of [`iib_ports::Registry`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{
    Descriptor, Digest, Manifest, ManifestList, ManifestListEntry, MediaType, Platform, PullSpec,
    RawManifest, Reference, Repository,
};
use iib_ports::{BlobSource, BlobStream, Class, Classify, Registry, RegistryError};

use crate::Pull as _;

/// Runs the suite; `make` gives a client of an empty registry and the registry's host and port.
/// The registry is to behave as distribution does: blobs are seen by repository, and a manifest
/// is refused while something it refers to is missing.
pub async fn registry<R: Registry + 'static>(make: impl AsyncFn() -> (Arc<R>, String)) {
    let (client, host) = make().await;
    a_manifest_needs_its_blobs_in_its_repository(&*client, &host).await;
    lenient_registry(make).await;
}

/// The same for a registry that takes manifests unseen, as emulators do.
pub async fn lenient_registry<R: Registry + 'static>(make: impl AsyncFn() -> (Arc<R>, String)) {
    let (client, host) = make().await;
    a_pushed_blob_is_pulled_in_its_repository_only(&*client, &host).await;
    let (client, host) = make().await;
    a_mounted_blob_is_there_without_an_upload(&*client, &host).await;
    let (client, host) = make().await;
    content_that_is_not_what_was_promised_is_an_error(&*client, &host).await;
    let (client, host) = make().await;
    a_source_that_cannot_be_read_is_told_apart(&*client, &host).await;
    let (client, host) = make().await;
    a_manifest_is_pulled_as_it_was_pushed(&*client, &host).await;
    let (client, host) = make().await;
    a_list_is_pulled_as_it_was_pushed_and_a_tag_moves(&*client, &host).await;
}

/// Bytes in memory, given out in pieces.
struct Content(Vec<u8>);

#[async_trait]
impl BlobSource for Content {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let pieces: Vec<_> = self
            .0
            .chunks(60_000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Ok(stream::iter(pieces).boxed())
    }
}

/// A source that fails when it is opened, or after some bytes.
enum Failing {
    AtOnce,
    Halfway,
}

#[async_trait]
impl BlobSource for Failing {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let fault = RegistryError::Source {
            what: "the artifact of the test".to_owned(),
            source: "it cannot be read".into(),
        };
        match self {
            Self::AtOnce => Err(fault),
            Self::Halfway => Ok(stream::iter([Ok(Bytes::from_static(b"ha")), Err(fault)]).boxed()),
        }
    }
}

fn repository(host: &str, path: &str) -> Repository {
    Repository::new(host, path).unwrap()
}

fn descriptor(media_type: &str, content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: MediaType::new(media_type),
        size: content.len() as u64,
        digest: Digest::of(content),
    }
}

async fn push(
    client: &dyn Registry,
    to: &Repository,
    media_type: &str,
    bytes: &[u8],
) -> Descriptor {
    let descriptor = descriptor(media_type, bytes);
    let source = Content(bytes.to_vec());
    client.push_blob(to, &descriptor, &source).await.unwrap();
    descriptor
}

async fn pull(
    client: &dyn Registry,
    from: &Repository,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, RegistryError> {
    let pieces: Vec<Bytes> = client.blob(from, descriptor).await?.try_collect().await?;
    Ok(pieces.concat())
}

/// Pushes the blobs of an image and returns its manifest, which is not pushed.
async fn image(client: &dyn Registry, to: &Repository, layer: &[u8]) -> RawManifest {
    let config = push(client, to, MediaType::DOCKER_CONFIG, b"{}").await;
    let layer = push(client, to, MediaType::DOCKER_LAYER, layer).await;
    Manifest::docker(config, vec![layer]).to_raw().unwrap()
}

fn tagged(repository: &Repository, tag: &str) -> (PullSpec, Reference) {
    let spec: PullSpec = format!("{repository}:{tag}").parse().unwrap();
    let reference = spec.reference().clone();
    (spec, reference)
}

fn by_digest(repository: &Repository, digest: &Digest) -> PullSpec {
    format!("{repository}@{digest}").parse().unwrap()
}

fn is_missing<T>(result: &Result<T, RegistryError>) -> bool {
    matches!(result, Err(RegistryError::NotFound { .. }))
}

async fn a_pushed_blob_is_pulled_in_its_repository_only(client: &dyn Registry, host: &str) {
    let (here, elsewhere) = (repository(host, "a/b"), repository(host, "c/d"));
    let large: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    for content in [&b""[..], b"small", &large] {
        let expected = descriptor(MediaType::DOCKER_LAYER, content);
        assert!(!client.has_blob(&here, &expected.digest).await.unwrap());
        let pushed = push(client, &here, MediaType::DOCKER_LAYER, content).await;
        assert!(client.has_blob(&here, &pushed.digest).await.unwrap());
        let pulled = pull(client, &here, &pushed).await.unwrap();
        assert!(pulled == content, "{} bytes", content.len());
        assert!(!client.has_blob(&elsewhere, &pushed.digest).await.unwrap());
        assert!(is_missing(&pull(client, &elsewhere, &pushed).await));
        // What is there already may be pushed again.
        push(client, &here, MediaType::DOCKER_LAYER, content).await;
    }
}

async fn a_mounted_blob_is_there_without_an_upload(client: &dyn Registry, host: &str) {
    let (from, to) = (repository(host, "a/b"), repository(host, "c/d"));
    let blob = push(client, &from, MediaType::DOCKER_LAYER, b"layer").await;
    assert!(client.mount_blob(&to, &from, &blob.digest).await.unwrap());
    assert_eq!(pull(client, &to, &blob).await.unwrap(), b"layer");

    let missing = Digest::of(b"never pushed");
    assert!(!client.mount_blob(&to, &from, &missing).await.unwrap());
    assert!(!client.has_blob(&to, &missing).await.unwrap());
    // A refusal does not stand in the way of the upload that follows it.
    let pushed = push(client, &to, MediaType::DOCKER_LAYER, b"never pushed").await;
    assert!(client.has_blob(&to, &pushed.digest).await.unwrap());
}

async fn content_that_is_not_what_was_promised_is_an_error(client: &dyn Registry, host: &str) {
    let here = repository(host, "a/b");
    let promised = descriptor(MediaType::DOCKER_LAYER, b"right");
    let source = Content(b"wrong".to_vec());
    client
        .push_blob(&here, &promised, &source)
        .await
        .unwrap_err();
    assert!(!client.has_blob(&here, &promised.digest).await.unwrap());

    let mut pushed = push(client, &here, MediaType::DOCKER_LAYER, b"right").await;
    for size in [4, 6] {
        pushed.size = size;
        let error = pull(client, &here, &pushed).await.unwrap_err();
        assert_eq!(error.class(), Class::Reject, "{size}: {error:?}");
    }
}

async fn a_source_that_cannot_be_read_is_told_apart(client: &dyn Registry, host: &str) {
    let here = repository(host, "a/b");
    let promised = descriptor(MediaType::DOCKER_LAYER, b"half of it");
    for source in [Failing::AtOnce, Failing::Halfway] {
        let failed = client.push_blob(&here, &promised, &source).await;
        assert!(
            matches!(failed, Err(RegistryError::Source { .. })),
            "{failed:?}"
        );
        assert!(!client.has_blob(&here, &promised.digest).await.unwrap());
    }
}

async fn a_manifest_is_pulled_as_it_was_pushed(client: &dyn Registry, host: &str) {
    let here = repository(host, "a/b");
    let (spec, reference) = tagged(&here, "v1");
    assert!(is_missing(&client.pull(&spec).await));
    let manifest = image(client, &here, b"layer").await;
    client
        .push_manifest(&here, &reference, &manifest)
        .await
        .unwrap();
    let digest = manifest.digest();
    for spec in [spec, by_digest(&here, &digest)] {
        let pulled = client.pull(&spec).await.unwrap();
        assert_eq!(pulled, manifest, "{}", spec.as_str());
    }
    let other = by_digest(&here, &Digest::of(b"another manifest"));
    assert!(is_missing(&client.pull(&other).await));

    let second = image(client, &here, b"second").await;
    let reference = Reference::Digest(second.digest());
    client
        .push_manifest(&here, &reference, &second)
        .await
        .unwrap();
    let pulled = client.pull(&by_digest(&here, &second.digest())).await;
    assert_eq!(pulled.unwrap(), second);
}

async fn a_manifest_needs_its_blobs_in_its_repository(client: &dyn Registry, host: &str) {
    let (here, elsewhere) = (repository(host, "a/b"), repository(host, "c/d"));
    let manifest = image(client, &elsewhere, b"layer").await;
    let (spec, reference) = tagged(&here, "v1");
    let refused = client.push_manifest(&here, &reference, &manifest).await;
    // A registry of several replicas may know them a moment later.
    assert_ne!(refused.unwrap_err().class(), Class::Bug);
    assert!(is_missing(&client.pull(&spec).await));
}

async fn a_list_is_pulled_as_it_was_pushed_and_a_tag_moves(client: &dyn Registry, host: &str) {
    let here = repository(host, "a/b");
    let manifest = image(client, &here, b"layer").await;
    let (spec, reference) = tagged(&here, "v1");
    assert_eq!(client.tagged(&here, "v1").await.unwrap(), None);
    client
        .push_manifest(&here, &reference, &manifest)
        .await
        .unwrap();
    let named = client.tagged(&here, "v1").await.unwrap();
    assert_eq!(named, Some(manifest.digest()));
    let list = ManifestList::docker(vec![ManifestListEntry {
        descriptor: descriptor(MediaType::DOCKER_MANIFEST, &manifest.bytes),
        platform: Some(Platform::linux(&"amd64".parse().unwrap())),
        artifact_type: None,
    }]);
    let list = list.to_raw().unwrap();
    client
        .push_manifest(&here, &reference, &list)
        .await
        .unwrap();
    assert_eq!(client.pull(&spec).await.unwrap(), list);
    let named = client.tagged(&here, "v1").await.unwrap();
    assert_eq!(named, Some(list.digest()));
    let image = by_digest(&here, &manifest.digest());
    assert_eq!(client.pull(&image).await.unwrap(), manifest);
}
