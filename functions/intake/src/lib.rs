#![doc = include_str!("../README.md")]

mod answer;
mod api;
mod call;
mod caller;
mod cancel;
mod changes;
mod documents;
mod events;
mod frame;
mod gateway;
mod health;
mod hosts;
mod key;
mod logs;
mod patch;
mod payload;
mod problem;
mod public_url;
mod show;
mod submit;
mod uploads;
mod wait;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawPathParams};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use iib_request::{BATCHES, KINDS, RequestId};

pub use api::Api;
pub use caller::User;
pub use events::events;
pub use gateway::{Gateway, gateway};
pub use hosts::on_loopback;

use problem::{PAGES, Problem, pages};

/// Largest body that is read, bytes. A call that adds thousands of bundles stays far below.
const BODY_LIMIT: usize = 1024 * 1024;

/// The REST API (spec rest-api), answering whatever is asked: errors, unknown paths and panics
/// are JSON objects too.
pub fn router(api: Api) -> Router {
    let kinds = KINDS.iter().fold(Router::new(), |router, kind| {
        let path = format!("/api/v1/builds/{}", kind.name);
        let submit = move |deps: _, listing: _, call: _, payload: _| {
            submit::submit(kind, deps, listing, call, payload)
        };
        router.route(&path, post(submit))
    });
    let kinds = BATCHES.iter().fold(kinds, |router, batch| {
        let path = format!("/api/v1/builds/{}", batch.name);
        let submit = move |deps: _, listing: _, call: _, body: _| {
            submit::submit_batch(batch, deps, listing, call, body)
        };
        router.route(&path, post(submit))
    });
    kinds
        .route("/api/v1/healthcheck", get(health::check))
        .route("/api/v1/builds", get(show::list))
        .route("/api/v1/builds/{id}", get(show::one).patch(patch::patch))
        .route("/api/v1/builds/{id}/logs", get(logs::read))
        .route("/api/v1/builds/{id}/rollback", post(submit::rollback))
        .route("/api/v1/builds/{id}/cancel", post(cancel::cancel))
        .route(
            "/api/v1/builds/{id}/related_bundles",
            get(documents::related_bundles),
        )
        .route(
            "/api/v1/builds/{id}/nested-bundles",
            get(documents::nested_bundles),
        )
        // As the member of the request's document is called, which is what some ask for.
        .route(
            "/api/v1/builds/{id}/nested_bundles",
            get(documents::nested_bundles),
        )
        .route(
            "/api/v1/builds/{id}/deprecation-schema",
            get(documents::deprecation_schema),
        )
        .route("/api/v1/builds/{id}/plan", get(changes::plan))
        .route("/api/v1/builds/{id}/diff", get(changes::diff))
        .route("/api/v1/builds/{id}/graph", get(changes::graph))
        .route("/api/v1/builds/{id}/uploads", get(uploads::list))
        .route(
            "/api/v1/builds/{id}/uploads/{kind}/{digest}/{name}",
            get(uploads::download),
        )
        .route(PAGES, get(pages::list))
        .route(&format!("{PAGES}/{{name}}"), get(pages::one))
        .fallback(async || Problem::not_found())
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
