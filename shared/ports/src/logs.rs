//! Build logs: the curated lines that users read, while a request goes on. When it has ended its
//! log becomes an artifact (`ArtifactKey::log`).

use async_trait::async_trait;
use iib_request::RequestId;

use crate::StoreError;

/// The log of each request. Lines come in the order in which they were appended.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Appends lines; each ends with a newline when read.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError>;

    /// The log as it stands; `None` if nothing was ever written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError>;

    /// Removes the log; it need not be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn remove(&self, id: RequestId) -> Result<(), StoreError>;
}
