//! What the handlers of the API work with.

use std::sync::Arc;

use axum::extract::FromRef;
use iib_pipeline::intake::IntakeDeps;
use iib_ports::{Listing, Tokens, Watch};

/// The ports of the API. A handler takes the part it needs, so that its signature shows what it can reach. What lists
/// requests and waits for them is apart from the rest, because only the API may.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Api {
    /// Taking in requests, and what became of them.
    pub intake: Arc<IntakeDeps>,
    /// Pages of requests.
    pub listing: Arc<dyn Listing>,
    /// Waiting for changes of requests.
    pub watch: Arc<dyn Watch>,
    /// What verifies the tokens that callers show; without it tokens say nothing.
    pub tokens: Option<Arc<dyn Tokens>>,
}

impl FromRef<Api> for Arc<IntakeDeps> {
    fn from_ref(api: &Api) -> Self {
        api.intake.clone()
    }
}

impl FromRef<Api> for Arc<dyn Listing> {
    fn from_ref(api: &Api) -> Self {
        api.listing.clone()
    }
}

impl FromRef<Api> for Arc<dyn Watch> {
    fn from_ref(api: &Api) -> Self {
        api.watch.clone()
    }
}
