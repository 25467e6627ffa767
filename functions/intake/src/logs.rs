//! Build logs.

use std::sync::Arc;

use axum::extract::{Query, State};
use iib_pipeline::intake::{self, IntakeDeps, LogPart};

use crate::problem::Problem;
use crate::show::Id;

/// `GET /builds/<id>/logs` (spec rest-api §9). Ours: with `live=true` there is an answer while
/// the request goes on, for those who watch it.
pub(crate) async fn read(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<String, Problem> {
    let live = query
        .iter()
        .any(|(name, value)| name == "live" && value == "true");
    let part = if live { LogPart::SoFar } else { LogPart::Whole };
    Ok(intake::logs(&deps, id, part).await?)
}
