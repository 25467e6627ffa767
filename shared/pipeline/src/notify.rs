//! Telling others what happens to requests (spec rest-api §10).
//!
//! What is to be told was written with the requests. Here it is read, made into messages, and told to
//! everybody whom the settings name, to each in order and apart from the others; what could not be told stays. Nothing
//! that works on requests waits for any of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{
    AnnounceError, Announcer, Class, Classify, Clock, OperatorStore, Outbox, Requests, StoreError,
    TRACE, Waiting, chain,
};
use iib_request::{
    ApiSettings, BatchId, Destination, Message, News, Operators, Record, RequestId, Siblings,
    Telling, messages,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;
use tracing::{error, info, instrument, warn};

/// Requests of a batch that are read at the same time.
const READS: usize = 16;
/// Batches that a sweep wakes: as many as are told in the minute until the next one.
const WOKEN: u32 = 2000;
/// Batches that are woken at the same time.
const AT_ONCE: usize = 16;
/// News of a batch that is told before it is noted that it was.
const PIECE: usize = 50;
/// What is left of a run when nothing is told any more: to note what was.
const RESERVE: SignedDuration = SignedDuration::from_secs(20);
/// Age from which on somebody should see why news waits: it came again several times.
const OVERDUE: SignedDuration = SignedDuration::from_mins(10);

/// What telling works with. It changes no request.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct NotifyDeps {
    /// What is to be told.
    pub outbox: Arc<dyn Outbox>,
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The operators of bundles.
    pub operators: Arc<dyn OperatorStore>,
    /// Who is told.
    pub announcers: Vec<Arc<dyn Announcer>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the API.
    pub api: ApiSettings,
}

/// Something could not be told. It waits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody could not be told.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// News waits though everybody seems to be there.
    #[error(
        "news of batch {batch} has waited since {since}, though everybody can be reached: look for what `news waits` said of it"
    )]
    Overdue {
        /// The batch that has waited longest.
        batch: BatchId,
        /// Since when.
        since: Timestamp,
    },
}

impl Classify for NotifyError {
    fn class(&self) -> Class {
        match self {
            Self::Store(source) => source.class(),
            Self::Announce(source) => source.class(),
            Self::Overdue { .. } => Class::Retry,
        }
    }
}

/// Tells what waits of a batch, all of it or as much as can be told. What there is no time for before `deadline` comes
/// again.
///
/// # Errors
/// [`NotifyError::Announce`] if somebody could not be told; the others were. [`NotifyError::Store`], after which
/// some of it may be told again.
#[instrument(target = TRACE, name = "notify", skip_all)]
pub async fn tell(
    deps: &NotifyDeps,
    batch: BatchId,
    deadline: Option<Timestamp>,
) -> Result<(), NotifyError> {
    let end = deadline.map(|deadline| deadline.saturating_sub(RESERVE).unwrap_or(deadline));
    let left = || end.map(|end| end.duration_since(deps.clock.now()));
    let is_late = || left().is_some_and(|left| !left.is_positive());
    if is_late() {
        return Ok(deps.outbox.wake(batch).await?);
    }
    let mut waiting = deps.outbox.of(batch).await?;
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let batch_mates = batch_mates(deps, &first.news).await?;
    let mut records = read(deps, batch_mates, &waiting).await?;
    if batch_mates.count > 1 {
        // Whoever has no news in it is as it was when it was read, and was told so.
        waiting = deps.outbox.of(batch).await?;
        read_again(deps, &mut records, &waiting).await?;
    }
    let operators = operators_of(deps, &records, &waiting).await?;
    let telling = Telling {
        records: &records,
        batch_mates,
        operators: &operators,
        settings: &deps.api,
    };
    let news: Vec<News> = waiting.iter().map(|waiting| waiting.news.clone()).collect();
    let messages = messages(&news, telling);
    let mut failed: BTreeMap<Destination, AnnounceError> = BTreeMap::new();
    let mut no_time = false;
    for (waiting, messages) in waiting.chunks(PIECE).zip(messages.chunks(PIECE)) {
        // Whoever missed something hears nothing that came later.
        let announcers = deps.announcers.iter();
        let announcers = announcers.filter(|to| !failed.contains_key(&to.destination()));
        let told = announcers.map(|to| tell_one(&**to, waiting, messages, left));
        let told = join_all(told).await;
        let mut by_now: Vec<BTreeSet<Destination>> = vec![BTreeSet::new(); waiting.len()];
        for (to, count, result) in told {
            by_now.iter_mut().take(count).for_each(|told| {
                told.insert(to);
            });
            match result {
                Ok(Heard::All) => {}
                Ok(Heard::NoTime) => no_time = true,
                Err(error) => drop(failed.insert(to, error)),
            }
        }
        settle(deps, waiting, by_now).await?;
        if failed.len() == deps.announcers.len() {
            break;
        }
        if no_time || is_late() {
            deps.outbox.wake(batch).await?;
            break;
        }
    }
    match failed.into_values().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Requests that have changed since they were read, as far as their news does not say how they stand.
async fn read_again(
    deps: &NotifyDeps,
    records: &mut BTreeMap<RequestId, Record>,
    waiting: &[Waiting],
) -> Result<(), StoreError> {
    for waiting in waiting {
        let News::Changed {
            id,
            version,
            then: None,
        } = waiting.news
        else {
            continue;
        };
        let is_older = |record: &Record| record.version < version;
        if records.get(&id).is_some_and(is_older) {
            records.extend(read_one(deps, id).await?);
        }
    }
    Ok(())
}

/// The requests of the batch that news is of.
async fn batch_mates(deps: &NotifyDeps, news: &News) -> Result<Siblings, StoreError> {
    if let Some(known) = news.batch_mates() {
        return Ok(known);
    }
    let id = news.request();
    let alone = Siblings {
        first: id,
        count: 1,
    };
    let found = read_one(deps, id).await?;
    Ok(found.map_or(alone, |(_, record)| record.batch_mates()))
}

/// The requests of the batch, as far as they are needed: a change of a lone one says it all.
async fn read(
    deps: &NotifyDeps,
    batch_mates: Siblings,
    waiting: &[Waiting],
) -> Result<BTreeMap<RequestId, Record>, StoreError> {
    let says_all = |waiting: &Waiting| matches!(&waiting.news, News::Changed { then: Some(_), .. });
    if batch_mates.count == 1 && waiting.iter().all(says_all) {
        return Ok(BTreeMap::new());
    }
    let reads: Vec<_> = batch_mates.ids().map(|id| read_one(deps, id)).collect();
    let found: Vec<Option<_>> = stream::iter(reads).buffered(READS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn read_one(
    deps: &NotifyDeps,
    id: RequestId,
) -> Result<Option<(RequestId, Record)>, StoreError> {
    match deps.requests.get(id).await {
        Ok(record) => Ok(record.map(|record| (id, record))),
        // It will not get better by waiting.
        Err(error @ StoreError::Malformed { .. }) if error.class() == Class::Bug => {
            error!(
                event = "record_unreadable",
                request.id = id.0,
                error = chain(&error)
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn operators_of(
    deps: &NotifyDeps,
    records: &BTreeMap<RequestId, Record>,
    waiting: &[Waiting],
) -> Result<Operators, StoreError> {
    let then = waiting.iter().filter_map(|waiting| match &waiting.news {
        News::Changed { then, .. } => then.as_deref(),
        News::Created(_) => None,
    });
    let bundles = records
        .values()
        .chain(then)
        .flat_map(|record| record.request.bundles());
    let bundles: BTreeSet<&str> = bundles.map(String::as_str).collect();
    match bundles.is_empty() {
        true => Ok(Operators::new()),
        false => deps.operators.of(&bundles).await,
    }
}

/// How much of it somebody was told who took what he was told.
enum Heard {
    All,
    NoTime,
}

/// Tells one of those who are told as much as there is time for, and gives who it is and how many pieces of news it
/// knows after that.
async fn tell_one(
    announcer: &dyn Announcer,
    waiting: &[Waiting],
    messages: &[Vec<Message>],
    left: impl Fn() -> Option<SignedDuration>,
) -> (Destination, usize, Result<Heard, AnnounceError>) {
    let to = announcer.destination();
    for (place, (waiting, messages)) in waiting.iter().zip(messages).enumerate() {
        if waiting.told.contains(&to) || messages.is_empty() {
            continue;
        }
        let telling = announcer.announce(messages);
        let told = match left() {
            // What is told in part is told again.
            Some(left) => {
                let left = Duration::try_from(left).unwrap_or_default();
                let Ok(told) = timeout(left, telling).await else {
                    return (to, place, Ok(Heard::NoTime));
                };
                told
            }
            None => telling.await,
        };
        if let Err(error) = told {
            return (to, place, Err(error));
        }
    }
    (to, waiting.len(), Ok(Heard::All))
}

/// Removes what everybody has been told, and notes who has been told the rest.
async fn settle(
    deps: &NotifyDeps,
    waiting: &[Waiting],
    by_now: Vec<BTreeSet<Destination>>,
) -> Result<(), StoreError> {
    let mut done = Vec::new();
    for (mut waiting, told) in waiting.iter().cloned().zip(by_now) {
        let all = deps.announcers.iter().map(|to| to.destination());
        if all
            .clone()
            .all(|to| told.contains(&to) || waiting.told.contains(&to))
        {
            done.push(waiting);
        } else if !told.is_subset(&waiting.told) {
            waiting.told.extend(told);
            deps.outbox.note(&waiting).await?;
        }
    }
    deps.outbox.remove(&done).await
}

/// Has somebody look at batches of which something waits that nobody has looked at, or that could not
/// be told. Gives how many. Those that wait only for somebody who cannot be reached stay.
///
/// # Errors
/// [`NotifyError::Announce`] if something waits, and somebody cannot be reached; [`NotifyError::Overdue`] if something
/// waits for long, and everybody can; [`NotifyError::Store`].
#[instrument(target = TRACE, name = "notify sweep", skip_all)]
pub async fn sweep(deps: &NotifyDeps) -> Result<u64, NotifyError> {
    let everybody: BTreeSet<_> = deps.announcers.iter().map(|to| to.destination()).collect();
    let waiting = deps.outbox.waiting(&everybody, 1).await?;
    let Some(longest) = waiting.first().copied() else {
        return Ok(0);
    };
    let mut reachable = everybody;
    let mut unreachable = None;
    for announcer in &deps.announcers {
        if let Err(error) = announcer.reach().await {
            reachable.remove(&announcer.destination());
            unreachable = unreachable.or(Some(error));
        }
    }
    let behind = match reachable.is_empty() {
        true => Vec::new(),
        false => deps.outbox.waiting(&reachable, WOKEN).await?,
    };
    let mut wakes = Vec::with_capacity(behind.len());
    for behind in &behind {
        wakes.push(deps.outbox.wake(behind.batch));
    }
    let woken = stream::iter(wakes).buffer_unordered(AT_ONCE);
    woken.try_collect::<()>().await?;
    let failed = match unreachable {
        Some(error) => error.into(),
        None if deps.clock.now().duration_since(longest.since) > OVERDUE => NotifyError::Overdue {
            batch: longest.batch,
            since: longest.since,
        },
        None => {
            info!(
                batches = behind.len(),
                "batches of which news waits are looked at again"
            );
            return Ok(behind.len() as u64);
        }
    };
    warn!(
        event = "news_waits",
        batch = longest.batch.0,
        since = %longest.since,
        error = chain(&failed),
        "news waits"
    );
    Err(failed)
}
