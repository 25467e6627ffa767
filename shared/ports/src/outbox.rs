//! What is still to be told, and whom it is told to.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iib_request::{BatchId, Destination, Message, News};
use jiff::Timestamp;

use crate::{Class, Classify, StoreError};

/// A piece of news that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Names it to the outbox.
    pub key: String,
    /// The batch.
    pub batch: BatchId,
    /// When it was written.
    pub since: Timestamp,
    /// The news.
    pub news: News,
    /// Who has been told already.
    pub told: BTreeSet<Destination>,
}

/// A batch of which something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The batch.
    pub batch: BatchId,
    /// Since when.
    pub since: Timestamp,
}

/// Days after which news goes that could not be told.
pub const NEWS_DAYS: i64 = 14;

/// The news of requests, written together with them ([`News`]): what is in here was stored, and what was
/// stored is in here, until it is told or [`NEWS_DAYS`] are over. A store that has nobody to tell it to
/// keeps none.
///
/// News of a batch is told by one process at a time, which its caller sees to.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Batches of which one of `whom` has not been told something, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn waiting(
        &self,
        whom: &BTreeSet<Destination>,
        limit: u32,
    ) -> Result<Vec<Behind>, StoreError>;

    /// What waits of a batch, as it was last written, in the order in which it is to be told: that of one request as
    /// it was written. What cannot be read is logged and left out: it holds up nothing else.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn of(&self, batch: BatchId) -> Result<Vec<Waiting>, StoreError>;

    /// Notes whom a piece of news was told to.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn note(&self, waiting: &Waiting) -> Result<(), StoreError>;

    /// Removes what everybody was told. What is gone already is no failure.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove(&self, told: &[Waiting]) -> Result<(), StoreError>;

    /// Has somebody look at a batch of which something waits.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn wake(&self, batch: BatchId) -> Result<(), StoreError>;
}

/// Somebody outside whom the service tells.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Who it is.
    fn destination(&self) -> Destination;

    /// Whether it can be told anything at the moment.
    ///
    /// # Errors
    /// [`AnnounceError`].
    async fn reach(&self) -> Result<(), AnnounceError>;

    /// Tells messages in this order. After a failure some of them may have been told; they are told again.
    ///
    /// # Errors
    /// [`AnnounceError`].
    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError>;
}

/// Messages could not be told. They wait.
#[derive(Debug, thiserror::Error)]
#[error("{destination} could not be told")]
pub struct AnnounceError {
    /// Who.
    pub destination: Destination,
    /// Whether somebody has been told this a moment ago: nothing was tried since.
    pub is_known: bool,
    /// What came back.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Classify for AnnounceError {
    fn class(&self) -> Class {
        Class::Retry
    }
}
