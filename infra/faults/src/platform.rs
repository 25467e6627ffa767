//! What the suite runs over.

use std::sync::Arc;

use async_trait::async_trait;
use iib_pipeline::Deps;
use iib_pipeline::prune::PruneDeps;
use iib_ports::Listing;
use iib_request::Stage;
use jiff::SignedDuration;
use serde_json::{Value, json};

/// A message that somebody holds.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Stays the same over all deliveries.
    pub(crate) id: String,
    /// Names this delivery.
    pub(crate) receipt: String,
    /// What it says.
    pub(crate) body: String,
    /// How often it was delivered, this time included.
    pub(crate) deliveries: u32,
}

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// That of a stage.
    Stage(Stage),
    /// The dead letters.
    DeadLetters,
}

/// A process of the service: its ports, put together anew.
pub(crate) struct Process {
    pub(crate) deps: Deps,
    pub(crate) listing: Arc<dyn Listing>,
    pub(crate) prune: PruneDeps,
}

/// A platform: stores, queues and what brings messages.
#[async_trait]
pub(crate) trait Platform: Send + Sync {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// Whether processes can work side by side; if not, a new one makes the one before it dead.
    fn has_many_processes(&self) -> bool;

    /// Starts a process.
    async fn start(&self) -> anyhow::Result<Process>;

    /// Lets so much time pass for all processes.
    fn pass(&self, time: SignedDuration);

    /// Receives a message that can be received now, and hides it.
    async fn receive(&self, from: From) -> anyhow::Result<Option<Message>>;

    /// Ends the work on a message.
    async fn delete(&self, from: From, message: &Message) -> anyhow::Result<()>;

    /// Lets a message be received again at once, as when the time for which it is hidden is over.
    async fn bring_back(&self, from: From, message: &Message) -> anyhow::Result<()>;

    /// Puts a text into the queue of a stage, whatever it says; `false` if its queues cannot hold
    /// what is no task.
    async fn send_text(&self, stage: Stage, body: &str) -> anyhow::Result<bool>;
}

/// The document that brings messages, as SQS gives it to a function.
pub(crate) fn event(from: From, messages: &[Message]) -> Value {
    let queue = match from {
        From::Stage(stage) => stage.as_str(),
        From::DeadLetters => "dead-letter",
    };
    let records = messages.iter().map(|message| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": {"ApproximateReceiveCount": message.deliveries.to_string()},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:iib-{queue}"),
            "awsRegion": "us-east-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}
