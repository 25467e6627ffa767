//! The frame around the work of every stage.
//!
//! It claims the request, runs the work, saves the outcome and sends the next message; the work
//! itself only sees a [`Job`]. That a stage may run twice, in any order of delivery, with the
//! same outcome is decided here (architecture §2.5).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use iib_ports::{Class, Classify, StoreError, chain};
use iib_request::{Claim, Outcome, Record, Stage, Task, Transition, Update};
use jiff::SignedDuration;
use tracing::{error, info, warn};

use crate::{Deps, StageError};

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is dealt with, also where the request failed.
    Done,
    /// It is to come back after this time.
    Again(Duration),
}

/// Wait after a conflict: somebody else is at it.
const SOON: Duration = Duration::from_secs(2);
/// Wait after a failure of the store or the queue around the work. Such a delivery counts for the
/// queue and not for the request, so fifty of them (the template's `maxReceiveCount`) have to
/// outlast what stores may take to come back: 25 minutes.
const STORE_WAIT: Duration = Duration::from_secs(30);
/// Wait after the first attempt that failed; each further one waits four times as long. The
/// registry client has already sat out what passes within seconds.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between attempts: a user still looks at the request then.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Wait after attempt number `attempt`.
fn wait_after(attempt: u32) -> Duration {
    let factor = 4_u32.saturating_pow(attempt.saturating_sub(1).min(8));
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

/// A request while a stage works on it.
pub(crate) struct Job<'a> {
    /// Ports and settings.
    pub(crate) deps: &'a Deps,
    /// The record as it was last written.
    pub(crate) record: Record,
}

impl Job<'_> {
    /// Stores a change of the request, tells it and logs it.
    ///
    /// # Errors
    /// [`StageError::Store`]: with a conflict somebody else works on the request now.
    pub(crate) async fn update(&mut self, update: Update) -> Result<(), StageError> {
        let mut record = self.record.clone();
        record.apply(&update, self.deps.clock.now());
        self.record = self.deps.requests.replace(record).await?;
        self.told(self.record.stage, &update).await;
        Ok(())
    }

    /// Adds a line to the build log. A log that cannot be written is no reason to fail.
    pub(crate) async fn log(&self, text: impl AsRef<str>) {
        let Record { id, stage, .. } = self.record;
        self.deps.ending().log(id, stage, text.as_ref()).await;
    }

    /// Tells and logs a change that was stored, made by this stage.
    async fn told(&self, stage: Stage, update: &Update) {
        self.deps.ending().told(&self.record, stage, update).await;
    }

    /// Ends the request in `failed` and cleans up.
    async fn fail(self, reason: String) -> Result<Verdict, StageError> {
        let record = self.deps.ending().fail(self.record, reason).await?;
        Ok(clean_up(self.deps, &record).await)
    }

    /// Gives the lease back, so that the next delivery can begin at once.
    async fn give_back(&mut self) -> Result<(), StoreError> {
        let mut record = self.record.clone();
        record.leased_until = None;
        self.record = self.deps.requests.replace(record).await?;
        Ok(())
    }
}

/// The work of a stage.
#[async_trait]
pub(crate) trait Work: Sync {
    /// The stage it is the work of.
    fn stage(&self) -> Stage;

    /// Does the work and gives the last change of the request, which is saved together with the
    /// move to the next stage.
    async fn run(&self, job: &mut Job<'_>) -> Result<Update, StageError>;
}

/// Deals with one message: claims the request, does the work, saves how it ended.
pub(crate) async fn run(deps: &Deps, task: &Task, work: &dyn Work) -> Verdict {
    let stage = work.stage();
    match attempt(deps, task, stage, work).await {
        Ok(verdict) => verdict,
        Err(error) => {
            // The store or the queue failed around the work: nothing is decided, so try again.
            warn!(request.id = task.request_id.0, %stage, error = %chain(&error), "message goes back");
            Verdict::Again(match error {
                StageError::Store(StoreError::Conflict(_)) => SOON,
                _ => STORE_WAIT,
            })
        }
    }
}

async fn attempt(
    deps: &Deps,
    task: &Task,
    stage: Stage,
    work: &dyn Work,
) -> Result<Verdict, StageError> {
    let id = task.request_id;
    let Some(record) = deps.requests.get(id).await? else {
        error!(
            request.id = id.0,
            "there is no such request; the message is dropped"
        );
        return Ok(Verdict::Done);
    };
    let lease = SignedDuration::from_secs(i64::from(deps.work.stage_timeout_seconds));
    let mut job = match record.claim(stage, deps.clock.now(), lease, deps.work.max_attempts) {
        Claim::Granted(claimed) => Job {
            deps,
            record: deps.requests.replace(*claimed).await?,
        },
        Claim::Leased(until) => {
            info!(request.id = id.0, %until, "somebody works on it");
            let left = until.duration_since(deps.clock.now());
            return Ok(Verdict::Again(
                Duration::try_from(left).unwrap_or_default() + SOON,
            ));
        }
        Claim::Exhausted => {
            let reason = format!(
                "The stage {stage} was begun {} times and never ended. Send the request again; if that does not help, ask the operators of this service.",
                record.attempts + record.interruptions
            );
            return Job { deps, record }.fail(reason).await;
        }
        Claim::Past(Some(waiting)) => {
            deps.queue.send(&Task::new(id, waiting)).await?;
            return Ok(Verdict::Done);
        }
        Claim::Past(None) => {
            return Ok(match record.stage {
                // The crash may have come just before this.
                Stage::Done => clean_up(deps, &record).await,
                Stage::Queued | Stage::Pin | Stage::Mutate | Stage::Push => Verdict::Done,
            });
        }
        Claim::Early => return Ok(Verdict::Done),
    };
    // A panic must not leave the lease behind: it is an attempt that failed, like others.
    let attempt = AssertUnwindSafe(in_time(deps, work.run(&mut job)));
    let result = attempt
        .catch_unwind()
        .await
        .unwrap_or(Err(StageError::Panicked));
    conclude(job, result).await
}

/// Runs the work for at most the stage's time; the lease ends with it, so that nobody else can
/// begin while this attempt still writes.
async fn in_time(
    deps: &Deps,
    work: impl Future<Output = Result<Update, StageError>>,
) -> Result<Update, StageError> {
    let seconds = deps.work.stage_timeout_seconds;
    tokio::time::timeout(Duration::from_secs(u64::from(seconds)), work)
        .await
        .unwrap_or(Err(StageError::Timeout(seconds)))
}

async fn conclude(
    mut job: Job<'_>,
    result: Result<Update, StageError>,
) -> Result<Verdict, StageError> {
    let (id, stage) = (job.record.id, job.record.stage);
    let error = match result {
        Ok(last) => return finish(job, last).await,
        Err(StageError::Store(StoreError::Conflict(_))) => {
            info!(request.id = id.0, %stage, "somebody else took the request over");
            return Ok(Verdict::Again(SOON));
        }
        Err(error) => error,
    };
    let class = error.class();
    match class {
        Class::Reject => {
            info!(request.id = id.0, %stage, reason = %chain(&error), "request rejected");
            job.fail(error.reason()).await
        }
        Class::Retry | Class::Bug if job.record.attempts < job.deps.work.max_attempts => {
            if class == Class::Bug {
                error!(request.id = id.0, %stage, error = %chain(&error), "attempt failed, our fault");
            } else {
                warn!(request.id = id.0, %stage, error = %chain(&error), "attempt failed");
            }
            job.log(format!(
                "attempt {} of {} failed and will be repeated: {}",
                job.record.attempts,
                job.deps.work.max_attempts,
                error.reason()
            ))
            .await;
            let wait = wait_after(job.record.attempts);
            job.give_back().await?;
            Ok(Verdict::Again(wait))
        }
        Class::Retry | Class::Bug => {
            error!(request.id = id.0, %stage, error = %chain(&error), "attempts used up");
            let reason = format!(
                "{}. It was tried {} times; send the request again later.",
                error.reason(),
                job.record.attempts
            );
            job.fail(reason).await
        }
    }
}

/// Saves the stage's result together with the move to the next stage in one write, then sends
/// the next message. A crash in between is healed by the message that is still in the queue.
async fn finish(mut job: Job<'_>, last: Update) -> Result<Verdict, StageError> {
    let mut record = job.record.clone();
    record.apply(&last, job.deps.clock.now());
    let transition = record.conclude(Outcome::Completed);
    let stage = job.record.stage;
    job.record = job.deps.requests.replace(record).await?;
    if last != Update::default() {
        job.told(stage, &last).await;
    }
    match transition {
        Transition::To(next) => {
            job.deps.queue.send(&Task::new(job.record.id, next)).await?;
            Ok(Verdict::Done)
        }
        Transition::Finish(_) => Ok(clean_up(job.deps, &job.record).await),
        Transition::Ended => Ok(Verdict::Done),
    }
}

/// Puts away what the request leaves behind. Called after it is saved as done, so that a stage
/// which has to run again still finds it. If that fails, the message comes back for it.
async fn clean_up(deps: &Deps, record: &Record) -> Verdict {
    match deps.ending().clean_up(record).await {
        Ok(()) => Verdict::Done,
        Err(error) => {
            warn!(request.id = record.id.0, error = %chain(&error), "to be cleaned up again");
            Verdict::Again(SOON)
        }
    }
}
