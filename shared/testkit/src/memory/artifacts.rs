//! Artifacts in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::Digest;
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, Bytestream, Clock, Stored,
};
use iib_request::RequestId;
use jiff::Timestamp;

use super::lock;

/// Artifacts by name, whole in memory.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct MemoryArtifacts {
    stored: Mutex<BTreeMap<ArtifactKey, (Bytes, Timestamp)>>,
    clock: Option<Arc<dyn Clock>>,
}

impl MemoryArtifacts {
    /// A store that knows when artifacts were stored; without a clock all are very old.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock: Some(clock),
            ..Self::default()
        }
    }

    /// Names of what is there.
    pub fn keys(&self) -> Vec<ArtifactKey> {
        lock(&self.stored).keys().cloned().collect()
    }
}

#[async_trait]
impl Artifacts for MemoryArtifacts {
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        let pieces: Vec<Bytes> = content.try_collect().await?;
        let bytes = Bytes::from(pieces.concat());
        let (size, digest) = (bytes.len() as u64, Digest::of(&bytes));
        let now = self.clock.as_ref().map(|clock| clock.now());
        let stored = (bytes, now.unwrap_or(Timestamp::UNIX_EPOCH));
        lock(&self.stored).insert(key.clone(), stored);
        Ok(Stored { size, digest })
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let bytes = lock(&self.stored).get(key).map(|(bytes, _)| bytes.clone());
        let bytes = bytes.ok_or_else(|| ArtifactError::Missing(key.clone()))?;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        lock(&self.stored).remove(key);
        Ok(())
    }

    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        let stored = lock(&self.stored);
        let wanted = |key: &ArtifactKey| {
            key.root() == root
                && (request.is_none() || key.request() == request)
                && after.is_none_or(|after| key > after)
        };
        let found = stored.iter().filter(|(key, _)| wanted(key));
        let found = found.map(|(key, (bytes, stored))| Artifact {
            key: key.clone(),
            size: bytes.len() as u64,
            stored: *stored,
        });
        Ok(found.take(limit as usize).collect())
    }

    async fn link(&self, _key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        Ok(None)
    }
}
