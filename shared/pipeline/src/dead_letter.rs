//! What becomes of a request whose message nobody could handle.
//!
//! A queue gives a message up after a number of deliveries. The request it was about would wait
//! for ever, so it is ended here, saying so. This should not happen: stages end requests
//! themselves long before, so each such message is an error in the log.

use std::sync::Arc;
use std::time::Duration;

use iib_ports::{Artifacts, Clock, Logs, Notifier, Requests, Secrets, StoreError, chain};
use iib_request::{Record, RequestId, Stage, Task};
use tracing::{error, info, warn};

use crate::Verdict;
use crate::ending::Ending;

/// Wait after a store failed.
const SOON: Duration = Duration::from_secs(30);

/// How much of a body is logged that cannot be read, bytes. What we send has some hundred.
const LOGGED: usize = 1024;

/// What dealing with dead letters works with.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct DeadLetterDeps {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The build logs.
    pub logs: Arc<dyn Logs>,
    /// Layers, and logs of requests that have ended.
    pub artifacts: Arc<dyn Artifacts>,
    /// Secrets that came with requests.
    pub secrets: Arc<dyn Secrets>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told about changes.
    pub notifier: Arc<dyn Notifier>,
}

impl From<crate::Deps> for DeadLetterDeps {
    fn from(deps: crate::Deps) -> Self {
        Self {
            requests: deps.requests,
            logs: deps.logs,
            artifacts: deps.artifacts,
            secrets: deps.secrets,
            clock: deps.clock,
            notifier: deps.notifier,
        }
    }
}

impl DeadLetterDeps {
    fn ending(&self) -> Ending<'_> {
        Ending {
            requests: &*self.requests,
            logs: &*self.logs,
            artifacts: &*self.artifacts,
            secrets: &*self.secrets,
            notifier: &*self.notifier,
            clock: &*self.clock,
        }
    }
}

/// A message that its queue gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message's id in its queue.
    pub message_id: String,
    /// Its text, which is to be a [`Task`].
    pub body: String,
    /// How often it was delivered, as far as the queue says.
    pub deliveries: u32,
}

/// Ends the request a message is about, unless it is past that stage or somebody works on it.
///
/// A body that cannot be read is logged, for there is nobody to tell, and is then done with: it
/// would not be readable the next time either. It holds no secrets, messages never do.
pub async fn run(deps: &DeadLetterDeps, letter: &DeadLetter) -> Verdict {
    let task: Task = match serde_json::from_str(&letter.body) {
        Ok(task) => task,
        Err(error) => {
            error!(
                event = "dead_letter_unreadable",
                message.id = letter.message_id,
                body = beginning(&letter.body),
                %error,
                "a message that cannot be read is given up"
            );
            return Verdict::Done;
        }
    };
    let id = task.request_id;
    match end(deps, &task, letter.deliveries).await {
        Ok(verdict) => verdict,
        Err(StoreError::Conflict(_)) => {
            info!(request.id = id.0, "somebody works on it after all");
            Verdict::Again(SOON)
        }
        Err(error) => {
            warn!(request.id = id.0, error = %chain(&error), "dead letter goes back");
            Verdict::Again(SOON)
        }
    }
}

async fn end(deps: &DeadLetterDeps, task: &Task, deliveries: u32) -> Result<Verdict, StoreError> {
    let (id, stage) = (task.request_id, task.stage);
    let Some(record) = deps.requests.get(id).await? else {
        error!(event = "dead_letter", request.id = id.0, %stage, "there is no such request");
        return Ok(Verdict::Done);
    };
    if record.work.stage == Stage::Done {
        return Ok(clean_up(deps, &record).await);
    }
    if !waits_for(&record, stage) {
        info!(request.id = id.0, %stage, at = %record.work.stage, "the request goes on without it");
        return Ok(Verdict::Done);
    }
    let now = deps.clock.now();
    if let Some(until) = record.work.leased_until(now) {
        let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        return Ok(Verdict::Again(left + SOON));
    }
    error!(event = "dead_letter", request.id = id.0, %stage, deliveries, "request given up");
    let record = deps
        .ending()
        .fail(record, reason(stage, deliveries))
        .await?;
    Ok(clean_up(deps, &record).await)
}

/// Whether it is this stage's message that the request waits for.
fn waits_for(record: &Record, stage: Stage) -> bool {
    record.work.stage == stage || (record.work.stage == Stage::Queued && stage == Stage::Pin)
}

/// What the user reads.
fn reason(stage: Stage, deliveries: u32) -> String {
    let times = match deliveries {
        0 | 1 => "again and again".to_owned(),
        times => format!("{times} times"),
    };
    format!(
        "The message for the stage {stage} was delivered {times} and could not be handled. Send the request again; if that does not help, ask the operators of this service."
    )
}

async fn clean_up(deps: &DeadLetterDeps, record: &Record) -> Verdict {
    let RequestId(id) = record.id;
    match deps.ending().clean_up(record).await {
        Ok(()) => Verdict::Done,
        Err(error) => {
            warn!(request.id = id, error = %chain(&error), "to be cleaned up again");
            Verdict::Again(SOON)
        }
    }
}

/// The beginning of a text.
fn beginning(text: &str) -> &str {
    let mut end = text.len().min(LOGGED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
