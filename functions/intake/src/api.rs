//! What the handlers of the API work with.

use std::sync::Arc;

use axum::extract::FromRef;
use iib_pipeline::intake::IntakeDeps;
use iib_ports::{Listing, Tokens};

/// The state of the router. A handler takes the part it needs, so that its signature shows what it
/// can reach.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) intake: Arc<IntakeDeps>,
    pub(crate) listing: Arc<dyn Listing>,
    /// Without them tokens say nothing.
    pub(crate) tokens: Option<Arc<dyn Tokens>>,
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
