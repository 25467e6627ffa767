//! Taking in requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::{Form, View};

use crate::caller::Caller;
use crate::payload::Payload;
use crate::problem::Problem;
use crate::public_url::BuildsUrl;

/// `POST /builds/add` (spec rest-api §4.4).
pub(crate) async fn add(
    State(deps): State<Arc<IntakeDeps>>,
    Caller(user): Caller,
    BuildsUrl(builds): BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let submission = intake::read_add(&deps, &payload, user.as_deref())?;
    let record = intake::submit_add(&deps, user, submission).await?;
    let view = View::new(&record, Form::Verbose, &builds, &deps.api);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}
