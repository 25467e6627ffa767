//! The queues in front of the stages: SQS, the sending half.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use iib_oci::Digest;
use iib_ports::{Delivery, Queue, QueueError};
use iib_request::{Stage, Task};

use crate::failure::source;

/// Most messages in one batch call (SQS's limit).
const BATCH: usize = 10;
/// The longest a message can be hidden, twelve hours (SQS's limit).
const LONGEST_DELAY: Duration = Duration::from_secs(12 * 60 * 60);

/// URLs of the queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// The queue of pin.
    pub pin: String,
    /// The queue of mutate.
    pub mutate: String,
    /// The queue of push.
    pub push: String,
}

impl QueueUrls {
    fn of(&self, stage: Stage) -> Option<&str> {
        match stage {
            Stage::Pin => Some(&self.pin),
            Stage::Mutate => Some(&self.mutate),
            Stage::Push => Some(&self.push),
            Stage::Queued | Stage::Done => None,
        }
    }
}

/// Queues of SQS. A message has some hundred bytes, far below SQS's limit of a MiB: it carries a
/// request's number and never its content.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    urls: QueueUrls,
}

/// Why a message of a batch was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
struct EntryFailure {
    code: String,
    message: String,
}

impl SqsQueue {
    /// Queues under these URLs.
    pub fn new(client: Client, urls: QueueUrls) -> Self {
        Self { client, urls }
    }

    fn url(&self, stage: Stage) -> Result<&str, Box<dyn Error + Send + Sync>> {
        self.urls
            .of(stage)
            .ok_or_else(|| "no function works on this stage, so it has no queue".into())
    }

    async fn send_one(&self, task: &Task) -> Result<(), Box<dyn Error + Send + Sync>> {
        let send = self
            .client
            .send_message()
            .queue_url(self.url(task.stage)?)
            .message_body(serde_json::to_string(task)?)
            .set_message_group_id(group(task));
        send.send().await.map(drop).map_err(source)
    }

    /// Sends at most [`BATCH`] tasks of one stage. The answer is read entry by entry: a batch
    /// call succeeds also when SQS took none of the messages.
    async fn send_batch(&self, stage: Stage, tasks: &[&Task]) -> Vec<QueueError> {
        let fail_all = |reason: &dyn Fn() -> Box<dyn Error + Send + Sync>| {
            let failures = tasks.iter().map(|task| failure(task, reason()));
            failures.collect::<Vec<_>>()
        };
        let url = match self.url(stage) {
            Ok(url) => url,
            Err(error) => return fail_all(&|| error.to_string().into()),
        };
        let mut batch = self.client.send_message_batch().queue_url(url);
        for (place, task) in tasks.iter().enumerate() {
            let body = match serde_json::to_string(task) {
                Ok(body) => body,
                Err(error) => return fail_all(&|| error.to_string().into()),
            };
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(body)
                .set_message_group_id(group(task))
                .build();
            match entry {
                Ok(entry) => batch = batch.entries(entry),
                Err(error) => return fail_all(&|| error.to_string().into()),
            }
        }
        let answer = match batch.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = source(error).to_string();
                return fail_all(&|| error.clone().into());
            }
        };
        let taken = |place: usize| {
            let id = place.to_string();
            answer.successful().iter().any(|entry| entry.id() == id)
        };
        let reason = |place: usize| {
            let id = place.to_string();
            let failed = answer.failed().iter().find(|entry| entry.id() == id);
            EntryFailure {
                code: failed.map_or("no answer", |entry| entry.code()).to_owned(),
                message: failed
                    .and_then(|entry| entry.message())
                    .unwrap_or_default()
                    .to_owned(),
            }
        };
        (0..)
            .zip(tasks)
            .filter(|(place, _)| !taken(*place))
            .map(|(place, task)| failure(task, reason(place).into()))
            .collect()
    }
}

/// Whose turn a message takes. SQS hands out those of different groups fairly; what a group may be called
/// is narrower than what users are.
fn group(task: &Task) -> Option<String> {
    let group = task.group.as_ref()?;
    Some(Digest::of(group.as_bytes()).hex().to_owned())
}

fn failure(task: &Task, source: Box<dyn Error + Send + Sync>) -> QueueError {
    QueueError {
        request_id: task.request_id,
        stage: task.stage,
        source,
    }
}

#[async_trait]
impl Queue for SqsQueue {
    /// Needs `sqs:SendMessage` on the stage's queue.
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        self.send_one(task)
            .await
            .map_err(|source| failure(task, source))
    }

    /// Needs `sqs:SendMessage` on the queues of the stages.
    async fn send_all(&self, tasks: &[Task]) -> Vec<QueueError> {
        let mut failures = Vec::new();
        for stage in [
            Stage::Queued,
            Stage::Pin,
            Stage::Mutate,
            Stage::Push,
            Stage::Done,
        ] {
            let of_stage: Vec<&Task> = tasks.iter().filter(|task| task.stage == stage).collect();
            for batch in of_stage.chunks(BATCH) {
                failures.extend(self.send_batch(stage, batch).await);
            }
        }
        failures
    }

    /// Asks for that of the first stage, which needs `sqs:GetQueueAttributes`.
    async fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.client
            .get_queue_attributes()
            .queue_url(self.url(Stage::Pin)?)
            .send()
            .await
            .map(drop)
            .map_err(source)
    }

    /// Needs `sqs:ChangeMessageVisibility` on the stage's queue.
    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let seconds = delay.min(LONGEST_DELAY).as_secs();
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(self.url(delivery.stage)?)
            .receipt_handle(&delivery.receipt)
            .visibility_timeout(i32::try_from(seconds)?)
            .send()
            .await;
        match changed {
            // The message is visible again, or done with: there is nothing to put off.
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_message_not_inflight() || error.code() == Some("InvalidParameterValue")
                }) =>
            {
                Ok(())
            }
            changed => changed.map(drop).map_err(source),
        }
    }
}
