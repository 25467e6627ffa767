//! A registry in memory, behind the port: no protocol, no socket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository, Resolved};
use iib_ports::{
    BlobSource, BlobStream, Keyring, Registries, Registry, RegistryError, Tags, Transferred,
};

use super::lock;

/// All registries there are, by the hosts in the names. Blobs are seen by repository, and a
/// manifest is refused while something it refers to is missing, as in distribution.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    repositories: Mutex<BTreeMap<Repository, Held>>,
    /// Pull specs whose tags nobody may move.
    locked: Mutex<BTreeSet<String>>,
}

/// The same for everybody, whoever they are.
#[derive(Debug, Clone, Default)]
pub struct MemoryRegistries(pub Arc<MemoryRegistry>);

impl Registries for MemoryRegistries {
    fn with(&self, _: Keyring) -> Arc<dyn Registry> {
        self.0.clone()
    }

    fn take_transferred(&self) -> Transferred {
        Transferred::default()
    }
}

/// What a repository holds.
#[derive(Debug, Default)]
struct Held {
    blobs: BTreeMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, RawManifest>,
    tags: BTreeMap<String, Digest>,
}

impl MemoryRegistry {
    /// Digest a tag points to.
    pub fn tag(&self, repository: &Repository, tag: &str) -> Option<Digest> {
        let repositories = lock(&self.repositories);
        repositories.get(repository)?.tags.get(tag).cloned()
    }

    /// Every tag there is, as a pull spec, and the digest it points to.
    pub fn tags(&self) -> BTreeMap<String, Digest> {
        let repositories = lock(&self.repositories);
        let tags = repositories.iter().flat_map(|(repository, held)| {
            let tags = held.tags.iter();
            tags.map(move |(tag, digest)| (format!("{repository}:{tag}"), digest.clone()))
        });
        tags.collect()
    }

    /// Refuses to move a tag from now on.
    pub fn lock_tag(&self, spec: impl Into<String>) {
        lock(&self.locked).insert(spec.into());
    }

    /// Puts a blob into a repository.
    pub fn put_blob(&self, repository: &Repository, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::of(&content);
        let mut repositories = lock(&self.repositories);
        let held = repositories.entry(repository.clone()).or_default();
        held.blobs.insert(digest.clone(), content);
        digest
    }

    fn found_blob(&self, repository: &Repository, digest: &Digest) -> Option<Bytes> {
        let repositories = lock(&self.repositories);
        repositories.get(repository)?.blobs.get(digest).cloned()
    }
}

fn image_name(repository: &Repository, reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn blob_name(repository: &Repository, digest: &Digest) -> String {
    format!("blob {digest} of {repository}")
}

fn mismatch(what: String, expected: String, got: String) -> RegistryError {
    RegistryError::Mismatch {
        what,
        expected,
        got,
    }
}

impl Held {
    /// Digests a manifest refers to and the repository does not have.
    fn missing(&self, manifest: &RawManifest) -> Result<BTreeSet<Digest>, iib_oci::ManifestError> {
        let missing = match manifest.read()? {
            Resolved::Image(image) => std::iter::once(image.config)
                .chain(image.layers)
                .map(|blob| blob.digest)
                .filter(|digest| !self.blobs.contains_key(digest))
                .collect(),
            Resolved::List(list) => list
                .manifests
                .into_iter()
                .map(|entry| entry.descriptor.digest)
                .filter(|digest| !self.manifests.contains_key(digest))
                .collect(),
        };
        Ok(missing)
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let repositories = lock(&self.repositories);
        let found = repositories.get(repository).and_then(|held| {
            let digest = match reference {
                Reference::Digest(digest) => digest,
                Reference::Tag(tag) => held.tags.get(tag)?,
            };
            held.manifests.get(digest).cloned()
        });
        found.ok_or_else(|| RegistryError::NotFound {
            what: image_name(repository, reference),
        })
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let what = blob_name(repository, &descriptor.digest);
        let Some(content) = self.found_blob(repository, &descriptor.digest) else {
            return Err(RegistryError::NotFound { what });
        };
        let (expected, got) = (descriptor.size, content.len() as u64);
        let end =
            (expected != got).then(|| Err(mismatch(what, expected.to_string(), got.to_string())));
        Ok(stream::iter([Ok(content)].into_iter().chain(end)).boxed())
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        Ok(self.found_blob(repository, digest).is_some())
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        if to.registry() != from.registry() {
            return Ok(false);
        }
        let Some(content) = self.found_blob(from, digest) else {
            return Ok(false);
        };
        self.put_blob(to, content);
        Ok(true)
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        let pieces: Vec<Bytes> = source.open().await?.try_collect().await?;
        let content = pieces.concat();
        let (expected, got) = (&descriptor.digest, Digest::of(&content));
        if *expected != got {
            let what = blob_name(repository, expected);
            return Err(mismatch(what, expected.to_string(), got.to_string()));
        }
        self.put_blob(repository, content);
        Ok(())
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let repositories = lock(&self.repositories);
        let held = repositories.get(repository);
        Ok(held.and_then(|held| held.tags.get(tag).cloned()))
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        let name = image_name(repository, reference);
        if lock(&self.locked).contains(&name) {
            return Err(RegistryError::Denied {
                registry: repository.registry().to_owned(),
                what: name,
                status: 403,
                login: "its tag is locked".to_owned(),
            });
        }
        let refused = |reason: String| RegistryError::Refused {
            registry: repository.registry().to_owned(),
            what: format!("manifest {reference} of {repository}"),
            status: 400,
            reason,
        };
        let mut repositories = lock(&self.repositories);
        let held = repositories.entry(repository.clone()).or_default();
        let missing = held
            .missing(manifest)
            .map_err(|error| refused(format!("MANIFEST_INVALID: {error}")))?;
        if !missing.is_empty() {
            return Err(refused(format!("MANIFEST_BLOB_UNKNOWN: {missing:?}")));
        }
        let digest = manifest.digest();
        match reference {
            Reference::Digest(expected) if *expected != digest => {
                return Err(refused(format!("DIGEST_INVALID: it is {digest}")));
            }
            Reference::Digest(_) => {}
            Reference::Tag(tag) => {
                held.tags.insert(tag.clone(), digest.clone());
            }
        }
        held.manifests.insert(digest, manifest.clone());
        Ok(())
    }
}

#[async_trait]
impl Tags for MemoryRegistry {
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError> {
        if let Some(held) = lock(&self.repositories).get_mut(repository) {
            held.tags.remove(tag);
        }
        Ok(())
    }
}
