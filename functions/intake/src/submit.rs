//! Taking in requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use iib_pipeline::intake::{self, Asker, IntakeDeps, IntakeError, Schedule};
use iib_ports::Listing;
use iib_request::{BatchRow, Form, KindRow, Record};
use serde_json::{Value, json};

use crate::answer;
use crate::caller::Caller;
use crate::key::{IdempotencyKey, REPLAYED};
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
    key: IdempotencyKey,
    builds: BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let asker = asker(&user, &builds, key, || json!([kind.name, payload]));
    let before = intake::repeated(&deps, &asker, Schedule::One).await?;
    if !before.is_empty() {
        return one(&deps, builds, &before, Answered::Before).await;
    }
    let submission = intake::read(&deps, kind, &payload, user.as_deref())?;
    let before = check_live(&deps, &*listing, &asker, 1, Schedule::One).await?;
    if !before.is_empty() {
        return one(&deps, builds, &before, Answered::Before).await;
    }
    let record = intake::submit(&deps, asker, submission).await?;
    one(&deps, builds, &[record], Answered::Now).await
}

/// `POST /builds/<id>/rollback`: a request that undoes what another one did to its index. Without a body
/// nothing is asked for besides.
pub(crate) async fn rollback(
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Id(id): Id,
    Caller(user): Caller,
    key: IdempotencyKey,
    builds: BuildsUrl,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let asker = asker(&user, &builds, key, || json!(["rollback", id, payload]));
    let before = intake::repeated(&deps, &asker, Schedule::One).await?;
    if !before.is_empty() {
        return one(&deps, builds, &before, Answered::Before).await;
    }
    let submission = intake::read_rollback(&deps, id, &payload, user.as_deref()).await?;
    let before = check_live(&deps, &*listing, &asker, 1, Schedule::One).await?;
    if !before.is_empty() {
        return one(&deps, builds, &before, Answered::Before).await;
    }
    let record = intake::submit(&deps, asker, submission).await?;
    one(&deps, builds, &[record], Answered::Now).await
}

/// `POST /builds/<batch>` (spec rest-api §4.8).
pub(crate) async fn submit_batch(
    batch: &'static BatchRow,
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Caller(user): Caller,
    key: IdempotencyKey,
    builds: BuildsUrl,
    Body(body): Body,
) -> Result<Response, Problem> {
    let asker = asker(&user, &builds, key, || json!([batch.name, body]));
    let before = intake::repeated(&deps, &asker, Schedule::Several).await?;
    if !before.is_empty() {
        return several(&deps, builds, &before, Answered::Before).await;
    }
    let read =
        |kind: &'static KindRow, payload: &_| intake::read(&deps, kind, payload, user.as_deref());
    let (annotations, submissions) = batch.read(&body, &deps.api, read)?;
    let count = submissions.len() as u64;
    let before = check_live(&deps, &*listing, &asker, count, Schedule::Several).await?;
    if !before.is_empty() {
        return several(&deps, builds, &before, Answered::Before).await;
    }
    let records = intake::submit_batch(&deps, asker, annotations, submissions).await?;
    several(&deps, builds, &records, Answered::Now).await
}

/// Whether the user may ask for so many more; if not, because the very call was taken meanwhile, what that made.
async fn check_live(
    deps: &IntakeDeps,
    listing: &dyn Listing,
    asker: &Asker,
    count: u64,
    schedule: Schedule,
) -> Result<Vec<Record>, Problem> {
    match intake::check_live(deps, listing, asker.user.as_deref(), count).await {
        Ok(()) => Ok(Vec::new()),
        Err(refusal) => match intake::repeated(deps, asker, schedule).await? {
            before if before.is_empty() => Err(refusal.into()),
            before => Ok(before),
        },
    }
}

/// Whether a call was answered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Now,
    Before,
}

impl Answered {
    /// An answer that says so. Its status is that of the first time, for clients that look for it.
    fn with(self, document: impl IntoResponse) -> Response {
        let mut answer = (StatusCode::CREATED, document).into_response();
        if self == Self::Before {
            let yes = HeaderValue::from_static("true");
            answer.headers_mut().insert(REPLAYED, yes);
        }
        answer
    }
}

/// Shows a request, the only one.
async fn one(
    deps: &IntakeDeps,
    builds: BuildsUrl,
    records: &[Record],
    answered: Answered,
) -> Result<Response, Problem> {
    let record = records.first().ok_or(IntakeError::Nothing)?;
    let shower = Shower::new(deps, [record], builds).await?;
    Ok(answered.with(Json(shower.show(record, Form::Verbose))))
}

/// Shows the requests of a batch.
async fn several(
    deps: &IntakeDeps,
    builds: BuildsUrl,
    records: &[Record],
    answered: Answered,
) -> Result<Response, Problem> {
    let shower = Shower::new(deps, records, builds).await?;
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
    Ok(answered.with(answer))
}

/// Who asks; with the call's key if it has one, by which it is known together with what it says.
fn asker(
    user: &Option<String>,
    builds: &BuildsUrl,
    key: IdempotencyKey,
    call: impl FnOnce() -> Value,
) -> Asker {
    let asker = Asker {
        user: user.clone(),
        asked_at: builds.base(),
        ..Asker::default()
    };
    match key {
        IdempotencyKey(Some(key)) => asker.with_key(&key, &call()),
        IdempotencyKey(None) => asker,
    }
}
