//! Requests that overwrite the same index do so one after the other (architecture §2.6).
//!
//! Before pin a request takes the turn of its index. One that does not get it waits in its record: its
//! message is done with. Whoever ends a turn wakes the first of those who wait. What a crash leaves of
//! that, the sweep heals: it wakes who waits for long, and a turn whose request has ended counts for
//! nothing.

use iib_oci::{PullSpec, Reference};
use iib_ports::{Lines, Moved, StoreError, chain};
use iib_request::{Record, RequestId, Stage};
use tracing::warn;

use crate::{Deps, StageError};

/// How many turns of requests that have ended are ended in one go.
const ENDED: usize = 8;

/// The index whose tag a request moves: the name of its line. What is no tag is told by pin.
pub(crate) fn index_of(record: &Record) -> Option<String> {
    let named: PullSpec = record.overwritten_index()?.parse().ok()?;
    match named.reference() {
        Reference::Tag(tag) => Some(name(&named, tag)),
        Reference::Digest(_) => None,
    }
}

/// The name of the line of an index.
pub(crate) fn name(index: &PullSpec, tag: &str) -> String {
    format!("{}:{tag}", index.repository())
}

/// Takes the turn of the index that a request overwrites, if it does. Gives the request that it has to
/// wait for.
pub(crate) async fn take(deps: &Deps, record: &Record) -> Result<Option<RequestId>, StoreError> {
    let is_before_pin = matches!(record.work.stage, Stage::Queued | Stage::Pin);
    let Some(index) = index_of(record).filter(|_| is_before_pin) else {
        return Ok(None);
    };
    deps.lines.join(&index, record.id).await?;
    for _ in 0..ENDED {
        let turn = deps.lines.take(&index, record.id).await?;
        if turn == record.id {
            return Ok(None);
        }
        let other = deps.requests.get(turn).await?;
        if other.is_some_and(|other| other.work.stage != Stage::Done) {
            return Ok(Some(turn));
        }
        // Nobody came to end its turn.
        deps.lines.leave(&index, turn).await?;
    }
    Err(StoreError::Conflict(record.id))
}

/// Ends the turn of a request that has ended, or its waiting, and wakes who is next.
pub(crate) async fn leave(deps: &Deps, record: &Record) -> Result<(), StageError> {
    let Some(index) = index_of(record) else {
        return Ok(());
    };
    let mut next = deps.lines.leave(&index, record.id).await?;
    for _ in 0..ENDED {
        let Some(id) = next else { return Ok(()) };
        match deps.requests.get(id).await? {
            Some(waiting) if waiting.work.stage != Stage::Done => {
                return Ok(deps.queue.send(&waiting.task(Stage::Pin)).await?);
            }
            _ => next = deps.lines.leave(&index, id).await?,
        }
    }
    // There are more of them, whom the next try ends.
    Err(StoreError::Conflict(record.id).into())
}

/// Notes that a request has moved the tag of its index, for the reasons of others ([`crate::advice`]).
pub(crate) async fn note_moved(deps: &Deps, record: &Record) {
    let Some(index) = index_of(record) else {
        return;
    };
    let moved = Moved {
        by: record.id,
        at: deps.clock.now(),
    };
    if let Err(error) = deps.lines.note_moved(&index, moved).await {
        warn!(request.id = record.id.0, error = %chain(&error), "not noted who moved a tag");
    }
}

/// How many requests come before one that waits for its turn; `None` if it does not wait.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn ahead(lines: &dyn Lines, record: &Record) -> Result<Option<u64>, StoreError> {
    let Some(index) = index_of(record).filter(|_| record.work.stage == Stage::Queued) else {
        return Ok(None);
    };
    let line = lines.of(&index).await?;
    if !line.waiting.contains(&record.id) {
        return Ok(None);
    }
    let before = line.waiting.iter().filter(|other| **other < record.id);
    Ok(Some(u64::from(line.turn.is_some()) + before.count() as u64))
}

#[cfg(test)]
mod tests {
    use iib_request::{AddRequest, BatchId, Request};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_line_is_that_of_a_tag() {
        let record = |from_index: &str, overwrites| {
            let request = Request::Add(AddRequest {
                from_index: Some(from_index.to_owned()),
                overwrite_from_index: overwrites,
                ..AddRequest::default()
            });
            let now = Timestamp::UNIX_EPOCH;
            Record::new(RequestId(1), BatchId(1), None, request, now)
        };
        let name = |from_index: &str, overwrites| index_of(&record(from_index, overwrites));
        let tag = "r.example/team/index:v4.16";
        assert_eq!(name(tag, true).as_deref(), Some(tag));
        assert_eq!(index_of(&record(tag, true).as_dry_run()), None);
        assert_eq!(name(tag, false), None);
        let digest = format!("r.example/team/index@sha256:{}", "a".repeat(64));
        assert_eq!(name(&digest, true), None);
    }
}
