//! The service's figures for Prometheus (text format 0.0.4), under the names that they have in CloudWatch.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use iib_local::KeptFigures;
use reqwest::header::CONTENT_TYPE;

/// `GET /metrics`.
pub(crate) fn router(figures: Arc<KeptFigures>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(figures)
}

async fn metrics(State(figures): State<Arc<KeptFigures>>) -> Response {
    match figures.text() {
        Ok(text) => {
            let text_form = "text/plain; version=0.0.4; charset=utf-8";
            ([(CONTENT_TYPE, text_form)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
