//! Stopping a request. Ours.

use iib_ports::{End, StoreError};
use iib_request::{Record, RequestId, Update};

use super::patch::put_away;
use super::{IntakeDeps, IntakeError, get};
use crate::ending::line;

/// How often it is tried anew because somebody else changed the request in between.
const RACES: u32 = 50;

/// Ends a request that goes on, on behalf of whoever made it, of a user who may change requests, or of somebody whose
/// name nobody asked for. Whoever works on it stops at the next write.
///
/// # Errors
/// [`IntakeError::NotFound`], [`IntakeError::SomebodyElses`], [`IntakeError::NotCancelled`], after which nothing is
/// changed; [`IntakeError::Store`].
pub async fn cancel(
    deps: &IntakeDeps,
    id: RequestId,
    by: Option<&str>,
) -> Result<Record, IntakeError> {
    let mut is_logged = false;
    for _ in 0..RACES {
        let mut record = get(deps, id).await?;
        if !may_cancel(deps, &record, by) {
            return Err(IntakeError::SomebodyElses(id));
        }
        if record.is_cancelled {
            return Ok(record);
        }
        let (now, stage) = (deps.clock.now(), record.work.stage);
        let cancelled = record.cancel(by, now);
        cancelled.map_err(|why| IntakeError::NotCancelled(id, why))?;
        if !is_logged {
            // Before the end of the request, by which its log is whole. A log that cannot be written is no reason to fail.
            is_logged = true;
            let who = by.unwrap_or("Somebody");
            let line = line(
                now,
                stage,
                &format!("{who} asks for the request to be cancelled"),
            );
            let _ = deps.logs.append(id, &[line]).await;
        }
        match deps.requests.replace(record).await {
            Ok(record) => {
                deps.figures
                    .publish(now, &[End::Cancelled.sample(&record, now)]);
                let update = Update::state(record.state(), record.state_reason());
                deps.notifier.updated(&record, &update).await;
                put_away(deps, &record).await;
                return Ok(record);
            }
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict(id).into())
}

fn may_cancel(deps: &IntakeDeps, record: &Record, by: Option<&str>) -> bool {
    let Some(by) = by else {
        return true;
    };
    record.user.as_deref() == Some(by)
        || deps.api.worker_usernames.iter().any(|worker| worker == by)
}
