//! What the tests share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use iib_oci::{Descriptor, Digest, Manifest, MediaType, PullSpec, RawManifest, Repository};
use iib_ports::{BlobSource, BlobStream, RegistryError};
use iib_registry::{RegistryClient, RegistryConfig};

/// Settings for a registry on plain HTTP, with waits too short to notice.
pub(crate) fn config(host: &str) -> RegistryConfig {
    RegistryConfig {
        insecure_registries: BTreeSet::from([host.to_owned()]),
        attempts: 3,
        backoff_base: Duration::from_millis(1),
        backoff_cap: Duration::from_millis(4),
        retry_after_cap: Duration::from_millis(4),
        // Generous, for a machine that is busy with other tests.
        idle_timeout: Duration::from_secs(20),
        ..RegistryConfig::default()
    }
}

pub(crate) fn client(host: &str) -> RegistryClient {
    RegistryClient::new(config(host)).unwrap()
}

/// A client that does not wait long for a registry that says nothing.
pub(crate) fn impatient_client(host: &str) -> RegistryClient {
    RegistryClient::new(RegistryConfig {
        idle_timeout: Duration::from_millis(500),
        ..config(host)
    })
    .unwrap()
}

pub(crate) fn repository(host: &str, path: &str) -> Repository {
    Repository::new(host, path).unwrap()
}

pub(crate) fn image(host: &str, rest: &str) -> PullSpec {
    format!("{host}/{rest}").parse().unwrap()
}

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: MediaType::new(MediaType::DOCKER_LAYER),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

/// A manifest with odd spacing, which must survive.
pub(crate) fn manifest() -> RawManifest {
    let manifest = Manifest::docker(descriptor(b"{}"), vec![descriptor(b"layer")]);
    let mut raw = manifest.to_raw().unwrap();
    raw.bytes.extend_from_slice(b" \n\n");
    raw
}

/// Content that differs at every place, so that a wrong seam shows.
pub(crate) fn content(length: usize) -> Bytes {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

pub(crate) async fn read(blob: Result<BlobStream, RegistryError>) -> Result<Bytes, RegistryError> {
    blob?
        .try_fold(Vec::new(), async |mut all, chunk| {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .map(Bytes::from)
}

/// Content from memory, in pieces; counts how often it is opened.
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(crate) opened: AtomicUsize,
}

impl Content {
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            opened: AtomicUsize::new(0),
        }
    }

    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl BlobSource for Content {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let pieces: Vec<Bytes> = self
            .bytes
            .chunks(1000)
            .map(Bytes::copy_from_slice)
            .collect();
        Ok(stream::iter(pieces).map(Ok).boxed())
    }
}
