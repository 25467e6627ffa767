//! The handler with stores in memory, given events of the table's stream and of the schedule.

#![cfg(test)]

#[cfg(feature = "aws")]
mod binary;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_notify::{NotifyEvent, Told};
use iib_pipeline::notify::{NotifyDeps, NotifyError};
use iib_ports::{AnnounceError, Announcer, NewBatch, Outbox as _, Requests as _};
use iib_request::{
    AddRequest, ApiSettings, BatchId, Destination, Message, Record, Request, State, Update,
};
use iib_testkit::memory::MemoryRequests;
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

/// Somebody who is told, while he can be reached.
struct Somebody {
    destination: Destination,
    away: AtomicBool,
    heard: Mutex<Vec<String>>,
}

impl Somebody {
    fn new(destination: Destination) -> Arc<Self> {
        Arc::new(Self {
            destination,
            away: AtomicBool::new(false),
            heard: Mutex::default(),
        })
    }

    fn goes(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    fn returns(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

#[async_trait]
impl Announcer for Somebody {
    fn destination(&self) -> Destination {
        self.destination
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        match self.away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(AnnounceError {
                destination: self.destination,
                source: "away".into(),
            }),
        }
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        self.reach().await?;
        let ids = messages.iter().map(|message| message.event_id.clone());
        self.heard.lock().unwrap().extend(ids);
        Ok(())
    }
}

struct Service {
    requests: Arc<MemoryRequests>,
    bus: Arc<Somebody>,
    broker: Arc<Somebody>,
    deps: NotifyDeps,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let (bus, broker) = (
            Somebody::new(Destination::EventBus),
            Somebody::new(Destination::Broker),
        );
        let deps = NotifyDeps {
            outbox: requests.clone(),
            requests: requests.clone(),
            operators: requests.clone(),
            announcers: vec![bus.clone(), broker.clone()],
            api: ApiSettings::default(),
        };
        Self {
            requests,
            bus,
            broker,
            deps,
        }
    }

    async fn create(&self) -> Record {
        let add = Request::Add(AddRequest::default());
        let new = NewBatch::of(None, add, Timestamp::UNIX_EPOCH);
        self.requests
            .create(new)
            .await
            .unwrap()
            .into_records()
            .remove(0)
    }

    async fn change(&self, record: Record, state: State) -> Record {
        let mut record = record;
        let update = Update::state(state, format!("step {}", record.version));
        record.apply(&update, Timestamp::UNIX_EPOCH);
        self.requests.replace(record).await.unwrap()
    }

    async fn handle(&self, event: Value) -> Result<Told, NotifyError> {
        let event: NotifyEvent = serde_json::from_value(event).unwrap();
        let event = LambdaEvent::new(event, Context::default());
        iib_notify::handle(&self.deps, event).await
    }

    async fn waiting(&self) -> Vec<BatchId> {
        self.requests.waiting(10).await.unwrap()
    }
}

/// The document is about batch 1.
fn stream() -> Value {
    serde_json::from_str(include_str!("../../../../events/stream-outbox.json")).unwrap()
}

fn schedule() -> Value {
    serde_json::from_str(include_str!("../../../../events/schedule.json")).unwrap()
}

const ALL: Told = Told {
    batches: 1,
    waiting: 0,
};
const NOTHING: Told = Told {
    batches: 0,
    waiting: 0,
};

#[tokio::test]
async fn what_waits_is_told_to_everybody_in_order_and_once() {
    let service = Service::new();
    let record = service.create().await;
    let record = service.change(record, State::InProgress).await;
    service.change(record, State::Complete).await;
    assert_eq!(service.handle(stream()).await.unwrap(), ALL);
    let all = ["1-1", "batch-1-created", "1-2", "1-3", "batch-1-1-3"];
    assert_eq!(service.bus.heard(), all);
    assert_eq!(service.broker.heard(), all);
    assert!(service.waiting().await.is_empty());
    // The event of a change that was told with another comes, too.
    assert_eq!(service.handle(stream()).await.unwrap(), ALL);
    assert!(service.bus.heard().is_empty());
}

#[tokio::test]
async fn who_is_away_keeps_nobody_from_hearing_and_hears_the_rest_in_order() {
    let service = Service::new();
    service.broker.goes();
    let record = service.create().await;
    let told = service.handle(stream()).await.unwrap();
    assert_eq!((told.batches, told.waiting), (0, 1));
    let record = service.change(record, State::InProgress).await;
    service.handle(stream()).await.unwrap();
    assert_eq!(service.bus.heard(), ["1-1", "batch-1-created", "1-2"]);
    service.change(record, State::Failed).await;
    service.broker.returns();
    service.bus.goes();
    let told = service.handle(stream()).await.unwrap();
    assert_eq!((told.batches, told.waiting), (0, 1));
    assert_eq!(
        service.broker.heard(),
        ["1-1", "batch-1-created", "1-2", "1-3", "batch-1-1-3"]
    );
    service.bus.returns();
    service.handle(stream()).await.unwrap();
    assert_eq!(service.bus.heard(), ["1-3", "batch-1-1-3"]);
    assert!(service.broker.heard().is_empty());
    assert!(service.waiting().await.is_empty());
}

#[tokio::test]
async fn the_schedule_fails_while_something_waits_for_somebody_who_is_away() {
    let service = Service::new();
    service.broker.goes();
    assert_eq!(service.handle(schedule()).await.unwrap(), NOTHING);
    service.create().await;
    let failed = service.handle(schedule()).await.unwrap_err();
    assert!(matches!(failed, NotifyError::Announce(_)), "{failed}");
    service.broker.returns();
    assert_eq!(service.handle(schedule()).await.unwrap(), ALL);
    // Whoever is woken comes by the stream.
    assert_eq!(service.waiting().await, [BatchId(1)]);
}

#[tokio::test]
async fn what_is_no_news_is_passed_over() {
    let service = Service::new();
    service.create().await;
    let mut removed = stream();
    removed["Records"][0]["eventName"] = json!("REMOVE");
    let mut record = stream();
    record["Records"][0]["dynamodb"]["Keys"] = json!({
        "pk": {"S": "REQUEST#1"}, "sk": {"S": "RECORD"},
    });
    for event in [removed, record, json!({"Records": []})] {
        assert_eq!(service.handle(event).await.unwrap(), NOTHING);
    }
    assert!(service.bus.heard().is_empty());
}
