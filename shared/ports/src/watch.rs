//! Waiting until something happens to a request.

use std::time::Duration;

use async_trait::async_trait;
use iib_request::RequestId;

use crate::StoreError;

/// Waiting for changes of requests. Apart from [`crate::Requests`] because only the API waits.
#[async_trait]
pub trait Watch: Send + Sync {
    /// Waits until the stored version of a request is above `known`, for `patience` at most. That of a request
    /// that is not there never is.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changed(
        &self,
        id: RequestId,
        known: u64,
        patience: Duration,
    ) -> Result<Waited, StoreError>;
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// The request is of a newer version.
    Changed,
    /// Its time was over.
    Unchanged,
    /// It did not begin, or was cut short: too many wait, or the service stops.
    Refused,
}
