//! What becomes of a request whose message nobody could handle.
//!
//! A queue gives a message up after a number of deliveries. The request it was about would wait
//! for ever, so it is ended here, saying so. This should not happen: stages end requests
//! themselves long before, so each such message is an error in the log.

use std::sync::Arc;
use std::time::Duration;

use iib_ports::{
    Artifacts, Class, Clock, Figures, Logs, Notifier, Queue, QueueError, Requests, Secrets,
    StoreError, chain, given_up,
};
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
    /// The queues in front of the stages.
    pub queue: Arc<dyn Queue>,
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
    /// Where figures go.
    pub figures: Arc<dyn Figures>,
}

impl From<crate::Deps> for DeadLetterDeps {
    fn from(deps: crate::Deps) -> Self {
        Self {
            requests: deps.requests,
            queue: deps.queue,
            logs: deps.logs,
            artifacts: deps.artifacts,
            secrets: deps.secrets,
            clock: deps.clock,
            notifier: deps.notifier,
            figures: deps.figures,
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
            figures: &*self.figures,
            clock: &*self.clock,
        }
    }

    /// Counts a message that its queue gave up.
    fn given_up(&self) {
        self.figures.publish(self.clock.now(), &[given_up()]);
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
            deps.given_up();
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
        Err(LetterError::Store(StoreError::Conflict(_))) => {
            info!(request.id = id.0, "somebody works on it after all");
            Verdict::Again(SOON)
        }
        Err(error) => {
            warn!(request.id = id.0, error = %chain(&error), "dead letter goes back");
            Verdict::Again(SOON)
        }
    }
}

/// A dead letter could not be dealt with; it comes again.
#[derive(Debug, thiserror::Error)]
enum LetterError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

async fn end(deps: &DeadLetterDeps, task: &Task, deliveries: u32) -> Result<Verdict, LetterError> {
    let (id, stage) = (task.request_id, task.stage);
    let Some(record) = deps.requests.get(id).await? else {
        deps.given_up();
        error!(event = "dead_letter", request.id = id.0, %stage, "there is no such request");
        return Ok(Verdict::Done);
    };
    if record.work.stage == Stage::Done {
        return put_away(deps, record).await;
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
    deps.given_up();
    error!(event = "dead_letter", request.id = id.0, %stage, deliveries, "request given up");
    let record = deps
        .ending()
        .fail(record, Class::Bug, reason(stage, deliveries))
        .await?;
    put_away(deps, record).await
}

/// How often push is asked to take a commit back.
const UNDONE: u32 = 2;

/// Puts away what a request leaves behind that has ended. A commit in a Git repository only push can take back, so it gets
/// a message for that, and does the rest, too: with the secrets of the request, which must not be gone by then.
async fn put_away(deps: &DeadLetterDeps, record: Record) -> Result<Verdict, LetterError> {
    let id = record.id.0;
    let Some(left) = record.left_in_git() else {
        return Ok(clean_up(deps, &record).await);
    };
    if left.dead_letters >= UNDONE {
        let commit = left.commit.clone();
        deps.given_up();
        error!(
            event = "dead_letter_git_commit",
            request.id = id,
            commit,
            "a commit of a request that failed is left in its Git repository"
        );
        let text = format!(
            "the commit {commit} could not be taken back, and is left to be reverted by hand"
        );
        let line = crate::ending::line(deps.clock.now(), Stage::Push, &text);
        deps.ending().log(record.id, &[line]).await;
        return Ok(clean_up(deps, &record).await);
    }
    let mut counted = record;
    if let Some(committed) = &mut counted.committed {
        committed.dead_letters += 1;
    }
    let counted = deps.requests.replace(counted).await?;
    deps.queue.send(&counted.task(Stage::Push)).await?;
    Ok(Verdict::Done)
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
    let woken = crate::chain::wake(&*deps.requests, &*deps.queue, record).await;
    match deps.ending().clean_up(record).await {
        Ok(()) => match woken {
            Ok(()) => Verdict::Done,
            Err(error) => {
                warn!(request.id = id, error = %chain(&error), "those who follow it are to be told again");
                Verdict::Again(SOON)
            }
        },
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
