//! Taking tags away.

use std::convert::Infallible;

use async_trait::async_trait;
use bytes::Bytes;
use iib_oci::{Descriptor, Digest, Manifest, MediaType, RawManifest, Reference, Repository};
use iib_ports::{InMemory, RegistryError, Tags};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::RegistryClient;
use crate::call::Caller;
use crate::refusal;
use crate::target::Target;
use crate::transport::Outgoing;

#[async_trait]
impl Tags for RegistryClient {
    /// Newer registries remove a tag when asked to. Older ones (distribution 2) remove manifests
    /// only, with all their tags; there the tag is moved to a manifest of its own first, and that
    /// is removed. The manifest the tag named is left alone in either case.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with status 405 if the registry removes nothing at all; the tag
    /// is then as it was.
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError> {
        self.caller().remove_tag(repository, tag).await
    }
}

/// What became of an attempt to remove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    /// It is gone, or was never there.
    Gone,
    /// The registry does not remove such a thing.
    Unsupported,
}

impl Caller {
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError> {
        let reference = Reference::Tag(tag.to_owned());
        let target = Target::removal(repository, &reference);
        let there = self
            .with_retry(&target, || self.named_by(&target, &reference))
            .await?;
        if there.is_none() || self.remove_manifest(&target, &reference).await? == Removal::Gone {
            return Ok(());
        }
        let stand_in = StandIn::new(repository, tag).map_err(|_| {
            target.protocol("a manifest of ours could not be written, which is our fault")
        })?;
        let digest = Reference::Digest(stand_in.manifest.digest());
        // A registry that removes nothing says so for this one too, before anything is changed.
        if self.remove_manifest(&target, &digest).await? == Removal::Unsupported {
            return Err(self.refusal(&target, &digest).await);
        }
        let config = InMemory(stand_in.config);
        self.push_blob(repository, &stand_in.descriptor, &config)
            .await?;
        self.push_manifest(repository, &reference, &stand_in.manifest)
            .await?;
        match self.remove_manifest(&target, &digest).await? {
            Removal::Gone => Ok(()),
            Removal::Unsupported => Err(self.refusal(&target, &digest).await),
        }
    }

    async fn remove_manifest(
        &self,
        target: &Target,
        reference: &Reference,
    ) -> Result<Removal, RegistryError> {
        let url = self.url(target, &format!("manifests/{reference}"))?;
        let outgoing = Outgoing::new(Method::DELETE, url);
        self.with_retry(target, async || {
            let response = self.attempt(target, &outgoing).await?;
            match response.status() {
                StatusCode::NOT_FOUND => Ok(Removal::Gone),
                // Distribution 2 takes a tag here for a digest that is none, or knows no such
                // call at all where removing is switched off.
                StatusCode::BAD_REQUEST
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED => Ok(Removal::Unsupported),
                status if status.is_success() => Ok(Removal::Gone),
                _ => Err(refusal::failure(target, response).await),
            }
        })
        .await
    }

    /// The registry's own words for not removing anything.
    async fn refusal(&self, target: &Target, reference: &Reference) -> RegistryError {
        let url = match self.url(target, &format!("manifests/{reference}")) {
            Ok(url) => url,
            Err(error) => return error,
        };
        let outgoing = Outgoing::new(Method::DELETE, url);
        let refused: Result<Infallible, _> = self
            .with_retry(target, async || {
                let response = self.attempt(target, &outgoing).await?;
                Err(refusal::refused(target, response).await.into())
            })
            .await;
        match refused {
            Err(error) => error,
        }
    }
}

/// An image without content that no other tag names: it says itself which tag it is for.
struct StandIn {
    config: Bytes,
    descriptor: Descriptor,
    manifest: RawManifest,
}

impl StandIn {
    fn new(repository: &Repository, tag: &str) -> Result<Self, serde_json::Error> {
        let config = json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {"Labels": {"iib.removed": format!("{repository}:{tag}")}},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = Bytes::from(serde_json::to_vec(&config)?);
        let descriptor = Descriptor {
            media_type: MediaType::new(MediaType::DOCKER_CONFIG),
            size: config.len() as u64,
            digest: Digest::of(&config),
        };
        let manifest = Manifest::docker(descriptor.clone(), Vec::new()).to_raw()?;
        Ok(Self {
            config,
            descriptor,
            manifest,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tag_has_a_stand_in_of_its_own() {
        let mut digests = BTreeSet::new();
        for (path, tag) in [("a/b", "1"), ("a/b", "2"), ("a/c", "1")] {
            let repository = Repository::new("r.example", path).unwrap();
            let stand_in = StandIn::new(&repository, tag).unwrap();
            digests.insert(stand_in.manifest.digest());
        }
        assert_eq!(digests.len(), 3);
    }
}
