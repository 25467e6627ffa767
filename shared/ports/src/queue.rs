//! Sending messages between stages.

use std::time::Duration;

use async_trait::async_trait;
use iib_request::{Stage, Task};

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

    /// Sends many tasks with few calls. Gives the failures, one for each task that was not sent;
    /// the others were.
    async fn send_all(&self, tasks: &[Task]) -> Vec<QueueError> {
        let mut failures = Vec::new();
        for task in tasks {
            failures.extend(self.send(task).await.err());
        }
        failures
    }

    /// Whether it answers. One in memory always does.
    ///
    /// # Errors
    /// What it said.
    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

    /// Lets a message that somebody works on come back after `delay`, instead of when the time
    /// for which it is hidden is over. A delivery that is over already is left alone.
    ///
    /// # Errors
    /// What the queue said, class Retry; the message then comes back in its own time.
    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// A message in the hands of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The stage whose queue it came from.
    pub stage: Stage,
    /// Names this delivery to the queue (`receiptHandle`).
    pub receipt: String,
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
