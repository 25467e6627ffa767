//! Taking in requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use iib_pipeline::intake::{self, Asker, IntakeDeps, Submission};
use iib_ports::Listing;
use iib_request::{BatchRow, Form, KindRow};

use crate::answer;
use crate::caller::Caller;
use crate::payload::{Body, Payload};
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};

/// `POST /builds/<kind>` (spec rest-api §4).
pub(crate) async fn submit(
    kind: &'static KindRow,
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Caller(user): Caller,
    builds: BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let submission = intake::read(&deps, kind, &payload, user.as_deref())?;
    intake::check_live(&deps, &*listing, user.as_deref(), 1).await?;
    created(&deps, user, builds, submission).await
}

/// Takes a request in, and shows it.
async fn created(
    deps: &IntakeDeps,
    user: Option<String>,
    builds: BuildsUrl,
    submission: Submission,
) -> Result<Response, Problem> {
    let record = intake::submit(deps, asker(user, &builds), submission).await?;
    let shower = Shower::new(deps, [&record], builds).await?;
    let view = shower.show(&record, Form::Verbose);
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// `POST /builds/<id>/rollback`: a request that undoes what another one did to its index. Without a body
/// nothing is asked for besides.
pub(crate) async fn rollback(
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Id(id): Id,
    Caller(user): Caller,
    builds: BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let submission = intake::read_rollback(&deps, id, &payload, user.as_deref()).await?;
    intake::check_live(&deps, &*listing, user.as_deref(), 1).await?;
    created(&deps, user, builds, submission).await
}

/// `POST /builds/<batch>` (spec rest-api §4.8).
pub(crate) async fn submit_batch(
    batch: &'static BatchRow,
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Caller(user): Caller,
    builds: BuildsUrl,
    Body(body): Body,
) -> Result<Response, Problem> {
    let read =
        |kind: &'static KindRow, payload: &_| intake::read(&deps, kind, payload, user.as_deref());
    let (annotations, submissions) = batch.read(&body, &deps.api, read)?;
    let count = submissions.len() as u64;
    intake::check_live(&deps, &*listing, user.as_deref(), count).await?;
    let asker = asker(user, &builds);
    let records = intake::submit_batch(&deps, asker, annotations, submissions).await?;
    let shower = Shower::new(&deps, &records, builds).await?;
    let shown = |form| {
        let views = records.iter().map(|record| shower.show(record, form));
        let views: Vec<_> = views.collect();
        let batch = records.first().map_or(0, |record| record.batch.0);
        let instead =
            format!("the requests are stored; list them in pages, with \"batch={batch}\"");
        answer::within_limit(&views, &instead)
    };
    // They are stored, so whoever asked has to learn of them.
    let answer = shown(Form::Verbose).or_else(|_| shown(Form::Short))?;
    Ok((StatusCode::CREATED, answer).into_response())
}

fn asker(user: Option<String>, builds: &BuildsUrl) -> Asker {
    Asker {
        user,
        asked_at: builds.base(),
        once: None,
    }
}
