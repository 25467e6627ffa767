//! Storing a request and handing it over.

use std::collections::BTreeMap;

use iib_oci::Digest;
use iib_ports::{
    Class, Created, End, NewBatch, NewRequest, QueueError, Secret, StoreError, TRACE, chain,
};
use iib_request::{
    Annotations, BaseUrl, KindRow, Parameters, Payload, ReadContext, Record, Refusal, Request,
    RequestId, Rollback, SecretRef, Stage, State, Task, Update, queue_of,
};
use jiff::SignedDuration;
use serde_json::Value;
use tracing::{Span, field, info_span, warn};

use super::{IntakeDeps, IntakeError, get};

/// Reason of a request whose first message could not be sent (spec rest-api §11).
const NOT_SCHEDULED: &str = "The scheduling of the request failed";

/// How long a secret is kept that nobody comes to forget: as long as a message can wait in a
/// queue. A request that is done forgets its own at once.
const SECRETS_LIVE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A request and what comes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// What is asked for.
    pub request: Request,
    /// Logins that came with it, by parameter; never part of the record.
    pub secrets: BTreeMap<&'static str, Secret>,
}

impl<R: Into<Request>> From<R> for Submission {
    fn from(request: R) -> Self {
        Self {
            request: request.into(),
            secrets: BTreeMap::new(),
        }
    }
}

/// Who asks, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// The user, if known.
    pub user: Option<String>,
    /// The address of the service that was called.
    pub asked_at: Option<BaseUrl>,
    /// What asks, if that may ask twice, see [`NewBatch::once`].
    pub once: Option<String>,
    /// What it says, if that has to be the same each time ([`Record::asked_for`]).
    pub asked_for: Option<Digest>,
    /// Whether it is only to be seen what the requests would do.
    pub is_dry_run: bool,
}

impl From<Option<String>> for Asker {
    fn from(user: Option<String>) -> Self {
        Self {
            user,
            ..Self::default()
        }
    }
}

/// Reads the payload of a request of this kind, however it came here.
///
/// # Errors
/// [`Refusal`], for the first fault.
pub fn read(
    deps: &IntakeDeps,
    kind: &KindRow,
    payload: &Payload,
    user: Option<&str>,
) -> Result<Submission, Refusal> {
    let context = ReadContext {
        api: &deps.api,
        binary_images: &deps.binary_images,
        hosts: &deps.hosts,
        user,
    };
    let request = (kind.read)(payload, &context)?;
    Ok(Submission {
        request,
        secrets: secrets(payload, kind.parameters),
    })
}

/// Reads a call that asks to undo what a request did to its index.
///
/// # Errors
/// [`IntakeError::NotFound`]; [`Refusal`], as [`Rollback::read`]; [`IntakeError::Store`].
pub async fn read_rollback(
    deps: &IntakeDeps,
    id: RequestId,
    payload: &Payload,
    user: Option<&str>,
) -> Result<Submission, IntakeError> {
    let record = get(deps, id).await?;
    let request = Rollback::read(&record, payload, user)?;
    Ok(Submission {
        request: request.into(),
        secrets: secrets(payload, Rollback::PARAMETERS),
    })
}

/// The parameters that are secrets, as far as they are given.
fn secrets(payload: &Payload, taken: Parameters) -> BTreeMap<&'static str, Secret> {
    let given = |name: &'static str| Some((name, secret(payload.get(name)?)?));
    taken.secrets().filter_map(given).collect()
}

/// The value of a parameter that is a secret: a text, or a document, whose text it is.
fn secret(value: &Value) -> Option<Secret> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| Secret::new(text)),
        Value::Object(members) => (!members.is_empty()).then(|| Secret::new(value.to_string())),
        // Of any other type it is refused, or counts as not given.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// The requests that were made by an earlier call under the asker's key; none if this is the first. It is asked before
/// anything is checked: what was taken once is not refused because things have changed since.
///
/// # Errors
/// [`IntakeError::OtherCall`] if that said something else; [`IntakeError::Store`]; [`IntakeError::Schedule`] if the
/// first call ended before it could hand the work over, and it cannot be handed over now.
pub async fn repeated(
    deps: &IntakeDeps,
    asker: &Asker,
    schedule: Schedule,
) -> Result<Vec<Record>, IntakeError> {
    let Some(once) = &asker.once else {
        return Ok(Vec::new());
    };
    let records = deps.requests.made_by(once).await?;
    before(deps, records, asker.asked_for.as_ref(), schedule).await
}

/// What an earlier call made, if it said the same.
async fn before(
    deps: &IntakeDeps,
    records: Vec<Record>,
    asked_for: Option<&Digest>,
    schedule: Schedule,
) -> Result<Vec<Record>, IntakeError> {
    if let Some(first) = records.first()
        && first.asked_for.as_ref() != asked_for
    {
        return Err(IntakeError::OtherCall(first.id));
    }
    for record in &records {
        send_again(deps, record, schedule).await?;
    }
    Ok(records)
}

/// Stores a request and sends its first message, in this order: a message that is lost is
/// sent again by the sweep, a request that was not stored is lost for good. One that was
/// submitted before under the same [`Asker::once`] is given back as it stands.
///
/// # Errors
/// [`IntakeError::Refused`] if it starts from the result of a request that has none, [`IntakeError::Secret`] if nothing was stored; [`IntakeError::Store`], after which the request may
/// be there if the store could not be reached;
/// [`IntakeError::Schedule`] if the request was stored and could not be handed over.
pub async fn submit(
    deps: &IntakeDeps,
    asker: impl Into<Asker>,
    submission: impl Into<Submission>,
) -> Result<Record, IntakeError> {
    let one = vec![submission.into()];
    let records = submit_all(deps, asker, None, one, Schedule::One).await?;
    // As many come back as were given.
    records.into_iter().next().ok_or(IntakeError::Nothing)
}

/// The same for the requests of a call, which share a batch. All are stored, or none.
///
/// # Errors
/// As [`submit`]; those that were handed over before one could not be go on.
pub async fn submit_all(
    deps: &IntakeDeps,
    asker: impl Into<Asker>,
    annotations: Option<Annotations>,
    submissions: Vec<Submission>,
    schedule: Schedule,
) -> Result<Vec<Record>, IntakeError> {
    for submission in &submissions {
        if let Some(id) = submission.request.starts_after() {
            let before = deps.requests.get(id).await?;
            submission.request.check_start(before.as_ref())?;
        }
    }
    // Each request goes on from a span of its own, whatever comes with it in a call.
    let begun: Vec<Span> = submissions.iter().map(begin).collect();
    let mut batch = keep(deps, asker.into(), annotations, submissions).await?;
    for (request, span) in batch.requests.iter_mut().zip(&begun) {
        request.traceparent = span.in_scope(|| deps.traces.here());
    }
    let stored = store(deps, batch, schedule).await?;
    for (record, span) in stored.iter().zip(&begun) {
        span.record("iib.request.id", i64::try_from(record.id.0).ok());
    }
    Ok(stored)
}

/// The span of a request that is taken in; the work on it goes on from there.
fn begin(submission: &Submission) -> Span {
    let kind = submission.request.name();
    info_span!(
        target: TRACE,
        "create",
        otel.name = format!("create {kind}"),
        otel.kind = "producer",
        messaging.operation.type = "create",
        iib.request.kind = kind,
        iib.request.id = field::Empty,
    )
}

/// Whether a call was for one request or for several, which its failures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// One.
    One,
    /// A batch.
    Several,
}

/// Puts the secrets away.
async fn keep(
    deps: &IntakeDeps,
    asker: Asker,
    annotations: Option<Annotations>,
    submissions: Vec<Submission>,
) -> Result<NewBatch, IntakeError> {
    let now = deps.clock.now();
    let mut batch = NewBatch {
        user: asker.user,
        now,
        asked_at: asker.asked_at,
        first_number: deps.new.first_number,
        annotations,
        requests: Vec::with_capacity(submissions.len()),
        once: asker.once,
        asked_for: asker.asked_for,
        is_dry_run: asker.is_dry_run,
    };
    let expires = now.saturating_add(SECRETS_LIVE).unwrap_or(now);
    for submission in submissions {
        let mut secrets = BTreeMap::new();
        for (name, secret) in submission.secrets {
            match deps.secrets.keep(&secret, expires).await {
                Ok(reference) => drop(secrets.insert(name.to_owned(), reference)),
                Err(source) => {
                    forget(deps, &secrets).await;
                    forget_all(deps, &batch).await;
                    return Err(IntakeError::Secret { name, source });
                }
            }
        }
        let user = batch.user.as_deref();
        let queue = queue_of(&deps.api.user_to_queue, user, &submission.request);
        batch.requests.push(NewRequest {
            queue: queue.map(str::to_owned),
            traceparent: None,
            request: submission.request,
            secrets,
        });
    }
    Ok(batch)
}

async fn store(
    deps: &IntakeDeps,
    batch: NewBatch,
    schedule: Schedule,
) -> Result<Vec<Record>, IntakeError> {
    match deps.requests.create(batch.clone()).await {
        Ok(Created::New(records)) => {
            for record in &records {
                let first = Update::state(record.state(), record.state_reason());
                deps.notifier.updated(record, &first).await;
            }
            hand_over(deps, records, schedule).await
        }
        Ok(Created::Before(records)) => {
            forget_all(deps, &batch).await;
            before(deps, records, batch.asked_for.as_ref(), schedule).await
        }
        // The answer may be lost and the request stored, and then it needs its secrets; those that
        // nobody needs expire.
        Err(error @ StoreError::Unavailable { .. }) => Err(error.into()),
        Err(error) => {
            forget_all(deps, &batch).await;
            Err(error.into())
        }
    }
}

/// Sends the first messages. Requests whose message cannot be sent fail, the others go on.
async fn hand_over(
    deps: &IntakeDeps,
    mut records: Vec<Record>,
    schedule: Schedule,
) -> Result<Vec<Record>, IntakeError> {
    let tasks: Vec<Task> = records
        .iter()
        .map(|record| record.task(Stage::Pin))
        .collect();
    let mut not_sent = deps.queue.send_all(&tasks).await;
    let mut ids = Vec::new();
    for record in &mut records {
        if !not_sent.iter().any(|error| error.request_id == record.id) {
            continue;
        }
        match not_scheduled(deps, record.clone()).await? {
            // Its message was sent all the same, and all is well.
            Some(now) => *record = now,
            None => ids.push(record.id),
        }
    }
    match not_sent.pop() {
        Some(source) if !ids.is_empty() => Err(IntakeError::Schedule {
            ids,
            schedule,
            source,
        }),
        _ => Ok(records),
    }
}

/// The first call may have ended between the record and its message.
async fn send_again(
    deps: &IntakeDeps,
    record: &Record,
    schedule: Schedule,
) -> Result<(), IntakeError> {
    if record.work.stage == Stage::Queued {
        let sent = deps.queue.send(&record.task(Stage::Pin)).await;
        sent.map_err(|source: QueueError| IntakeError::Schedule {
            ids: vec![record.id],
            schedule,
            source,
        })?;
    }
    Ok(())
}

/// Fails a request whose first message could not be sent. If somebody works on it by now it is given
/// back, because the message was sent all the same.
async fn not_scheduled(deps: &IntakeDeps, record: Record) -> Result<Option<Record>, IntakeError> {
    let id = record.id;
    let update = Update::state(State::Failed, NOT_SCHEDULED);
    let mut failed = record;
    failed.fail(NOT_SCHEDULED, deps.clock.now());
    match deps.requests.replace(failed).await {
        Ok(record) => {
            let (now, end) = (deps.clock.now(), End::Failed(Class::Retry));
            deps.figures.publish(now, &[end.sample(&record, now)]);
            forget(deps, &record.secrets).await;
            deps.notifier.updated(&record, &update).await;
        }
        Err(StoreError::Conflict(_)) => return get(deps, id).await.map(Some),
        // The client is told the truth anyway; the sweep will send the message again.
        Err(error) => warn!(
            request.id = id.0,
            error = chain(&error),
            "request could not be marked as failed"
        ),
    }
    Ok(None)
}

async fn forget_all(deps: &IntakeDeps, batch: &NewBatch) {
    for request in &batch.requests {
        forget(deps, &request.secrets).await;
    }
}

/// Forgets secrets that no request needs; one that stays expires by itself.
async fn forget(deps: &IntakeDeps, secrets: &BTreeMap<String, SecretRef>) {
    for reference in secrets.values() {
        if let Err(error) = deps.secrets.forget(reference).await {
            warn!(error = chain(&error), "a secret stays until it expires");
        }
    }
}
