//! Storing a request and handing it over.

use std::collections::BTreeMap;

use iib_ports::{Created, NewRequest, QueueError, Secret, StoreError, chain};
use iib_request::{
    KindRow, OVERWRITE_TOKEN, Payload, ReadContext, Record, Refusal, Request, SecretRef, Stage,
    State, Task, Update,
};
use jiff::SignedDuration;
use serde_json::Value;
use tracing::warn;

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
    /// Lets the service overwrite `from_index`; never part of the record.
    pub overwrite_token: Option<Secret>,
    /// What asks for it, if that may ask twice, see [`NewRequest::once`].
    pub once: Option<String>,
}

impl<R: Into<Request>> From<R> for Submission {
    fn from(request: R) -> Self {
        Self {
            request: request.into(),
            overwrite_token: None,
            once: None,
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
    // Kinds that take none have refused it by now.
    let token = payload.get(OVERWRITE_TOKEN).and_then(Value::as_str);
    Ok(Submission {
        overwrite_token: token.filter(|token| !token.is_empty()).map(Secret::new),
        ..request.into()
    })
}

/// Stores a request and sends its first message, in this order: a message that is lost is
/// sent again by the sweep, a request that was not stored is lost for good. One that was
/// submitted before under the same [`Submission::once`] is given back as it stands.
///
/// # Errors
/// [`IntakeError::Secret`] if nothing was stored; [`IntakeError::Store`], after which the request may
/// be there if the store could not be reached;
/// [`IntakeError::Schedule`] if the request was stored and could not be handed over.
pub async fn submit(
    deps: &IntakeDeps,
    user: Option<String>,
    submission: impl Into<Submission>,
) -> Result<Record, IntakeError> {
    let submission = submission.into();
    let now = deps.clock.now();
    let mut new = NewRequest::new(user, submission.request, now);
    new.once = submission.once;
    if let Some(token) = submission.overwrite_token {
        let expires = now.saturating_add(SECRETS_LIVE).unwrap_or(now);
        let kept = deps.secrets.keep(&token, expires).await;
        let reference = kept.map_err(IntakeError::Secret)?;
        new.secrets.insert(OVERWRITE_TOKEN.to_owned(), reference);
    }
    let secrets = new.secrets.clone();
    match deps.requests.create(new).await {
        Ok(Created::New(record)) => {
            let first = Update::state(record.state(), record.state_reason());
            deps.notifier.updated(&record, &first).await;
            match deps.queue.send(&Task::new(record.id, Stage::Pin)).await {
                Ok(()) => Ok(record),
                Err(source) => not_scheduled(deps, record, source).await,
            }
        }
        Ok(Created::Before(record)) => {
            forget(deps, &secrets).await;
            send_again(deps, record).await
        }
        // The answer may be lost and the request stored, and then it needs its secrets; those that
        // nobody needs expire.
        Err(error @ StoreError::Unavailable { .. }) => Err(error.into()),
        Err(error) => {
            forget(deps, &secrets).await;
            Err(error.into())
        }
    }
}

/// The first call may have ended between the record and its message.
async fn send_again(deps: &IntakeDeps, record: Record) -> Result<Record, IntakeError> {
    let id = record.id;
    if record.work.stage == Stage::Queued {
        let sent = deps.queue.send(&Task::new(id, Stage::Pin)).await;
        sent.map_err(|source| IntakeError::Schedule { id, source })?;
    }
    Ok(record)
}

/// Fails a request whose first message could not be sent. If somebody works on it by now, the
/// message was sent all the same, and all is well.
async fn not_scheduled(
    deps: &IntakeDeps,
    record: Record,
    source: QueueError,
) -> Result<Record, IntakeError> {
    let id = record.id;
    let update = Update::state(State::Failed, NOT_SCHEDULED);
    let mut failed = record;
    failed.fail(NOT_SCHEDULED, deps.clock.now());
    match deps.requests.replace(failed).await {
        Ok(record) => {
            forget(deps, &record.secrets).await;
            deps.notifier.updated(&record, &update).await;
        }
        Err(StoreError::Conflict(_)) => return get(deps, id).await,
        // The client is told the truth anyway; the sweep will send the message again.
        Err(error) => warn!(
            request.id = id.0,
            error = chain(&error),
            "request could not be marked as failed"
        ),
    }
    Err(IntakeError::Schedule { id, source })
}

/// Forgets secrets that no request needs; one that stays expires by itself.
async fn forget(deps: &IntakeDeps, secrets: &BTreeMap<String, SecretRef>) {
    for reference in secrets.values() {
        if let Err(error) = deps.secrets.forget(reference).await {
            warn!(error = chain(&error), "a secret stays until it expires");
        }
    }
}
