//! Requests that start from the result of another one (`from_index: request:<id>`).
//!
//! Such a request waits before pin until the other one has ended: its message is done with, and the other one's
//! record names it. Whoever ends the other one sends it a message. What a crash leaves of that, the sweep heals: it
//! asks again for whoever waits for long.

use std::borrow::Cow;

use iib_ports::{Queue, Requests, StoreError};
use iib_request::{Record, Request, RequestId, Stage, State};

use crate::{Deps, InputError, StageError};

/// Requests that one may name in its record. More than these are woken by the sweep.
const FOLLOWERS: usize = 1000;
/// How often a request is noted anew because somebody else changed the other one in between.
const RACES: u32 = 50;

/// How it stands with the request that another one follows.
pub(crate) enum Before {
    /// There is none, or it has made its index.
    Ready,
    /// It goes on.
    GoesOn(RequestId),
    /// Nothing comes of it, for this reason.
    Broken(String),
}

/// Looks at the request that this one follows; while that goes on it is noted there.
pub(crate) async fn look(deps: &Deps, record: &Record) -> Result<Before, StoreError> {
    let is_before_pin = matches!(record.work.stage, Stage::Queued | Stage::Pin);
    let Some(id) = record.request.starts_after().filter(|_| is_before_pin) else {
        return Ok(Before::Ready);
    };
    for _ in 0..RACES {
        let Some(mut before) = deps.requests.get(id).await? else {
            return Ok(Before::Broken(format!("There is no request {id}")));
        };
        match before.state() {
            State::Complete if before.made_index().is_some() => return Ok(Before::Ready),
            State::Complete => {
                let reason = format!("The request {id} has made no index to start from");
                return Ok(Before::Broken(reason));
            }
            State::Failed => {
                return Ok(Before::Broken(broken_by(&before)));
            }
            State::InProgress => {}
        }
        let followers = &mut before.followers;
        if followers.contains(&record.id) || followers.len() >= FOLLOWERS {
            return Ok(Before::GoesOn(id));
        }
        followers.insert(record.id);
        match deps.requests.replace(before).await {
            Ok(_) => return Ok(Before::GoesOn(id)),
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::Conflict(id))
}

/// What stands in front of how a request has ended that others were to start from.
const FOLLOWED: &str = ", from whose index this one was to start, ";
/// The same where that was itself to start from another one: the first of a chain is told, and the last.
const FURTHER: &str = "failed, because one before it ";

/// Why nothing comes of a request that follows this one.
fn broken_by(before: &Record) -> String {
    let id = before.id;
    let how = match (
        before.is_cancelled,
        before.state_reason().split_once(FOLLOWED),
    ) {
        (true, _) => "was cancelled".to_owned(),
        (false, Some((_, how))) => {
            format!("{FURTHER}{}", how.strip_prefix(FURTHER).unwrap_or(how))
        }
        (false, None) => format!("failed: {}", before.state_reason()),
    };
    format!("The request {id}{FOLLOWED}{how}")
}

/// The request with the index in the place of the request that makes it.
///
/// # Errors
/// [`InputError::NotMade`] if there is none; [`StageError::Store`].
pub(crate) async fn started<'r>(
    deps: &Deps,
    request: &'r Request,
) -> Result<Cow<'r, Request>, StageError> {
    let Some(id) = request.starts_after() else {
        return Ok(Cow::Borrowed(request));
    };
    let before = deps.requests.get(id).await?;
    let index = before.as_ref().and_then(Record::made_index);
    let index = index.ok_or(InputError::NotMade(id))?;
    Ok(Cow::Owned(request.clone().started_from(index)))
}

/// Wakes those who follow a request that has ended.
///
/// # Errors
/// [`StageError::Store`] and [`StageError::Queue`], after which some were woken.
pub(crate) async fn wake(
    requests: &dyn Requests,
    queue: &dyn Queue,
    record: &Record,
) -> Result<(), StageError> {
    for id in &record.followers {
        if let Some(follower) = requests.get(*id).await?
            && follower.work.stage == Stage::Queued
        {
            queue.send(&follower.task(Stage::Pin)).await?;
        }
    }
    Ok(())
}
