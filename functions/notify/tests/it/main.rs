//! The handler with stores in memory, given events of the table's stream and of the schedule.

#![cfg(test)]

#[cfg(feature = "aws")]
mod binary;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_notify::{NotifyEvent, Told};
use iib_pipeline::notify::{NotifyDeps, NotifyError};
use iib_ports::{
    AnnounceError, Announcer, Behind, Created, NewBatch, Outbox, Requests, StoreError, Waiting,
};
use iib_request::{
    AddRequest, ApiSettings, BatchId, Destination, Message, News, Record, Request, RequestId,
    State, Update,
};
use iib_testkit::memory::MemoryRequests;
use iib_testkit::time::ManualClock;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

/// Somebody who is told, while he can be reached.
struct Somebody {
    destination: Destination,
    away: AtomicBool,
    refuses: AtomicBool,
    hangs: AtomicBool,
    heard: Mutex<Vec<String>>,
}

impl Somebody {
    fn new(destination: Destination) -> Arc<Self> {
        Arc::new(Self {
            destination,
            away: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            heard: Mutex::default(),
        })
    }

    fn goes(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    fn returns(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    /// It can be reached, and takes nothing.
    fn refuses(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }

    /// It does not answer.
    fn hangs(&self) {
        self.hangs.store(true, Ordering::SeqCst);
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
                is_known: false,
                source: "away".into(),
            }),
        }
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        self.reach().await?;
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Err(AnnounceError {
                destination: self.destination,
                is_known: false,
                source: "no".into(),
            });
        }
        let ids = messages.iter().map(|message| message.event_id.clone());
        self.heard.lock().unwrap().extend(ids);
        Ok(())
    }
}

/// Stores whose news has no pictures, and which give a record once as it was before.
struct Lagging {
    requests: Arc<MemoryRequests>,
    before: Mutex<Option<Record>>,
}

#[async_trait]
impl Requests for Lagging {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        self.requests.create(new).await
    }

    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        self.requests.made_by(once).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        let before = self
            .before
            .lock()
            .unwrap()
            .take_if(|record| record.id == id);
        match before {
            Some(record) => Ok(Some(record)),
            None => self.requests.get(id).await,
        }
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        self.requests.replace(record).await
    }
}

#[async_trait]
impl Outbox for Lagging {
    async fn waiting(
        &self,
        whom: &BTreeSet<Destination>,
        limit: u32,
    ) -> Result<Vec<Behind>, StoreError> {
        self.requests.waiting(whom, limit).await
    }

    async fn of(&self, batch: BatchId) -> Result<Vec<Waiting>, StoreError> {
        let mut waiting = self.requests.of(batch).await?;
        for waiting in &mut waiting {
            if let News::Changed { then, .. } = &mut waiting.news {
                *then = None;
            }
        }
        Ok(waiting)
    }

    async fn note(&self, waiting: &Waiting) -> Result<(), StoreError> {
        self.requests.note(waiting).await
    }

    async fn remove(&self, told: &[Waiting]) -> Result<(), StoreError> {
        self.requests.remove(told).await
    }

    async fn wake(&self, batch: BatchId) -> Result<(), StoreError> {
        self.requests.wake(batch).await
    }
}

struct Service {
    requests: Arc<MemoryRequests>,
    bus: Arc<Somebody>,
    broker: Arc<Somebody>,
    clock: Arc<ManualClock>,
    deps: NotifyDeps,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let (bus, broker) = (
            Somebody::new(Destination::EventBus),
            Somebody::new(Destination::BrokerRequests),
        );
        let deps = NotifyDeps {
            outbox: requests.clone(),
            requests: requests.clone(),
            operators: requests.clone(),
            announcers: vec![bus.clone(), broker.clone()],
            api: ApiSettings::default(),
            clock: clock.clone(),
        };
        Self {
            requests,
            bus,
            broker,
            clock,
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
        self.handle_in(event, Context::default()).await
    }

    async fn handle_in(&self, event: Value, context: Context) -> Result<Told, NotifyError> {
        let event: NotifyEvent = serde_json::from_value(event).unwrap();
        let event = LambdaEvent::new(event, context);
        iib_notify::handle(&self.deps, event).await
    }

    async fn waiting(&self) -> Vec<BatchId> {
        let whom = BTreeSet::from([Destination::EventBus, Destination::BrokerRequests]);
        let behind = self.requests.waiting(&whom, 10).await.unwrap();
        behind.into_iter().map(|behind| behind.batch).collect()
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
async fn what_waits_only_for_somebody_who_is_away_is_left_alone() {
    let service = Service::new();
    service.broker.goes();
    service.create().await;
    service.handle(stream()).await.unwrap();
    // The second batch nobody has been told of.
    service.create().await;
    service.handle(schedule()).await.unwrap_err();
    assert_eq!(service.requests.woken(), [BatchId(2)]);
    service.bus.goes();
    service.handle(schedule()).await.unwrap_err();
    assert_eq!(service.requests.woken(), []);
    service.broker.returns();
    service.handle(schedule()).await.unwrap_err();
    assert_eq!(service.requests.woken(), [BatchId(1), BatchId(2)]);
}

#[tokio::test]
async fn the_schedule_fails_when_news_is_refused_for_long() {
    let service = Service::new();
    service.broker.refuses();
    service.create().await;
    service.handle(stream()).await.unwrap();
    assert_eq!(service.handle(schedule()).await.unwrap(), ALL);
    service.clock.advance(SignedDuration::from_mins(11));
    let failed = service.handle(schedule()).await.unwrap_err();
    assert!(
        failed
            .to_string()
            .starts_with("news of batch 1 has waited since 1970-01-01T00:00:00Z"),
        "{failed}"
    );
    // It is looked at all the same.
    assert_eq!(service.requests.woken(), [BatchId(1), BatchId(1)]);
}

#[tokio::test]
async fn what_there_is_no_time_for_comes_again() {
    let service = Service::new();
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    service
        .clock
        .advance(now.duration_since(Timestamp::UNIX_EPOCH));
    service.create().await;
    let until = |seconds: i64| {
        let mut context = Context::default();
        context.deadline = u64::try_from(now.as_millisecond() + seconds * 1000).unwrap();
        context
    };
    service.handle_in(stream(), until(20)).await.unwrap();
    assert!(service.bus.heard().is_empty());
    assert_eq!(service.requests.woken(), [BatchId(1)]);
    service.handle_in(stream(), until(120)).await.unwrap();
    assert_eq!(service.bus.heard(), ["1-1", "batch-1-created"]);
    assert!(service.requests.woken().is_empty());
}

#[tokio::test]
async fn who_does_not_answer_keeps_a_run_from_nothing_but_him() {
    let service = Service::new();
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    service
        .clock
        .advance(now.duration_since(Timestamp::UNIX_EPOCH));
    service.broker.hangs();
    let record = service.create().await;
    service.change(record, State::InProgress).await;
    let mut context = Context::default();
    // A fifth of a second before what is left for noting.
    context.deadline = u64::try_from(now.as_millisecond() + 20_200).unwrap();
    service.handle_in(stream(), context).await.unwrap();
    assert_eq!(service.bus.heard(), ["1-1", "batch-1-created", "1-2"]);
    let bus = BTreeSet::from([Destination::EventBus]);
    assert_eq!(service.requests.waiting(&bus, 10).await.unwrap(), []);
    assert_eq!(service.waiting().await, [BatchId(1)]);
    assert_eq!(service.requests.woken(), [BatchId(1)]);
}

#[tokio::test]
async fn a_change_that_came_while_the_batch_was_read_is_told_as_it_is() {
    let mut service = Service::new();
    let add = || Request::Add(AddRequest::default());
    let mut new = NewBatch::of(None, add(), Timestamp::UNIX_EPOCH);
    new.requests
        .extend(NewBatch::of(None, add(), Timestamp::UNIX_EPOCH).requests);
    let mut records = service.requests.create(new).await.unwrap().into_records();
    let second = records.remove(1);
    let first = records.remove(0);
    service.change(first, State::Complete).await;
    service.change(second.clone(), State::Complete).await;
    let lagging = Arc::new(Lagging {
        requests: service.requests.clone(),
        before: Mutex::new(Some(second)),
    });
    service.deps.requests = lagging.clone();
    service.deps.outbox = lagging;
    assert_eq!(service.handle(stream()).await.unwrap(), ALL);
    assert_eq!(
        service.bus.heard(),
        ["1-1", "2-1", "batch-1-created", "1-2", "2-2", "batch-1-2-2"]
    );
}

#[tokio::test]
async fn a_batch_with_much_news_is_told_piece_by_piece() {
    let service = Service::new();
    let mut record = service.create().await;
    for _ in 0..120 {
        record = service.change(record, State::InProgress).await;
    }
    assert_eq!(service.handle(stream()).await.unwrap(), ALL);
    let heard = service.bus.heard();
    let told = (2..=121).map(|version| format!("1-{version}"));
    let all: Vec<String> = ["1-1", "batch-1-created"]
        .map(Into::into)
        .into_iter()
        .chain(told)
        .collect();
    assert_eq!(heard, all);
    assert!(service.waiting().await.is_empty());
}

#[tokio::test]
async fn what_the_function_itself_notes_is_no_news() {
    let service = Service::new();
    service.create().await;
    let mut noted = stream();
    noted["Records"][0]["eventName"] = json!("MODIFY");
    noted["Records"][0]["dynamodb"]["NewImage"]["told"] = json!({"S": "[\"topic\"]"});
    assert_eq!(service.handle(noted.clone()).await.unwrap(), NOTHING);
    noted["Records"][0]["dynamodb"]["NewImage"]["woken"] = json!({"S": "2026-11-25T12:00:00Z"});
    assert_eq!(service.handle(noted).await.unwrap(), ALL);
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
