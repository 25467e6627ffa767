//! Build logs.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use iib_pipeline::intake::{self, IntakeDeps, LogContent, LogPart};

use crate::problem::Problem;
use crate::show::Id;

/// `GET /builds/<id>/logs` (spec rest-api §9). Ours: with `live=true` there is an answer while
/// the request goes on, for those who watch it; and a log that is too large for an answer is
/// sent for elsewhere (302).
pub(crate) async fn read(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let live = query
        .iter()
        .any(|(name, value)| name == "live" && value == "true");
    let part = if live { LogPart::SoFar } else { LogPart::Whole };
    Ok(match intake::logs(&deps, id, part).await? {
        LogContent::Text(text) => text.into_response(),
        LogContent::At(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
    })
}
