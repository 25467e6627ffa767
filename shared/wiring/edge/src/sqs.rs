//! Batches of SQS messages, handled one by one.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, StreamExt, stream};
use iib_pipeline::Verdict;
use iib_pipeline::dead_letter::DeadLetter;
use iib_ports::{Clock, Delivery, Queue, TRACE, chain};
use iib_request::{Stage, Task};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::LambdaEvent;
use tracing::{Instrument, Span, error, field, info_span, warn};

use crate::deadline;
use crate::telemetry::goes_on_from;

/// Time kept back at the end of an invocation for the answer. A record that has not begun by
/// then goes back to the queue, instead of being cut off in the middle.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);

/// The messages of one event.
#[derive(Debug)]
pub struct Batch {
    messages: Vec<SqsMessage>,
    deadline: Option<Timestamp>,
}

impl From<LambdaEvent<SqsEvent>> for Batch {
    fn from(event: LambdaEvent<SqsEvent>) -> Self {
        Self {
            deadline: deadline(&event.context),
            messages: event.payload.records,
        }
    }
}

impl Batch {
    /// Handles every message, at most `concurrency` at a time, and names those that are to come
    /// back. A message that cannot be read, or whose handling panics, fails alone.
    pub async fn for_each<H, F>(
        self,
        (clock, queue): (&dyn Clock, &dyn Queue),
        stage: Stage,
        concurrency: usize,
        handle: H,
    ) -> SqsBatchResponse
    where
        H: Fn(Task) -> F,
        F: Future<Output = Verdict>,
    {
        let handle = &handle;
        self.each(stage.as_str(), clock, concurrency, |message| async move {
            let Some(task) = read(&message, stage) else {
                return Verdict::Again(Duration::ZERO);
            };
            let verdict = handle(task).await;
            if let Verdict::Again(after) = verdict {
                put_off(queue, message, stage, after).await;
            }
            verdict
        })
        .await
    }

    /// Handles every message as one that its queue gave up, in the same way. One that is to come
    /// back does so when the time for which it is hidden is over.
    pub async fn for_each_dead_letter<H, F>(
        self,
        clock: &dyn Clock,
        concurrency: usize,
        handle: H,
    ) -> SqsBatchResponse
    where
        H: Fn(DeadLetter) -> F,
        F: Future<Output = Verdict>,
    {
        self.each("dead-letter", clock, concurrency, |message| {
            handle(dead_letter(message))
        })
        .await
    }

    async fn each<H, F>(
        self,
        queue: &'static str,
        clock: &dyn Clock,
        concurrency: usize,
        handle: H,
    ) -> SqsBatchResponse
    where
        H: Fn(SqsMessage) -> F,
        F: Future<Output = Verdict>,
    {
        let (deadline, handle) = (self.deadline, &handle);
        let records: Vec<_> = (self.messages.into_iter())
            .map(|message| handle_one(queue, message, deadline, clock, handle))
            .collect();
        let failed: Vec<Option<String>> = stream::iter(records)
            .buffer_unordered(concurrency.max(1))
            .collect()
            .await;
        let mut response = SqsBatchResponse::default();
        response.set_failures(failed.into_iter().flatten());
        response
    }
}

/// Handles one message; gives its id if it is to come back.
async fn handle_one<H, F>(
    queue: &'static str,
    message: SqsMessage,
    deadline: Option<Timestamp>,
    clock: &dyn Clock,
    handle: &H,
) -> Option<String>
where
    H: Fn(SqsMessage) -> F,
    F: Future<Output = Verdict>,
{
    let id = message.message_id.clone().unwrap_or_default();
    if deadline.is_some_and(|at| at.duration_since(clock.now()) < RESERVE) {
        warn!(message.id = id, "no time left, the message goes back");
        return Some(id);
    }
    let task = task_of(&message).ok();
    let traced = traced(queue, &message, task.as_ref());
    let span = info_span!(
        "record",
        request.id = task.as_ref().map(|task| task.request_id.0),
        stage = task.as_ref().map(|task| task.stage.as_str()),
        message.id = id,
        receive_count = message.attributes.get("ApproximateReceiveCount")
    );
    let outcome = AssertUnwindSafe(handle(message))
        .catch_unwind()
        .instrument(span)
        .instrument(traced.clone())
        .await;
    match outcome {
        Ok(Verdict::Done) => None,
        Ok(Verdict::Again(_)) => Some(id),
        Err(_) => {
            traced.record("otel.status_code", "ERROR");
            error!(
                message.id = id,
                "the handler panicked, the message goes back"
            );
            Some(id)
        }
    }
}

/// The span of a message, which goes on from where its request was taken in.
fn traced(queue: &'static str, message: &SqsMessage, task: Option<&Task>) -> Span {
    let deliveries = message.attributes.get("ApproximateReceiveCount");
    let span = info_span!(
        target: TRACE,
        "process",
        otel.name = format!("process {queue}"),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        messaging.system = "aws_sqs",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = queue,
        messaging.message.id = message.message_id,
        iib.request.id = task.and_then(|task| i64::try_from(task.request_id.0).ok()),
        iib.stage = task.map(|task| task.stage.as_str()),
        iib.message.deliveries = deliveries.and_then(|count| count.parse::<i64>().ok()),
    );
    goes_on_from(&span, task.and_then(|task| task.traceparent.as_ref()));
    span
}

/// Says when a message is to come back. Without this it comes back when its visibility timeout is
/// over, which is as long as the slowest stage may take and then some. That is also what happens
/// if the queue does not answer now.
async fn put_off(queue: &dyn Queue, message: SqsMessage, stage: Stage, after: Duration) {
    let receipt = message.receipt_handle.unwrap_or_default();
    if let Err(error) = queue.put_off(&Delivery { stage, receipt }, after).await {
        warn!(
            error = chain(error.as_ref()),
            "the message comes back in its own time"
        );
    }
}

fn dead_letter(message: SqsMessage) -> DeadLetter {
    let deliveries = message.attributes.get("ApproximateReceiveCount");
    DeadLetter {
        deliveries: deliveries.and_then(|text| text.parse().ok()).unwrap_or(0),
        message_id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    }
}

fn task_of(message: &SqsMessage) -> serde_json::Result<Task> {
    serde_json::from_str(message.body.as_deref().unwrap_or_default())
}

/// Reads a message's task. What cannot be read goes back until the queue gives it up to its
/// dead letters, where it can be looked at; dropping it here would lose it.
fn read(message: &SqsMessage, stage: Stage) -> Option<Task> {
    match task_of(message) {
        Ok(task) if task.stage == stage => Some(task),
        Ok(task) => {
            error!(message.id = message.message_id, task.stage = %task.stage, "message in the wrong queue");
            None
        }
        Err(error) => {
            error!(message.id = message.message_id, %error, "message cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use iib_testkit::memory::MemoryQueue;
    use lambda_runtime::Context;

    use super::*;

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn event(bodies: &[&str], deadline_ms: u64) -> Batch {
        let records: Vec<_> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| {
                serde_json::json!({
                    "messageId": n.to_string(),
                    "receiptHandle": format!("receipt {n}"),
                    "body": body
                })
            })
            .collect();
        let payload = serde_json::from_value(serde_json::json!({ "Records": records })).unwrap();
        let mut context = Context::default();
        context.deadline = deadline_ms;
        LambdaEvent::new(payload, context).into()
    }

    fn failed(response: &SqsBatchResponse) -> Vec<&str> {
        let mut ids: Vec<_> = response
            .batch_item_failures
            .iter()
            .map(|f| f.item_identifier.as_str())
            .collect();
        ids.sort_unstable();
        ids
    }

    const PIN_1: &str = r#"{"request_id": 1, "stage": "pin"}"#;
    const PIN_2: &str = r#"{"request_id": 2, "stage": "pin"}"#;
    const PIN_3: &str = r#"{"request_id": 3, "stage": "pin"}"#;

    #[tokio::test]
    async fn messages_fail_alone() {
        let bodies = [
            PIN_1,
            "nonsense",
            PIN_2,
            r#"{"request_id": 1, "stage": "push"}"#,
            PIN_3,
        ];
        let seen = Mutex::new(Vec::new());
        let queue = MemoryQueue::default();
        let response = event(&bodies, 0)
            .for_each(
                (&At(Timestamp::UNIX_EPOCH), &queue),
                Stage::Pin,
                2,
                async |task: Task| {
                    seen.lock().unwrap().push(task.request_id.0);
                    match task.request_id.0 {
                        1 => Verdict::Done,
                        2 => panic!("a broken handler"),
                        _ => Verdict::Again(Duration::from_secs(7)),
                    }
                },
            )
            .await;
        assert_eq!(failed(&response), ["1", "2", "3", "4"]);
        assert_eq!(seen.into_inner().unwrap(), [1, 2, 3]);
        // Only the one that asked for it comes back at a time of its own.
        let delivery = Delivery {
            stage: Stage::Pin,
            receipt: "receipt 4".to_owned(),
        };
        assert_eq!(queue.put_off(), [(delivery, Duration::from_secs(7))]);
    }

    #[tokio::test]
    async fn a_message_without_time_goes_back_untouched() {
        let end: Timestamp = "2026-11-25T12:00:10Z".parse().unwrap();
        let response = event(&[PIN_1], end.as_millisecond().unsigned_abs())
            .for_each(
                (
                    &At(end - jiff::SignedDuration::from_secs(4)),
                    &MemoryQueue::default(),
                ),
                Stage::Pin,
                1,
                async |_| panic!("must not begin"),
            )
            .await;
        assert_eq!(failed(&response), ["0"]);
    }
}
