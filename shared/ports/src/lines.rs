//! The port of the lines in front of indexes.

use async_trait::async_trait;
use iib_request::RequestId;
use jiff::Timestamp;

use crate::StoreError;

/// Who has moved the tag of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The request.
    pub by: RequestId,
    /// When, to the millisecond.
    pub at: Timestamp,
}

/// Who is to overwrite an index next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// Whose turn it is.
    pub turn: Option<RequestId>,
    /// Those that wait, by number.
    pub waiting: Vec<RequestId>,
    /// Who has moved the tag last, of all that ever stood in the line.
    pub moved: Option<Moved>,
}

impl Line {
    /// Whether nobody has the turn or waits for it.
    pub fn is_empty(&self) -> bool {
        self.turn.is_none() && self.waiting.is_empty()
    }
}

/// Requests that overwrite the same index do so one after the other. They stand in a line for it,
/// and one of them has the turn (architecture §2.6).
///
/// Every call may come twice. Nobody is told that a turn is free: whoever ends one wakes the first of
/// those who wait ([`Lines::leave`]), and whoever waits may try again at any time. As a request joins
/// before it tries, and a turn ends before it is looked who waits, one of the two sees the other.
#[async_trait]
pub trait Lines: Send + Sync {
    /// Puts a request into the line for an index (`registry/repository:tag`).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn join(&self, index: &str, id: RequestId) -> Result<(), StoreError>;

    /// Gives a request the turn if nobody has it, and says who has it now. It does not wait any more
    /// then.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn take(&self, index: &str, id: RequestId) -> Result<RequestId, StoreError>;

    /// Takes a request out of the line, ends its turn if it has it, and says who stands first then.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn leave(&self, index: &str, id: RequestId) -> Result<Option<RequestId>, StoreError>;

    /// Notes who has moved the tag of an index. That is for people only: nothing depends on it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn note_moved(&self, index: &str, moved: Moved) -> Result<(), StoreError>;

    /// The line for an index.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn of(&self, index: &str) -> Result<Line, StoreError>;
}
