//! Nudging requests whose message was lost.

use iib_ports::StoreError;
use iib_request::{Stage, Task};
use jiff::SignedDuration;
use tracing::{info, warn};

use crate::Deps;
use crate::stage::chain;

/// How many live requests one sweep looks at. More wait for the next one.
const SWEEP_LIMIT: u32 = 1000;

/// Sends a message for every request that is not done, that nobody works on, and that was not
/// touched for `idle`. A message too many does no harm: the stage sees that it is past.
///
/// Returns how many were sent.
///
/// # Errors
/// [`StoreError`] if the requests cannot be listed.
pub async fn sweep(deps: &Deps, idle: SignedDuration) -> Result<usize, StoreError> {
    let now = deps.clock.now();
    let mut sent = 0;
    for record in deps.requests.live(SWEEP_LIMIT).await? {
        let leased = record.leased_until.is_some_and(|until| until > now);
        let touched = record.leased_until.unwrap_or_else(|| record.updated());
        if leased || now.duration_since(touched) < idle {
            continue;
        }
        let stage = if record.stage == Stage::Queued {
            Stage::Pin
        } else {
            record.stage
        };
        match deps.queue.send(&Task::new(record.id, stage)).await {
            Ok(()) => sent += 1,
            Err(error) => {
                warn!(request.id = record.id.0, error = %chain(&error), "no message sent");
            }
        }
    }
    if sent > 0 {
        info!(sent, "sent messages for requests that were waiting");
    }
    Ok(sent)
}
