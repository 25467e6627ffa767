//! What is around every call.

use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::HeaderMap;
use iib_edge::telemetry::goes_on_from;
use iib_ports::TRACE;
use iib_request::TraceParent;
use tracing::{Instrument, Span, error, field, info_span};

use crate::problem::{Problem, into_document, is_accepted};

/// Opens a span for the call and turns a panic into an answer, so that a connection or an
/// invocation is not lost with it. The query is left out of the span: it is the client's text.
pub(crate) async fn frame(request: Request, next: Next) -> Response {
    let span = info_span!("call", http.method = %request.method(), http.path = request.uri().path(), user = field::Empty);
    let traced = traced(&request);
    let path = is_accepted(request.headers()).then(|| request.uri().path().to_owned());
    // What the handler shares with others is behind ports, which are safe to use after a panic.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answered = async {
        let answer = answer.await.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("without a text");
            error!(panic = text, "handler panicked");
            Problem::internal().into_response()
        });
        match path {
            Some(path) => into_document(answer, &path),
            None => answer,
        }
    }
    .instrument(span)
    .instrument(traced.clone());
    let answer = answered.await;
    let status = answer.status();
    let code = i64::from(status.as_u16());
    traced.record("http.response.status_code", code);
    if status.is_server_error() {
        traced.record("otel.status_code", "ERROR");
    }
    answer
}

/// The span of the call, which goes on from where the client says it is.
fn traced(request: &Request) -> Span {
    let (method, route) = (request.method(), request.extensions().get::<MatchedPath>());
    let route = route.map(MatchedPath::as_str);
    let span = info_span!(
        target: TRACE,
        "call",
        otel.name = route.map_or_else(|| method.to_string(), |route| format!("{method} {route}")),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method.as_str(),
        http.route = route,
        http.response.status_code = field::Empty,
        url.path = request.uri().path(),
        url.scheme = request.uri().scheme_str(),
    );
    goes_on_from(&span, traceparent(request.headers()).as_ref());
    span
}

/// What the client says, if it says one thing.
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(one), None) => one.to_str().ok()?.parse().ok(),
        _ => None,
    }
}
