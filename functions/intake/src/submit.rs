//! Taking in requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use iib_pipeline::intake::{self, Asker, IntakeDeps, IntakeError, Schedule, Submission};
use iib_ports::Listing;
use iib_request::{Annotations, BatchRow, Form, KindRow, Record};
use serde_json::json;

use crate::answer;
use crate::call::{Call, SameSite};
use crate::key::REPLAYED;
use crate::payload::{Body, OptionalPayload, Payload};
use crate::problem::Problem;
use crate::public_url::BuildsUrl;
use crate::show::{Id, Shower};

/// `POST /builds/<kind>` (spec rest-api §4).
pub(crate) async fn submit(
    kind: &'static KindRow,
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    call: Call,
    Payload(payload): Payload,
) -> Result<Response, Problem> {
    let asker = call.asker(|| vec![json!(kind.name), json!(payload)]);
    let taking = Taking::new(&deps, &*listing, asker, Schedule::One);
    let taken = taking.take(async || {
        let submission = intake::read(&deps, kind, &payload, call.user.as_deref())?;
        Ok((None, vec![submission]))
    });
    one(&deps, call.builds, taken.await?).await
}

/// `POST /builds/<id>/rollback`: a request that undoes what another one did to its index. Without a body
/// nothing is asked for besides.
pub(crate) async fn rollback(
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    Id(id): Id,
    call: Call,
    // Without a body any page may send it.
    _: SameSite,
    OptionalPayload(payload): OptionalPayload,
) -> Result<Response, Problem> {
    let asker = call.asker(|| vec![json!("rollback"), json!(id), json!(payload)]);
    let taking = Taking::new(&deps, &*listing, asker, Schedule::One);
    let taken = taking.take(async || {
        let user = call.user.as_deref();
        let submission = intake::read_rollback(&deps, id, &payload, user).await?;
        Ok((None, vec![submission]))
    });
    one(&deps, call.builds, taken.await?).await
}

/// `POST /builds/<batch>` (spec rest-api §4.8).
pub(crate) async fn submit_batch(
    batch: &'static BatchRow,
    State(deps): State<Arc<IntakeDeps>>,
    State(listing): State<Arc<dyn Listing>>,
    call: Call,
    Body(body): Body,
) -> Result<Response, Problem> {
    let asker = call.asker(|| vec![json!(batch.name), body.clone()]);
    let taking = Taking::new(&deps, &*listing, asker, Schedule::Several);
    let taken = taking.take(async || {
        let user = call.user.as_deref();
        let read = |kind: &'static KindRow, payload: &_| intake::read(&deps, kind, payload, user);
        Ok(batch.read(&body, &deps.api, read)?)
    });
    several(&deps, call.builds, taken.await?).await
}

/// A call that is taken, once.
struct Taking<'a> {
    deps: &'a IntakeDeps,
    listing: &'a dyn Listing,
    asker: Asker,
    schedule: Schedule,
}

/// What a call asks for, with what is noted on its batch.
type Asked = (Option<Annotations>, Vec<Submission>);

/// The requests of a call, and whether it was answered before.
type Taken = (Vec<Record>, Answered);

impl<'a> Taking<'a> {
    fn new(
        deps: &'a IntakeDeps,
        listing: &'a dyn Listing,
        asker: Asker,
        schedule: Schedule,
    ) -> Self {
        Self {
            deps,
            listing,
            asker,
            schedule,
        }
    }

    /// Stores what is asked for; of a call that was taken before, gives what that made. Nothing that was taken is
    /// refused for what has changed since.
    async fn take(
        self,
        read: impl AsyncFnOnce() -> Result<Asked, Problem>,
    ) -> Result<Taken, Problem> {
        let before = self.before().await?;
        if !before.is_empty() {
            return Ok((before, Answered::Before));
        }
        let (annotations, submissions) = read().await?;
        let (user, count) = (self.asker.user.as_deref(), submissions.len() as u64);
        if let Err(refusal) = intake::check_live(self.deps, self.listing, user, count).await {
            // The very call may have been taken meanwhile.
            let before = self.before().await?;
            return match before.is_empty() {
                true => Err(refusal.into()),
                false => Ok((before, Answered::Before)),
            };
        }
        let Self {
            deps,
            asker,
            schedule,
            ..
        } = self;
        let records = intake::submit_all(deps, asker, annotations, submissions, schedule).await?;
        Ok((records, Answered::Now))
    }

    async fn before(&self) -> Result<Vec<Record>, IntakeError> {
        intake::repeated(self.deps, &self.asker, self.schedule).await
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
    (records, answered): Taken,
) -> Result<Response, Problem> {
    let record = records.first().ok_or(IntakeError::Nothing)?;
    let shower = Shower::new(deps, [record], builds).await?;
    Ok(answered.with(Json(shower.show(record, Form::Verbose))))
}

/// Shows the requests of a batch.
async fn several(
    deps: &IntakeDeps,
    builds: BuildsUrl,
    (records, answered): Taken,
) -> Result<Response, Problem> {
    let shower = Shower::new(deps, &records, builds).await?;
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
