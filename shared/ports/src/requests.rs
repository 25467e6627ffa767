//! The store of requests.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iib_oci::Digest;
use iib_request::{
    Annotations, BaseUrl, BatchId, Filters, Operators, Record, RecordError, Request, RequestId,
    SecretRef, Siblings, Sought, TraceParent,
};
use jiff::Timestamp;

use crate::{Class, Classify, chain};

/// Requests to be stored together, under one batch.
#[derive(Debug, Clone)]
pub struct NewBatch {
    /// Who asks.
    pub user: Option<String>,
    /// When.
    pub now: Timestamp,
    /// The address under which it is asked, if there is one.
    pub asked_at: Option<BaseUrl>,
    /// No request of it gets a lower number than this. Where a store has handed out higher ones, it goes on
    /// from those.
    pub first_number: u64,
    /// What was noted on the batch.
    pub annotations: Option<Annotations>,
    /// What is asked for, in this order; not nothing.
    pub requests: Vec<NewRequest>,
    /// What asked for it, if that may ask twice: an event that is delivered again must not make
    /// other requests. At most [`ONCE_LIMIT`] bytes.
    pub once: Option<String>,
    /// What it said ([`Record::asked_for`]), if that has to be the same each time.
    pub asked_for: Option<Digest>,
    /// Whether it is only to be seen what they would do ([`Record::is_dry_run`]).
    pub is_dry_run: bool,
}

/// A request to be stored.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// What is asked for.
    pub request: Request,
    /// The queue that the settings have for it.
    pub queue: Option<String>,
    /// The place in a trace that the work on it goes on from.
    pub traceparent: Option<TraceParent>,
    /// References to secrets that came with it, by what they are for.
    pub secrets: BTreeMap<String, SecretRef>,
}

impl NewBatch {
    /// One request without secrets, asked for once.
    pub fn of(user: Option<String>, request: Request, now: Timestamp) -> Self {
        let secrets = BTreeMap::new();
        Self {
            user,
            now,
            asked_at: None,
            first_number: 1,
            annotations: None,
            requests: vec![NewRequest {
                request,
                queue: None,
                traceparent: None,
                secrets,
            }],
            once: None,
            asked_for: None,
            is_dry_run: false,
        }
    }

    /// The records of these requests, under numbers from `first` on.
    pub fn into_records(self, first: RequestId, batch: BatchId) -> Vec<Record> {
        let count = self.requests.len() as u64;
        let siblings = (count > 1).then_some(Siblings { first, count });
        let numbered = (first.0..).map(RequestId).zip(self.requests);
        let record = |(id, new): (RequestId, NewRequest)| Record {
            secrets: new.secrets,
            queue: new.queue,
            traceparent: new.traceparent,
            asked_at: self.asked_at.clone(),
            annotations: self.annotations.clone(),
            asked_for: self.asked_for.clone(),
            siblings,
            ..Record::new(id, batch, self.user.clone(), new.request, self.now)
        };
        let records = numbered.map(record);
        match self.is_dry_run {
            true => records.map(Record::as_dry_run).collect(),
            false => records.collect(),
        }
    }
}

/// Longest [`NewBatch::once`], bytes: an object's key (1024) and what tells its versions apart.
pub const ONCE_LIMIT: usize = 1536;

/// What [`Requests::create`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The requests are new.
    New(Vec<Record>),
    /// They were made by an earlier call with the same [`NewBatch::once`]; as they stand now.
    Before(Vec<Record>),
}

impl Created {
    /// The requests, new or not.
    pub fn into_records(self) -> Vec<Record> {
        match self {
            Self::New(records) | Self::Before(records) => records,
        }
    }
}

/// A page of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Which requests.
    pub filters: Filters,
    /// Number of the page, from 1.
    pub page: u64,
    /// Requests on a page.
    pub per_page: u32,
}

/// A piece of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OlderQuery {
    /// Which requests.
    pub filters: Filters,
    /// Those with lower numbers than this; none: the newest.
    pub before: Option<RequestId>,
    /// How many at most; not none.
    pub limit: u32,
}

/// Requests of a piece of the listing, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// The requests.
    pub items: Vec<Listed>,
    /// Where the next piece begins, if there are more: what is [`OlderQuery::before`] then.
    pub next: Option<RequestId>,
}

/// A request among others: one that cannot be read must not hide the rest.
pub type Listed = Result<Record, Unreadable>;

/// A request whose record this version cannot read. It is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored record of request {id} cannot be read: {reason}")]
pub struct Unreadable {
    /// The request.
    pub id: RequestId,
    /// Why not, with causes.
    pub reason: String,
}

impl Unreadable {
    /// A record that was read, or why it could not be.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn listed(id: RequestId, read: Result<Record, RecordError>) -> Listed {
        read.map_err(|error| Self {
            id,
            reason: chain(&error),
        })
    }
}

/// Requests of a page, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The requests.
    pub items: Vec<Listed>,
    /// How many requests there are on all pages.
    pub total: u64,
}

/// The store of requests, one at a time. Writes are conditional on the record's version; there is
/// no other way to change a request.
#[async_trait]
pub trait Requests: Send + Sync {
    /// Stores new requests under the next ids and the next batch: all of them become visible at
    /// once, or none does. Ids leave no gaps, but where a creation broke off or was one of several for
    /// the same at once. A second call with the same `once` within fourteen days stores nothing,
    /// also when both run at the same time.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError>;

    /// The requests that a call with this `once` stored, as they stand now; none if there was no such call within
    /// fourteen days, or somewhat longer.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError>;

    /// Reads a request, as it was last written (never an older version).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError>;

    /// Writes `record` if the stored version still is `record.version`, and returns it with the
    /// version counted up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if somebody wrote in between, and nothing was written.
    async fn replace(&self, record: Record) -> Result<Record, StoreError>;
}

/// The requests as the API lists them. Apart from [`Requests`] because no stage may ask for it.
#[async_trait]
pub trait Listing: Send + Sync {
    /// A page of the requests that the filters hold for, by id, newest first, and how many there
    /// are.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn page(&self, query: &PageQuery) -> Result<Page, StoreError>;

    /// The requests that the filters hold for with lower numbers than `before`, or the newest ones, newest first, at most
    /// `limit`; new requests do not move them. How many there are is not looked up, so that it takes no longer far behind.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn older(&self, query: &OlderQuery) -> Result<Older, StoreError>;

    /// Whether any request uses an image like this, in any role ([`Record::images`]).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn is_seen(&self, sought: Sought<'_>) -> Result<bool, StoreError>;
}

/// Which operator a bundle is of, as somebody found out once, for all requests that name the bundle
/// (spec rest-api §5).
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Records operators; the last one that is recorded for a bundle counts. The bundles count as seen.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remember(&self, operators: &Operators) -> Result<(), StoreError>;

    /// Those of these bundles, as far as they are recorded.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of(&self, bundles: &BTreeSet<&str>) -> Result<Operators, StoreError>;
}

/// The requests that somebody has to come back to. Apart from [`Requests`] because only clearing
/// up goes through them; on AWS it needs rights to an index that nobody else has.
#[async_trait]
pub trait Sweeps: Send + Sync {
    /// Requests that are not done, by id, oldest first: those with ids greater than `after`, or
    /// all, at most `limit`. Fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Listed>, StoreError>;

    /// Requests that ended before a time and whose temporary data is still there
    /// ([`Record::data_removed`]), those that ended longest ago first, at most `limit`. Those that
    /// cannot be read are left out, and do not count.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError>;
}

/// The store failed, or refused a write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer was first.
    #[error("request {0} was changed by somebody else in between")]
    Conflict(RequestId),
    /// The stored document cannot be read.
    #[error("the stored record of request {id} cannot be read")]
    Malformed {
        /// The request.
        id: RequestId,
        /// Why not.
        source: RecordError,
    },
    /// The store could not be reached or used.
    #[error("the request store could not {action}")]
    Unavailable {
        /// What was tried, as a verb.
        action: &'static str,
        /// What the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Classify for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Conflict(_) | Self::Unavailable { .. } => Class::Retry,
            // A later version of the service will come back to it.
            Self::Malformed {
                source: RecordError::Newer { .. },
                ..
            } => Class::Retry,
            Self::Malformed { .. } => Class::Bug,
        }
    }
}
