//! The frame around the work of every stage.
//!
//! It claims the request, runs the work, saves the outcome and sends the next message; the work
//! itself ([`crate::flow`]) only sees a [`Job`]. That a stage may run twice, in any order of delivery, with the
//! same outcome is decided here (architecture §2.5).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use iib_ports::{
    ArtifactKey, Attempt, AttemptResult, Backoff, Class, Classify, End, StoreError, TRACE,
    chain as causes,
};
use iib_request::{
    Built, Claim, LeaseToken, Outcome, Plan, Record, RequestId, Stage, State, Task, Transition,
    Update,
};
use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument as _, Span, error, field, info, info_span, warn};

use crate::chain::Before;
use crate::flow::{self, Flow, Pushed};
use crate::job::Job;
use crate::transfer::blocking;
use crate::{Deps, StageError, WorkError, advice, chain, ending, git, line};

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
pub(crate) const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How often it is renewed while the work goes on. Two renewals may fail before it is over.
const RENEWAL: Duration = Duration::from_secs(20);
/// Wait before a renewal that failed is tried again.
const RENEWAL_WAIT: Duration = Duration::from_secs(5);
/// How often an attempt is repeated without being counted because others had taken the disk.
const FULL_DISKS: u32 = 10;
/// Reason of a dry run that has come to its end.
const SHOWN: &str = "The dry run completed successfully: nothing was pushed";

/// What the work of a stage ends with. It is saved together with the move to the next stage.
#[derive(Default)]
struct Finished {
    /// The last change of the request.
    update: Update,
    /// What was settled, by pin.
    plan: Option<Plan>,
    /// What was made, by mutate.
    built: Option<Built>,
    /// Whether all begins anew.
    rebase: bool,
}

/// Does the work of a stage.
async fn work(
    job: &mut Job<'_>,
    stage: Stage,
    other: Option<&dyn Flow>,
) -> Result<Finished, StageError> {
    let request = job.record.request.clone();
    let request = chain::started(job.deps, &request).await?;
    let flow = other.unwrap_or_else(|| flow::of(&request));
    match stage {
        Stage::Pin => {
            let (plan, update) = flow.pin(job).await?;
            Ok(Finished {
                update,
                plan: Some(plan),
                ..Finished::default()
            })
        }
        Stage::Mutate => Ok(Finished {
            built: Some(flow.mutate(job).await?),
            ..Finished::default()
        }),
        Stage::Push => Ok(match flow.push(job).await? {
            Pushed::Done(update) => Finished {
                update: *update,
                ..Finished::default()
            },
            Pushed::Rebase => Finished {
                rebase: true,
                ..Finished::default()
            },
        }),
        // They have no queue.
        Stage::Queued | Stage::Done => Ok(Finished::default()),
    }
}

/// Deals with one message of the queue of `stage`: claims the request, does the work, saves how it
/// ended.
pub async fn run(deps: &Deps, stage: Stage, task: &Task) -> Verdict {
    run_as(deps, stage, task, None).await
}

/// The same with work of the caller's in place of that of the request's kind.
async fn run_as(deps: &Deps, stage: Stage, task: &Task, other: Option<&dyn Flow>) -> Verdict {
    // Records are large, and an attempt holds several.
    match Box::pin(attempt(deps, task, stage, other)).await {
        Ok(verdict) => verdict,
        Err(StageError::Lost) => {
            info!(request.id = task.request_id.0, %stage, "it has ended, or somebody else took it over");
            Verdict::Again(SOON)
        }
        Err(error) => {
            // The store or the queue failed around the work: nothing is decided, so try again.
            warn!(request.id = task.request_id.0, %stage, error = %causes(&error), "message goes back");
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
    other: Option<&dyn Flow>,
) -> Result<Verdict, StageError> {
    let id = task.request_id;
    let Some(record) = deps.requests.get(id).await? else {
        error!(
            request.id = id.0,
            "there is no such request; the message is dropped"
        );
        return Ok(Verdict::Done);
    };
    if stage == Stage::Pin {
        match chain::look(deps, &record).await? {
            Before::Ready => {}
            Before::GoesOn(other) => {
                let doing =
                    format!("Waiting for the request {other}, from whose index this one starts");
                return wait(deps, record, doing).await;
            }
            Before::Broken(reason) => {
                let record = deps.ending().fail(record, Class::Reject, reason).await?;
                return Ok(clean_up(deps, stage, &record).await);
            }
        }
        if let Some(other) = line::take(deps, &record).await? {
            let doing = format!("Waiting for the request {other}, which overwrites the same index");
            return wait(deps, record, doing).await;
        }
    }
    let now = deps.clock.now();
    let limit = SignedDuration::from_secs(i64::from(deps.work.stage_timeout_seconds));
    let deadline = now.saturating_add(limit).unwrap_or(Timestamp::MAX);
    let token = LeaseToken::new(format!("{:032x}", fastrand::u128(..)));
    let lease = leased_until(now, deadline);
    let waited = now.duration_since(record.due());
    let mut job = match record.claim(stage, &token, now, lease, deps.work.max_attempts) {
        Claim::Granted(claimed) => Job {
            deps,
            record: deps.requests.replace(*claimed).await?,
            token: token.clone(),
            deadline,
            lines: Vec::new(),
            given: None,
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
            let record = deps.ending().fail(record, Class::Bug, reason).await?;
            return Ok(clean_up(deps, stage, &record).await);
        }
        Claim::Elsewhere(waiting) => {
            if let Some(waiting) = waiting {
                deps.queue.send(&record.task(waiting)).await?;
            }
            return Ok(Verdict::Done);
        }
        // A crash may have come just before this.
        Claim::Ended => return Ok(clean_up(deps, stage, &record).await),
    };
    let traced = traced(&job.record, stage);
    // A panic must not leave the lease behind: it is an attempt that failed, like others.
    let attempt = AssertUnwindSafe(in_time(deps, work(&mut job, stage, other))).catch_unwind();
    let attempt = attempt.instrument(traced.clone());
    let result = tokio::select! {
        result = attempt => result.unwrap_or(Err(WorkError::Panicked.into())),
        lost = keep_lease(deps, id, &token, deadline) => Err(lost),
    };
    let ended = match &result {
        Ok(_) => AttemptResult::Done,
        Err(StageError::Lost) => AttemptResult::Lost,
        Err(error) => AttemptResult::Failed(error.class()),
    };
    if ended != AttemptResult::Done {
        traced.record("error.type", ended.name());
        traced.record("otel.status_code", "ERROR");
    }
    drop(traced);
    let done = deps.clock.now();
    let attempt = Attempt {
        stage,
        result: ended,
        took: Duration::try_from(done.duration_since(now)).unwrap_or_default(),
        waited: Duration::try_from(waited).unwrap_or_default(),
        transferred: deps.registries.take_transferred(),
        free_scratch: deps.scratch.free(),
    };
    deps.figures.publish(done, &attempt.samples());
    let concluded = Box::pin(conclude(job, result)).await;
    if let Err(StageError::Lost) = &concluded {
        discard(deps, id, &token).await;
    }
    concluded
}

/// The span of an attempt at the work of a stage.
fn traced(record: &Record, stage: Stage) -> Span {
    info_span!(
        target: TRACE,
        "work",
        otel.name = stage.as_str(),
        otel.status_code = field::Empty,
        iib.request.id = i64::try_from(record.id.0).ok(),
        iib.request.kind = record.request.name(),
        iib.stage = stage.as_str(),
        iib.attempt = i64::from(record.work.attempts),
        error.type = field::Empty,
    )
}

/// Notes that a request waits for another one. The message is done with: whoever ends that sends another.
async fn wait(deps: &Deps, record: Record, doing: String) -> Result<Verdict, StageError> {
    let update = Update::doing(doing);
    let (mut waiting, now) = (record, deps.clock.now());
    let states = waiting.history.len();
    waiting.apply(&update, now);
    if waiting.history.len() > states {
        let line = ending::line(now, Stage::Pin, waiting.state_reason());
        let waiting = deps.requests.replace(waiting).await?;
        deps.notifier.updated(&waiting, &update).await;
        deps.ending().log(waiting.id, &[line]).await;
    }
    Ok(Verdict::Done)
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
        warn!(request.id = id.0, error = %causes(&error), "an artifact is left behind");
    }
}

/// Until when a lease is granted or renewed: never longer than the work itself may take.
pub(crate) fn leased_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
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
                warn!(request.id = id.0, error = %causes(&error), "lease not renewed");
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
        .unwrap_or(Err(WorkError::Timeout(seconds).into()))
}

async fn conclude(
    mut job: Job<'_>,
    result: Result<Finished, StageError>,
) -> Result<Verdict, StageError> {
    let (id, stage) = (job.record.id, job.record.work.stage);
    // Before anything is saved: when it is, nobody does this work again, and nobody tells of it.
    job.flush_log().await;
    let error = match result {
        Ok(finished) => return finish(job, finished).await,
        Err(error) => error,
    };
    if matches!(error, StageError::Lost) {
        return Err(error);
    }
    let is_fault_of_others = is_of_full_disk(&error) && make_room(job.deps).await?;
    let class = error.class();
    match class {
        Class::Retry | Class::Bug
            if is_fault_of_others && job.record.work.interruptions < FULL_DISKS =>
        {
            warn!(request.id = id.0, %stage, error = %causes(&error), "no room beside other requests");
            job.log(format!(
                "the disk of this service was full of what other requests need; the attempt will be repeated and does not count: {}",
                error.reason()
            ));
            let wait = ATTEMPTS.after(job.record.work.attempts);
            job.flush_log().await;
            job.give_back_uncounted(wait).await?;
            Ok(Verdict::Again(wait))
        }
        Class::Reject => {
            info!(request.id = id.0, %stage, reason = %causes(&error), "request rejected");
            let reason = advice::reason(&mut job, &error).await;
            fail(job, class, reason).await
        }
        Class::Retry | Class::Bug if job.record.work.attempts < job.deps.work.max_attempts => {
            if class == Class::Bug {
                error!(request.id = id.0, %stage, error = %causes(&error), "attempt failed, our fault");
            } else {
                warn!(request.id = id.0, %stage, error = %causes(&error), "attempt failed");
            }
            job.log(format!(
                "attempt {} of {} failed and will be repeated: {}",
                job.record.work.attempts,
                job.deps.work.max_attempts,
                error.reason()
            ));
            let wait = ATTEMPTS.after(job.record.work.attempts);
            job.flush_log().await;
            job.give_back(wait).await?;
            Ok(Verdict::Again(wait))
        }
        Class::Retry | Class::Bug => {
            error!(request.id = id.0, %stage, error = %causes(&error), "attempts used up");
            let reason = format!(
                "{}. It was tried {} times; send the request again later.",
                error.reason(),
                job.record.work.attempts
            );
            fail(job, class, reason).await
        }
    }
}

/// Makes room on the scratch disk for the next attempt, and tells whether it was taken by others: by what is kept of former
/// requests, or by those that are worked on beside this one.
async fn make_room(deps: &Deps) -> Result<bool, StageError> {
    let (unpacked, scratch) = (deps.unpacked.clone(), deps.scratch.clone());
    blocking(move || {
        let was_taken = unpacked.clear();
        Ok::<_, StageError>(was_taken || scratch.is_used().unwrap_or(false))
    })
    .await
}

/// Whether the scratch disk is full, whoever found that out.
fn is_of_full_disk(error: &StageError) -> bool {
    let full = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
            // What SQLite says of it.
            || cause.to_string().contains("disk is full")
            // What libgit2 says, and what is said of it where it does not tell.
            || cause.to_string().contains("No space left")
            || cause.to_string().contains("is the disk full")
    };
    let mut cause = std::error::Error::source(error);
    let mut is_full = full(error);
    while let Some(error) = cause {
        is_full |= full(error);
        cause = error.source();
    }
    is_full
}

/// Ends the request in `failed` and cleans up.
async fn fail(mut job: Job<'_>, class: Class, reason: String) -> Result<Verdict, StageError> {
    let stage = job.record.work.stage;
    match git::settle_job(&mut job).await {
        Err(StageError::Lost) => return Err(StageError::Lost),
        Err(error) => {
            // It is tried again for as long as the message comes back.
            let id = job.record.id.0;
            warn!(request.id = id, error = %causes(&error), "a commit in Git is to be taken back later");
        }
        Ok(()) => {}
    }
    job.flush_log().await;
    let update = Update::state(State::Failed, reason);
    job.update_and(update, |record| {
        record.conclude(Outcome::Rejected);
    })
    .await?;
    job.deps.ending().ended(&job.record, End::Failed(class));
    Ok(clean_up(job.deps, stage, &job.record).await)
}

/// Saves the stage's result together with the move to the next stage in one write, then sends
/// the next message. A crash in between is healed by the message that is still in the queue.
async fn finish(mut job: Job<'_>, finished: Finished) -> Result<Verdict, StageError> {
    let Finished {
        update,
        plan,
        built,
        rebase,
    } = finished;
    let outcome = match rebase {
        true => Outcome::Rebase,
        false => job.record.after_work(),
    };
    let update = match outcome {
        Outcome::Shown => Update::state(State::Complete, SHOWN).with(update.facts),
        _ => update,
    };
    let stage = job.record.work.stage;
    let transition = stage.next(outcome);
    let now = job.deps.clock.now();
    job.update_and(update, |record| {
        if let Some(plan) = &plan {
            record.set_plan(plan.clone());
        }
        if built.is_some() {
            record.built.clone_from(&built);
        }
        record.conclude(outcome);
        record.work.due = Some(now);
    })
    .await?;
    match transition {
        Transition::To(next) => {
            job.deps.queue.send(&job.record.task(next)).await?;
            Ok(Verdict::Done)
        }
        Transition::Finish(_) => {
            job.deps.ending().ended(&job.record, End::Completed);
            Ok(clean_up(job.deps, stage, &job.record).await)
        }
        Transition::Ended => Ok(Verdict::Done),
    }
}

/// Puts away what the request leaves behind. Called after it is saved as done, so that a stage
/// which has to run again still finds it. If that fails, the message comes back for it.
async fn clean_up(deps: &Deps, stage: Stage, record: &Record) -> Verdict {
    if stage != Stage::Push && deps.repositories.is_none() && record.left_in_git().is_some() {
        // Who speaks to Git does it, and needs the secrets and the turn until then.
        return match deps.queue.send(&record.task(Stage::Push)).await {
            Ok(()) => Verdict::Done,
            Err(error) => {
                warn!(request.id = record.id.0, error = %causes(&error), "push is to be told again");
                Verdict::Again(SOON)
            }
        };
    }
    // First: it needs the secrets of the request, and the next one of the same index should find all as it was.
    if let Err(error) = git::settle(deps, record).await {
        warn!(request.id = record.id.0, error = %causes(&error), "its commit in Git is to be taken back again");
        return Verdict::Again(STORE_WAIT);
    }
    if let Err(error) = line::leave(deps, record).await {
        warn!(request.id = record.id.0, error = %causes(&error), "its turn is to be ended again");
        return Verdict::Again(SOON);
    }
    if let Err(error) = chain::wake(&*deps.requests, &*deps.queue, record).await {
        warn!(request.id = record.id.0, error = %causes(&error), "those who follow it are to be told again");
        return Verdict::Again(SOON);
    }
    match deps.ending().clean_up(record).await {
        Ok(()) => Verdict::Done,
        Err(error) => {
            warn!(request.id = record.id.0, error = %causes(&error), "to be cleaned up again");
            Verdict::Again(SOON)
        }
    }
}

#[cfg(test)]
mod tests;
