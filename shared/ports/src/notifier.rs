//! Telling others about changes of requests.

use async_trait::async_trait;
use iib_request::{Record, Update};

/// Is told every change of a request after it was stored (spec rest-api §10). Failing to tell is
/// never a reason to fail the request, so there is no error.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// `update` was stored; `record` is how the request stands now.
    async fn updated(&self, record: &Record, update: &Update);
}
