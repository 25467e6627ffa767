//! What is said of the API: its description as a document, and as a page. Both are made of the table of calls.

mod document;
mod operation;

use axum::Json;
use iib_request::BaseUrl;
use serde_json::Value;

pub use document::openapi_document;
pub(crate) use operation::{Answer, Content, Operation, Parameter};

use crate::public_url::BuildsUrl;

/// What all paths of the API begin with.
pub(crate) const PREFIX: &str = "/api/v1";

/// `GET /openapi.json`.
pub(crate) async fn openapi(builds: BuildsUrl) -> Json<Value> {
    let base = builds.base().as_ref().map(BaseUrl::to_string);
    Json(document::at(&base.unwrap_or_default()))
}

/// The component with what a call of this kind has in its body.
pub(crate) fn call_of(kind: &str) -> String {
    format!("{}Call", in_one_word(kind))
}

/// The component with what a request of this kind shows.
fn shown_of(kind: &str) -> String {
    format!("{}Request", in_one_word(kind))
}

/// `add-rm-batch` as `AddRmBatch`: clients that are generated have types of these names.
fn in_one_word(kind: &str) -> String {
    let words = kind.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    words.collect()
}
