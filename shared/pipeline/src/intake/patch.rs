//! Changes from outside: by workers elsewhere, or by people who know what they do.

use iib_ports::{StoreError, chain};
use iib_request::{Members, Patch, Record, RequestId, Stage, Update};
use tracing::warn;

use super::{IntakeDeps, IntakeError, get};

/// How often a change is made anew because somebody else changed the request in between.
const RACES: u32 = 50;

/// Changes a request (spec rest-api §8). Where it gets a final state, whoever works on it stops at the
/// next write.
///
/// # Errors
/// [`IntakeError::Refused`] and [`IntakeError::NotFound`], after which nothing is changed;
/// [`IntakeError::Store`].
pub async fn patch(
    deps: &IntakeDeps,
    id: RequestId,
    members: &Members,
) -> Result<Record, IntakeError> {
    members.check_some()?;
    let mut record = get(deps, id).await?;
    let mut races = 0;
    let (patch, record) = loop {
        let patch = Patch::read(members, &record)?;
        patch.apply(&mut record, deps.clock.now())?;
        // Before the request: when that is final, the call must not end in an error of something else.
        if !patch.operators().is_empty() {
            deps.operators.remember(patch.operators()).await?;
        }
        match deps.requests.replace(record).await {
            Ok(saved) => break (patch, saved),
            Err(StoreError::Conflict(_)) if races < RACES => {
                races += 1;
                record = get(deps, id).await?;
            }
            Err(error) => return Err(error.into()),
        }
    };
    if let Some(new) = patch.state() {
        let update = Update::state(new.state, &new.state_reason);
        deps.notifier.updated(&record, &update).await;
        if new.state.is_final() {
            put_away(deps, &record).await;
        }
    }
    Ok(record)
}

/// Has a stage put away what the request leaves behind: it finds that the request has ended, whichever
/// message tells it to look. Without one, what stays expires like what a crash leaves.
pub(super) async fn put_away(deps: &IntakeDeps, record: &Record) {
    // What stands in a Git repository only push can take back.
    let stage = match record.left_in_git() {
        Some(_) => Stage::Push,
        None => Stage::Pin,
    };
    if let Err(error) = deps.queue.send(&record.task(stage)).await {
        warn!(
            request.id = record.id.0,
            error = chain(&error),
            "what an ended request leaves is put away later"
        );
    }
}
