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
use iib_ports::{ArtifactKey, Backoff, Class, Classify, StoreError, chain};
use iib_request::{
    Built, Claim, LeaseToken, Outcome, Plan, Record, RequestId, Stage, State, Task, Transition,
    Update,
};
use jiff::{SignedDuration, Timestamp};
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
/// Waits after attempts that failed. The registry client has already sat out what passes within
/// seconds, and after the longest a user still looks at the request.
const ATTEMPTS: Backoff =
    Backoff::new(Duration::from_secs(5), Duration::from_secs(60)).growing_by(4.0);

/// How long a lease lasts: so long after a crash somebody else may begin.
const LEASE: SignedDuration = SignedDuration::from_secs(90);
/// How often it is renewed while the work goes on. Two renewals may fail before it is over.
const RENEWAL: Duration = Duration::from_secs(30);
/// Wait before a renewal that failed is tried again.
const RENEWAL_WAIT: Duration = Duration::from_secs(5);
/// How often a change is made anew because somebody else changed the record in between. Each time
/// is a change from outside, of which there are few.
const RACES: u32 = 50;

/// A request while a stage works on it.
pub(crate) struct Job<'a> {
    /// Ports and settings.
    pub(crate) deps: &'a Deps,
    /// The record as it was last written or read by this attempt.
    pub(crate) record: Record,
    /// Whose lease it is.
    pub(crate) token: LeaseToken,
}

impl Job<'_> {
    /// Stores a change of the request, tells it and logs it.
    ///
    /// # Errors
    /// Those of [`Job::save`].
    pub(crate) async fn update(&mut self, update: Update) -> Result<(), StageError> {
        self.update_and(update, |_| {}).await
    }

    /// The same with another change of the record in the same write.
    ///
    /// # Errors
    /// Those of [`Job::save`].
    pub(crate) async fn update_and(
        &mut self,
        update: Update,
        change: impl Fn(&mut Record),
    ) -> Result<(), StageError> {
        let stage = self.record.work.stage;
        let now = self.deps.clock.now();
        self.save(|record| {
            record.apply(&update, now);
            change(record);
        })
        .await?;
        if update != Update::default() {
            let ending = self.deps.ending();
            ending.told(&self.record, stage, &update).await;
        }
        Ok(())
    }

    /// Changes the record. If somebody else has changed it meanwhile, the change is made in what it
    /// is now, as long as the request goes on and the lease is this attempt's: so a change from
    /// outside throws no work away, and is not thrown away by it.
    ///
    /// # Errors
    /// [`StageError::Lost`] if the request has ended, or somebody else works on it;
    /// [`StageError::Store`].
    pub(crate) async fn save(&mut self, change: impl Fn(&mut Record)) -> Result<(), StageError> {
        let mut record = self.record.clone();
        for _ in 0..RACES {
            change(&mut record);
            match self.deps.requests.replace(record).await {
                Ok(saved) => {
                    self.record = saved;
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) => {
                    self.look_again().await?;
                    record = self.record.clone();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict(self.record.id).into())
    }

    /// Reads the record anew, and sees whether this attempt may still change anything. To be called
    /// right before something outside of the record is changed that others may change, too.
    ///
    /// # Errors
    /// [`StageError::Lost`] and [`StageError::Store`].
    pub(crate) async fn look_again(&mut self) -> Result<(), StageError> {
        let found = self.deps.requests.get(self.record.id).await?;
        let ours = found.filter(|record| record.is_worked_on_by(&self.token));
        self.record = ours.ok_or(StageError::Lost)?;
        Ok(())
    }

    /// Adds a line to the build log. A log that cannot be written is no reason to fail.
    pub(crate) async fn log(&self, text: impl AsRef<str>) {
        let (id, stage) = (self.record.id, self.record.work.stage);
        self.deps.ending().log(id, stage, text.as_ref()).await;
    }

    /// Ends the request in `failed` and cleans up.
    async fn fail(mut self, reason: String) -> Result<Verdict, StageError> {
        let update = Update::state(State::Failed, reason);
        self.update_and(update, |record| {
            record.conclude(Outcome::Rejected);
        })
        .await?;
        Ok(clean_up(self.deps, &self.record).await)
    }

    /// Gives the lease back, so that the next delivery can begin at once.
    async fn give_back(&mut self) -> Result<(), StageError> {
        self.save(|record| record.work.lease = None).await
    }
}

/// What the work of a stage ends with. It is saved together with the move to the next stage.
#[derive(Default)]
pub(crate) struct Finished {
    /// The last change of the request.
    pub(crate) update: Update,
    /// What was settled, by pin.
    pub(crate) plan: Option<Plan>,
    /// What was made, by mutate.
    pub(crate) built: Option<Built>,
}

impl From<Update> for Finished {
    fn from(update: Update) -> Self {
        Self {
            update,
            ..Self::default()
        }
    }
}

/// The work of a stage.
#[async_trait]
pub(crate) trait Work: Sync {
    /// The stage it is the work of.
    fn stage(&self) -> Stage;

    /// Does the work.
    async fn run(&self, job: &mut Job<'_>) -> Result<Finished, StageError>;
}

/// Deals with one message: claims the request, does the work, saves how it ended.
pub(crate) async fn run(deps: &Deps, task: &Task, work: &dyn Work) -> Verdict {
    let stage = work.stage();
    match attempt(deps, task, stage, work).await {
        Ok(verdict) => verdict,
        Err(StageError::Lost) => {
            info!(request.id = task.request_id.0, %stage, "it has ended, or somebody else took it over");
            Verdict::Again(SOON)
        }
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
    let now = deps.clock.now();
    let limit = SignedDuration::from_secs(i64::from(deps.work.stage_timeout_seconds));
    let deadline = now.saturating_add(limit).unwrap_or(Timestamp::MAX);
    let token = LeaseToken::new(format!("{:032x}", fastrand::u128(..)));
    let lease = leased_until(now, deadline);
    let mut job = match record.claim(stage, &token, now, lease, deps.work.max_attempts) {
        Claim::Granted(claimed) => Job {
            deps,
            record: deps.requests.replace(*claimed).await?,
            token: token.clone(),
        },
        Claim::Leased(until) => {
            info!(request.id = id.0, %until, "somebody works on it");
            let left = until.duration_since(now);
            return Ok(Verdict::Again(
                Duration::try_from(left).unwrap_or_default() + SOON,
            ));
        }
        Claim::Exhausted => {
            let reason = format!(
                "The stage {stage} was begun {} times and never ended. Send the request again; if that does not help, ask the operators of this service.",
                record.work.attempts + record.work.interruptions
            );
            let record = deps.ending().fail(record, reason).await?;
            return Ok(clean_up(deps, &record).await);
        }
        Claim::Elsewhere(waiting) => {
            if let Some(waiting) = waiting {
                deps.queue.send(&Task::new(id, waiting)).await?;
            }
            return Ok(Verdict::Done);
        }
        // A crash may have come just before this.
        Claim::Ended => return Ok(clean_up(deps, &record).await),
    };
    // A panic must not leave the lease behind: it is an attempt that failed, like others.
    let attempt = AssertUnwindSafe(in_time(deps, work.run(&mut job))).catch_unwind();
    let result = tokio::select! {
        result = attempt => result.unwrap_or(Err(StageError::Panicked)),
        lost = keep_lease(deps, id, &token, deadline) => Err(lost),
    };
    let concluded = conclude(job, result).await;
    if let Err(StageError::Lost) = &concluded {
        discard(deps, id, &token).await;
    }
    concluded
}

/// Removes what an attempt has made that does not count any more. It may count all the same: the
/// write that said so took effect, and its answer was lost. What stays goes with the rest of the
/// request's, or with prune.
async fn discard(deps: &Deps, id: RequestId, token: &LeaseToken) {
    let key = ArtifactKey::layer(id, token);
    let removed: Result<(), StageError> = async {
        let record = deps.requests.get(id).await?;
        let built = record.iter().filter_map(|record| record.built.as_ref());
        let mut layers = built.flat_map(|built| &built.layers);
        if layers.any(|layer| layer.artifact == key.as_str()) {
            return Ok(());
        }
        Ok(deps.artifacts.delete(&key).await?)
    }
    .await;
    if let Err(error) = removed {
        warn!(request.id = id.0, error = %chain(&error), "an artifact is left behind");
    }
}

/// Until when a lease is granted or renewed: never longer than the work itself may take.
fn leased_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
    let until = now.saturating_add(LEASE).unwrap_or(deadline);
    until.min(deadline)
}

/// Renews the lease for as long as it is polled. It ends when there is nothing to renew.
async fn keep_lease(
    deps: &Deps,
    id: RequestId,
    token: &LeaseToken,
    deadline: Timestamp,
) -> StageError {
    let mut wait = RENEWAL;
    loop {
        tokio::time::sleep(wait).await;
        wait = match renew_lease(deps, id, token, deadline).await {
            Ok(()) => RENEWAL,
            Err(StageError::Lost) => return StageError::Lost,
            Err(error) => {
                warn!(request.id = id.0, error = %chain(&error), "lease not renewed");
                RENEWAL_WAIT
            }
        };
    }
}

async fn renew_lease(
    deps: &Deps,
    id: RequestId,
    token: &LeaseToken,
    deadline: Timestamp,
) -> Result<(), StageError> {
    let record = deps.requests.get(id).await?;
    let record = record.filter(|record| record.is_worked_on_by(token));
    let mut record = record.ok_or(StageError::Lost)?;
    if let Some(lease) = &mut record.work.lease {
        lease.until = leased_until(deps.clock.now(), deadline);
    }
    deps.requests.replace(record).await?;
    Ok(())
}

/// Runs the work for at most the stage's time.
async fn in_time(
    deps: &Deps,
    work: impl Future<Output = Result<Finished, StageError>>,
) -> Result<Finished, StageError> {
    let seconds = deps.work.stage_timeout_seconds;
    tokio::time::timeout(Duration::from_secs(u64::from(seconds)), work)
        .await
        .unwrap_or(Err(StageError::Timeout(seconds)))
}

async fn conclude(
    mut job: Job<'_>,
    result: Result<Finished, StageError>,
) -> Result<Verdict, StageError> {
    let (id, stage) = (job.record.id, job.record.work.stage);
    let error = match result {
        Ok(finished) => return finish(job, finished).await,
        Err(error) => error,
    };
    if matches!(error, StageError::Lost) {
        return Err(error);
    }
    let class = error.class();
    match class {
        Class::Reject => {
            info!(request.id = id.0, %stage, reason = %chain(&error), "request rejected");
            job.fail(error.reason()).await
        }
        Class::Retry | Class::Bug if job.record.work.attempts < job.deps.work.max_attempts => {
            if class == Class::Bug {
                error!(request.id = id.0, %stage, error = %chain(&error), "attempt failed, our fault");
            } else {
                warn!(request.id = id.0, %stage, error = %chain(&error), "attempt failed");
            }
            job.log(format!(
                "attempt {} of {} failed and will be repeated: {}",
                job.record.work.attempts,
                job.deps.work.max_attempts,
                error.reason()
            ))
            .await;
            let wait = ATTEMPTS.after(job.record.work.attempts);
            job.give_back().await?;
            Ok(Verdict::Again(wait))
        }
        Class::Retry | Class::Bug => {
            error!(request.id = id.0, %stage, error = %chain(&error), "attempts used up");
            let reason = format!(
                "{}. It was tried {} times; send the request again later.",
                error.reason(),
                job.record.work.attempts
            );
            job.fail(reason).await
        }
    }
}

/// Saves the stage's result together with the move to the next stage in one write, then sends
/// the next message. A crash in between is healed by the message that is still in the queue.
async fn finish(mut job: Job<'_>, finished: Finished) -> Result<Verdict, StageError> {
    let Finished {
        update,
        plan,
        built,
    } = finished;
    let transition = job.record.work.stage.next(Outcome::Completed);
    job.update_and(update, |record| {
        if plan.is_some() {
            record.plan.clone_from(&plan);
        }
        if built.is_some() {
            record.built.clone_from(&built);
        }
        record.conclude(Outcome::Completed);
    })
    .await?;
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

#[cfg(test)]
mod tests;
