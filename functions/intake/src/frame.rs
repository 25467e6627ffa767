//! What is around every call.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tracing::{Instrument, error, field, info_span};

use crate::problem::{Problem, into_document, is_accepted};

/// Opens a span for the call and turns a panic into an answer, so that a connection or an
/// invocation is not lost with it. The query is left out of the span: it is the client's text.
pub(crate) async fn frame(request: Request, next: Next) -> Response {
    let span = info_span!("call", http.method = %request.method(), http.path = request.uri().path(), user = field::Empty);
    let path = is_accepted(request.headers()).then(|| request.uri().path().to_owned());
    // What the handler shares with others is behind ports, which are safe to use after a panic.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    async {
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
    .await
}
