//! Sending messages between stages.

use async_trait::async_trait;
use iib_request::Task;

use crate::{Class, Classify};

/// The queues in front of the stages: the sending half. Receiving is the platform's (an event
/// source mapping on AWS, the local queue's worker on one machine).
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends a task to the queue of its stage. It arrives at least once after this call began; a
    /// queue may let an equal task that nobody has received yet stand for it.
    ///
    /// # Errors
    /// [`QueueError`], class Retry; the message may or may not have been stored.
    async fn send(&self, task: &Task) -> Result<(), QueueError>;
}

/// A message could not be handed over.
#[derive(Debug, thiserror::Error)]
#[error("the message for stage {stage} of request {request_id} could not be sent")]
pub struct QueueError {
    /// The request.
    pub request_id: iib_request::RequestId,
    /// The stage whose queue it was meant for.
    pub stage: iib_request::Stage,
    /// What the queue said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Classify for QueueError {
    fn class(&self) -> Class {
        Class::Retry
    }
}
