//! Changes from outside.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::Form;

use crate::call::ForReal;
use crate::caller::Worker;
use crate::payload::Ordered;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};

/// `PATCH /builds/<id>` (spec rest-api §8).
pub(crate) async fn patch(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    _: Worker,
    _: ForReal,
    builds: BuildsUrl,
    Ordered(members): Ordered,
) -> Result<Response, Problem> {
    let record = intake::patch(&deps, id, &members).await?;
    let shower = Shower::new(&deps, [&record], builds).await?;
    Ok(Json(shower.show(&record, Form::Verbose)).into_response())
}
