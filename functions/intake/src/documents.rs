//! Documents of requests beside their logs (spec rest-api §9).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use iib_pipeline::intake::{self, Document, IntakeDeps};

use crate::answer;
use crate::problem::Problem;
use crate::show::Id;

const JSON: &str = "application/json";
/// There is no other way to it yet.
const TOO_LARGE: &str = "the document is too large for an answer";

/// `GET /builds/<id>/related_bundles`.
pub(crate) async fn related_bundles(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let text = intake::document(&deps, id, Document::RelatedBundles).await?;
    answer::text_within_limit(text, JSON, TOO_LARGE)
}

/// `GET /builds/<id>/nested-bundles`.
pub(crate) async fn nested_bundles(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let text = intake::document(&deps, id, Document::NestedBundles).await?;
    answer::text_within_limit(text, JSON, TOO_LARGE)
}

/// `GET /builds/<id>/deprecation-schema`.
pub(crate) async fn deprecation_schema(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
) -> Result<Response, Problem> {
    let text = intake::deprecation_schema(&deps, id).await?;
    answer::text_within_limit(text, JSON, TOO_LARGE)
}
