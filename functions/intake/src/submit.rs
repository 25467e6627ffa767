//! Taking in requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::{Form, KindRow, View};

use crate::caller::Caller;
use crate::payload::Payload;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;

/// `POST /builds/<kind>` (spec rest-api §4).
pub(crate) async fn submit(
    kind: &'static KindRow,
    State(deps): State<Arc<IntakeDeps>>,
    Caller(user): Caller,
    BuildsUrl(builds): BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let submission = intake::read(&deps, kind, &payload, user.as_deref())?;
    let record = intake::submit(&deps, user, submission).await?;
    let view = View::new(&record, Form::Verbose, &builds, &deps.api);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}
