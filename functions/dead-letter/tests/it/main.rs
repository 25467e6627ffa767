//! The handler with stores in memory, given the event of the dead-letter queue.

#![cfg(test)]

#[cfg(feature = "aws")]
mod binary;

use std::sync::Arc;

use iib_pipeline::dead_letter::DeadLetterDeps;
use iib_ports::{Clock, NewBatch};
use iib_request::{
    AddRequest, Lease, LeaseToken, Outcome, Record, Request, RequestId, Stage, State, Unknown,
};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets, RecordingFigures,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

struct Service {
    clock: Arc<ManualClock>,
    deps: DeadLetterDeps,
}

impl Service {
    /// With request 1, which waits for mutate.
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let figures = Arc::new(RecordingFigures::default());
        let deps = DeadLetterDeps {
            requests: Arc::new(MemoryRequests::default()),
            queue: Arc::new(MemoryQueue::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: Arc::new(MemorySecrets::default()),
            clock: clock.clone(),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: figures.clone(),
        };
        let kind = Request::Add(AddRequest::default());
        let new = NewBatch::of(None, kind, clock.now());
        let mut record = deps
            .requests
            .create(new)
            .await
            .unwrap()
            .into_records()
            .remove(0);
        for _ in 0..2 {
            record.conclude(Outcome::Completed);
        }
        assert_eq!(record.work.stage, Stage::Mutate);
        deps.requests.replace(record).await.unwrap();
        Self { clock, deps }
    }

    async fn record(&self) -> Record {
        let record = self.deps.requests.get(RequestId(1)).await;
        record.unwrap().unwrap()
    }

    async fn run(&self, event: &Value) -> Value {
        let event = serde_json::from_value(event.clone()).unwrap();
        let event = LambdaEvent::new(event, Context::default());
        let response = iib_dead_letter::handle(&self.deps, event).await;
        serde_json::to_value(response).unwrap()
    }
}

fn event() -> Value {
    serde_json::from_str(include_str!("../../../../events/sqs-dead-letter.json")).unwrap()
}

#[tokio::test]
async fn the_request_of_a_dead_letter_fails() {
    let service = Service::new().await;
    let response = service.run(&event()).await;
    assert_eq!(response, json!({"batchItemFailures": []}));
    let record = service.record().await;
    assert_eq!(record.state(), State::Failed);
    let reason = record.state_reason();
    assert!(
        reason.contains("stage mutate was delivered 4 times"),
        "{reason}"
    );
}

#[tokio::test]
async fn letters_are_dealt_with_one_by_one() {
    let service = Service::new().await;
    let mut record = service.record().await;
    record.work.lease = Some(Lease {
        token: LeaseToken::new("somebody"),
        until: service.clock.now() + SignedDuration::from_secs(60),
        unknown: Unknown::default(),
    });
    service.deps.requests.replace(record).await.unwrap();
    let mut event = event();
    let records = event["Records"].as_array_mut().unwrap();
    let mut bad = records[0].clone();
    bad["messageId"] = json!("unreadable");
    bad["body"] = json!("{\"request_id\":");
    records.insert(0, bad);
    let response = service.run(&event).await;
    let leased = &event["Records"][1]["messageId"];
    assert_eq!(
        response,
        json!({"batchItemFailures": [{"itemIdentifier": leased}]})
    );
    assert_eq!(service.record().await.state(), State::InProgress);
    service.clock.advance(SignedDuration::from_secs(61));
    service.run(&event).await;
    assert_eq!(service.record().await.state(), State::Failed);
}
