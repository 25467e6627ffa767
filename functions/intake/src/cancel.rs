//! Stopping requests.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::Form;
use serde_json::{Value, json};

use crate::call::{ForReal, SameSite};
use crate::caller::Caller;
use crate::problem::{Problem, types};
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};

/// `POST /builds/<id>/cancel`: ends it, before anything is pushed. Ours; there is nothing to say in its body.
pub(crate) async fn cancel(
    State(deps): State<Arc<IntakeDeps>>,
    Id(id): Id,
    Caller(user): Caller,
    _: SameSite,
    _: ForReal,
    builds: BuildsUrl,
    body: Bytes,
) -> Result<Response, Problem> {
    let body = body.trim_ascii();
    let says_nothing =
        |body| serde_json::from_slice::<Value>(body).is_ok_and(|body| body == json!({}));
    if !body.is_empty() && !says_nothing(body) {
        let text = "A cancel takes no parameters: send it without a body";
        return Err(Problem::new(&types::UNKNOWN_PARAMETER, text));
    }
    let record = intake::cancel(&deps, id, user.as_deref()).await?;
    let shower = Shower::new(&deps, [&record], builds).await?;
    Ok(Json(shower.show(&record, Form::Verbose)).into_response())
}
