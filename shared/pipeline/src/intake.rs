//! Taking in requests, and what became of them.

use std::sync::Arc;

use iib_ports::{
    Class, Classify, Clock, Logs, NewRequest, Notifier, Page, PageQuery, Queue, QueueError,
    Requests, StoreError,
};
use iib_request::{
    AddRequest, ApiSettings, BinaryImages, Kind, Record, RequestId, Stage, State, Task, Update,
    log_expiration,
};
use tracing::warn;

use crate::Deps;

/// What intake works with: fewer ports than [`Deps`] has. Taking a request in needs neither a
/// registry nor an index database, and cannot reach one from here.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct IntakeDeps {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The queues in front of the stages.
    pub queue: Arc<dyn Queue>,
    /// The build logs.
    pub logs: Arc<dyn Logs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told about changes.
    pub notifier: Arc<dyn Notifier>,
    /// Settings of the API.
    pub api: ApiSettings,
    /// Binary images by scope and version; makes `binary_image` optional in requests.
    pub binary_images: BinaryImages,
}

impl From<Deps> for IntakeDeps {
    fn from(deps: Deps) -> Self {
        Self {
            requests: deps.requests,
            queue: deps.queue,
            logs: deps.logs,
            clock: deps.clock,
            notifier: deps.notifier,
            api: deps.api,
            binary_images: deps.work.binary_images,
        }
    }
}

/// Reason of a request whose first message could not be sent (spec rest-api §11).
const NOT_SCHEDULED: &str = "The scheduling of the request failed";

/// Why a call could not be served. `Display` is what the user reads, but for [`Self::Store`].
/// Not `non_exhaustive`: the API gives every variant its status by an exhaustive match.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// There is no such request.
    #[error("The requested resource was not found")]
    NotFound(RequestId),
    /// The log is complete only when the request has ended (spec rest-api §9).
    #[error(
        "The request {0} is not complete yet. logs will be available once the request is complete."
    )]
    NotFinished(RequestId),
    /// The log is gone, as announced.
    #[error("The data for the build request {0} no longer exist")]
    LogExpired(RequestId),
    /// The request has no log.
    #[error("The requested resource was not found")]
    NoLog(RequestId),
    /// The request is stored, but its work could not be handed over.
    #[error("The scheduling of the build request with ID {id} failed")]
    Schedule {
        /// The request; it is marked as failed.
        id: RequestId,
        /// Why.
        source: QueueError,
    },
    /// The store failed.
    #[error("the store of requests failed")]
    Store(#[from] StoreError),
}

impl Classify for IntakeError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_) | Self::NotFinished(_) | Self::LogExpired(_) | Self::NoLog(_) => {
                Class::Reject
            }
            Self::Schedule { source, .. } => source.class(),
            Self::Store(source) => source.class(),
        }
    }
}

/// How much of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart {
    /// All of it, so only of a request that has ended (spec rest-api §9).
    Whole,
    /// What is there by now. Ours: the reference shows nothing while a request goes on.
    SoFar,
}

/// Stores an add request and sends its first message, in this order: a message that is lost is
/// sent again by the sweep, a request that was not stored is lost for good.
///
/// # Errors
/// [`IntakeError::Store`] if nothing was stored; [`IntakeError::Schedule`] if the request was
/// stored and could not be handed over.
pub async fn submit_add(
    deps: &IntakeDeps,
    user: Option<String>,
    request: AddRequest,
) -> Result<Record, IntakeError> {
    let new = NewRequest::new(user, Kind::Add(request), deps.clock.now());
    let record = deps.requests.create(new).await?.into_record();
    let first = Update::state(record.state(), record.state_reason());
    deps.notifier.updated(&record, &first).await;
    match deps.queue.send(&Task::new(record.id, Stage::Pin)).await {
        Ok(()) => Ok(record),
        Err(source) => not_scheduled(deps, record, source).await,
    }
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
        Ok(record) => deps.notifier.updated(&record, &update).await,
        Err(StoreError::Conflict(_)) => return get(deps, id).await,
        // The client is told the truth anyway; the sweep will send the message again.
        Err(error) => warn!(
            request.id = id.0,
            error = iib_ports::chain(&error),
            "request could not be marked as failed"
        ),
    }
    Err(IntakeError::Schedule { id, source })
}

/// Reads a request.
///
/// # Errors
/// [`IntakeError::NotFound`] and [`IntakeError::Store`].
pub async fn get(deps: &IntakeDeps, id: RequestId) -> Result<Record, IntakeError> {
    let record = deps.requests.get(id).await?;
    record.ok_or(IntakeError::NotFound(id))
}

/// Reads a page of requests, newest first. A page past the end is empty.
///
/// # Errors
/// [`IntakeError::Store`].
pub async fn list(deps: &IntakeDeps, query: PageQuery) -> Result<Page, IntakeError> {
    Ok(deps.requests.list(query).await?)
}

/// Reads a request's log; the checks come in the order of spec rest-api §9. A log that has
/// expired and is still there is shown.
///
/// # Errors
/// [`IntakeError`].
pub async fn logs(deps: &IntakeDeps, id: RequestId, part: LogPart) -> Result<String, IntakeError> {
    let record = get(deps, id).await?;
    let ended = record.state().is_final();
    if !ended && part == LogPart::Whole {
        return Err(IntakeError::NotFinished(id));
    }
    match deps.logs.read(id).await? {
        Some(log) => Ok(log),
        None if !ended => Ok(String::new()),
        None if deps.clock.now() > log_expiration(&record, &deps.api) => {
            Err(IntakeError::LogExpired(id))
        }
        None => Err(IntakeError::NoLog(id)),
    }
}

/// Asks the store for something that cannot be there, to see whether it answers.
///
/// # Errors
/// [`StoreError`].
pub async fn check_health(deps: &IntakeDeps) -> Result<(), StoreError> {
    // Ids count from 1, so this reads one key and never a record.
    deps.requests.get(RequestId(0)).await.map(drop)
}

#[cfg(test)]
mod tests;
