//! Telling others what happens to requests (spec rest-api §10).
//!
//! What is to be told was written with the requests. Here it is read, made into messages, and told to
//! everybody whom the settings name, to each in order and apart from the others; what could not be told stays. Nothing
//! that works on requests waits for any of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{
    AnnounceError, Announcer, Class, Classify, OperatorStore, Outbox, Requests, StoreError,
    Waiting, chain,
};
use iib_request::{
    ApiSettings, BatchId, Destination, Message, News, Operators, Record, RequestId, Siblings,
    Telling, messages,
};
use tracing::{error, info, warn};

/// Requests of a batch that are read at the same time.
const READS: usize = 16;
/// Batches that a sweep wakes: as many as are told in the minute until the next one.
const WOKEN: u32 = 2000;
/// The same while somebody cannot be reached. Those whom all others have been told of stay.
const TRIED: u32 = 50;
/// Batches that are woken at the same time.
const AT_ONCE: usize = 16;

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
}

impl Classify for NotifyError {
    fn class(&self) -> Class {
        match self {
            Self::Store(source) => source.class(),
            Self::Announce(source) => source.class(),
        }
    }
}

/// Tells what waits of a batch, all of it or as much as can be told.
///
/// # Errors
/// [`NotifyError::Announce`] if somebody could not be told; the others were. [`NotifyError::Store`], after which
/// some of it may be told again.
pub async fn tell(deps: &NotifyDeps, batch: BatchId) -> Result<(), NotifyError> {
    let mut waiting = deps.outbox.of(batch).await?;
    let Some(first) = waiting.first() else {
        return Ok(());
    };
    let batch_mates = batch_mates(deps, &first.news).await?;
    let records = read(deps, batch_mates, &waiting).await?;
    if batch_mates.count > 1 {
        // Whoever has no news in it is as it was when it was read, and was told so.
        waiting = deps.outbox.of(batch).await?;
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
    let told = deps
        .announcers
        .iter()
        .map(|to| tell_one(&**to, &waiting, &messages));
    let told = join_all(told).await;
    let mut failed = None;
    let mut by_now: Vec<BTreeSet<Destination>> = vec![BTreeSet::new(); waiting.len()];
    for (announcer, (count, result)) in deps.announcers.iter().zip(told) {
        for told in by_now.iter_mut().take(count) {
            told.insert(announcer.destination());
        }
        failed = failed.or(result.err());
    }
    settle(deps, waiting, by_now).await?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The requests of the batch that news is of.
async fn batch_mates(deps: &NotifyDeps, news: &News) -> Result<Siblings, StoreError> {
    if let Some(known) = news.batch_mates() {
        return Ok(known);
    }
    let id = news.request();
    let record = deps.requests.get(id).await?;
    let alone = Siblings {
        first: id,
        count: 1,
    };
    Ok(record.map_or(alone, |record| record.batch_mates()))
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

/// Tells one of those who are told, and gives how many pieces of news it knows after that.
async fn tell_one(
    announcer: &dyn Announcer,
    waiting: &[Waiting],
    messages: &[Vec<Message>],
) -> (usize, Result<(), AnnounceError>) {
    let to = announcer.destination();
    for (place, (waiting, messages)) in waiting.iter().zip(messages).enumerate() {
        if waiting.told.contains(&to) || messages.is_empty() {
            continue;
        }
        if let Err(error) = announcer.announce(messages).await {
            return (place, Err(error));
        }
    }
    (waiting.len(), Ok(()))
}

/// Removes what everybody has been told, and notes who has been told the rest.
async fn settle(
    deps: &NotifyDeps,
    waiting: Vec<Waiting>,
    by_now: Vec<BTreeSet<Destination>>,
) -> Result<(), StoreError> {
    let mut done = Vec::new();
    for (mut waiting, told) in waiting.into_iter().zip(by_now) {
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
/// be told. Gives how many.
///
/// # Errors
/// [`NotifyError::Announce`] if something waits, and somebody cannot be reached; [`NotifyError::Store`].
pub async fn sweep(deps: &NotifyDeps) -> Result<u64, NotifyError> {
    let waiting = deps.outbox.waiting(1).await?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let mut unreachable = None;
    for announcer in &deps.announcers {
        unreachable = unreachable.or(announcer.reach().await.err());
    }
    let limit = if unreachable.is_some() { TRIED } else { WOKEN };
    let waiting = deps.outbox.waiting(limit).await?;
    let mut wakes = Vec::with_capacity(waiting.len());
    for batch in &waiting {
        wakes.push(deps.outbox.wake(*batch));
    }
    let woken = stream::iter(wakes).buffer_unordered(AT_ONCE);
    woken.try_collect::<()>().await?;
    if let Some(error) = unreachable {
        let oldest = waiting.first().map(|batch| batch.0);
        warn!(
            event = "news_waits",
            batch = oldest,
            error = chain(&error),
            "news waits"
        );
        return Err(error.into());
    }
    info!(batches = waiting.len(), "news that waited is told");
    Ok(waiting.len() as u64)
}
