//! A store with links.

use async_trait::async_trait;
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Stored,
};
use iib_request::RequestId;
use iib_testkit::memory::MemoryArtifacts;

/// A store that gives out links, as a bucket does.
#[derive(Default)]
pub(crate) struct Linking(MemoryArtifacts);

#[async_trait]
impl Artifacts for Linking {
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        self.0.put(key, content).await
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        self.0.get(key).await
    }

    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        self.0.delete(key).await
    }

    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        self.0.list(root, request, after, limit).await
    }

    async fn link(&self, key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        Ok(Some(format!("https://bucket.example/{key}?signature=x")))
    }
}
