//! Intermediate results between stages.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use iib_oci::Digest;
use iib_request::RequestId;

use crate::{Class, Classify};

/// A stream of bytes from the artifact store.
pub type Bytestream = Pin<Box<dyn Stream<Item = Result<Bytes, ArtifactError>> + Send>>;

/// Name of an artifact: `work/<request>/<name>`. All of a request's artifacts share a prefix, so
/// that they can be removed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactKey(String);

impl ArtifactKey {
    /// The index layer of a request. A stage that runs again writes the same bytes, because
    /// layers are deterministic, so the request is name enough.
    pub fn layer(request: RequestId) -> Self {
        Self(format!("work/{request}/layer.tar.gz"))
    }

    /// The name as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Size in bytes.
    pub size: u64,
    /// Digest of the bytes.
    pub digest: Digest,
}

/// The store of artifacts: files on one machine, a bucket on AWS.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Stores a stream. Readers see the old content or the whole new one, never a part; a stream
    /// that ends in an error leaves things as they were.
    ///
    /// # Errors
    /// [`ArtifactError`], also the stream's own.
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError>;

    /// Opens an artifact for reading.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] if there is none.
    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError>;

    /// Removes an artifact; it need not be there.
    ///
    /// # Errors
    /// [`ArtifactError`].
    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError>;
}

/// An artifact could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// There is no such artifact.
    #[error("artifact {0} does not exist")]
    Missing(ArtifactKey),
    /// The store failed.
    #[error("artifact {key} could not be {action}")]
    Unavailable {
        /// Which artifact.
        key: ArtifactKey,
        /// What was tried, as a participle: `written`, `read`, `removed`.
        action: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for ArtifactError {
    fn class(&self) -> Class {
        match self {
            Self::Missing(_) => Class::Bug,
            Self::Unavailable { .. } => Class::Retry,
        }
    }
}
