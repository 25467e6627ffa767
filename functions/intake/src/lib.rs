#![doc = include_str!("../README.md")]

mod answer;
mod api;
mod call;
mod caller;
mod cancel;
mod changes;
mod documents;
mod endpoint;
mod endpoints;
mod events;
mod frame;
mod gateway;
mod health;
mod hosts;
mod key;
mod logs;
mod pages;
mod patch;
mod payload;
mod problem;
mod public_url;
mod ready;
mod reference;
mod show;
mod submit;
mod uploads;
mod wait;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawPathParams};
use axum::middleware::from_fn;
use axum::routing::get;
use iib_request::RequestId;

pub use api::Api;
pub use caller::User;
pub use events::events;
pub use gateway::{Gateway, gateway};
pub use hosts::on_loopback;
pub use reference::openapi_document;

use endpoint::Endpoints;
use problem::Problem;

/// Largest body that is read, bytes. A call that adds thousands of bundles stays far below.
const BODY_LIMIT: usize = 1024 * 1024;

/// The REST API (spec rest-api) and the pages for people, answering whatever is asked: errors of the API, unknown paths
/// and panics are JSON objects too; errors of pages are pages, and so are unknown paths for browsers.
pub fn router(api: Api) -> Router {
    Endpoints::of_the_api()
        .router(&api)
        .route("/readyz", get(ready::ready))
        .merge(pages::router(&api))
        .fallback(pages::nowhere)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(frame::frame))
        .with_state(api)
}

/// A path that is known for other methods only. An id that is none makes the path unknown,
/// which comes first (spec rest-api §1).
async fn not_allowed(params: RawPathParams) -> Problem {
    let known = |(name, value): (&str, &str)| name != "id" || value.parse::<RequestId>().is_ok();
    if params.iter().all(known) {
        Problem::method_not_allowed()
    } else {
        Problem::not_found()
    }
}
