//! The contract of [`iib_ports::Outbox`], beside the requests that its news is of.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use iib_ports::{Behind, Clock as _, NewBatch, Outbox, Requests, StoreError, SystemClock, Waiting};
use iib_request::{
    AddRequest, BatchId, Destination, News, Record, Request, Siblings, State, Update,
};
use jiff::Timestamp;

/// Runs the suite; `make` gives an empty store that keeps news.
pub async fn outbox<S: Requests + Outbox + 'static>(make: impl AsyncFn() -> Arc<S>) {
    what_is_written_waits_in_order(&*make().await).await;
    what_is_not_written_is_no_news(&*make().await).await;
    of_a_dry_run_nobody_is_told(&*make().await).await;
    a_batch_waits_as_one(&*make().await).await;
    what_was_told_goes_and_whom_it_was_told_to_stays(&*make().await).await;
    batches_wait_in_the_order_in_which_they_began(&*make().await).await;
    news_of_many_at_once_is_whole(make().await).await;
    what_is_very_large_is_news_too(&*make().await).await;
}

/// Of what is too old nothing waits.
fn now() -> Timestamp {
    SystemClock.now()
}

fn request(name: &str) -> NewBatch {
    let add = AddRequest {
        bundles: vec![format!("r.example/{name}:1")],
        ..AddRequest::default()
    };
    NewBatch::of(None, Request::Add(add), now())
}

async fn create<S: Requests>(store: &S, new: NewBatch) -> Vec<Record> {
    store.create(new).await.unwrap().into_records()
}

async fn change<S: Requests>(store: &S, record: &Record, state: State, reason: &str) -> Record {
    let mut record = record.clone();
    record.apply(&Update::state(state, reason), now());
    store.replace(record).await.unwrap()
}

fn changed(record: &Record) -> News {
    News::of(record).unwrap()
}

async fn news<S: Outbox>(store: &S, batch: BatchId) -> Vec<News> {
    let waiting = store.of(batch).await.unwrap();
    waiting.into_iter().map(|waiting| waiting.news).collect()
}

/// The batches that somebody has not been told of.
async fn behind<S: Outbox>(store: &S, limit: u32) -> Vec<BatchId> {
    let whom = BTreeSet::from([Destination::EventBus]);
    let behind = store.waiting(&whom, limit).await.unwrap();
    behind.into_iter().map(|behind| behind.batch).collect()
}

async fn what_is_written_waits_in_order<S: Requests + Outbox>(store: &S) {
    assert_eq!(behind(store, 10).await, []);
    let new = create(store, request("a")).await.remove(0);
    let busy = change(store, &new, State::InProgress, "busy").await;
    let mut silent = busy.clone();
    silent.facts.index_image = Some("r.example/i:1".to_owned());
    let silent = store.replace(silent).await.unwrap();
    let again = change(store, &silent, State::InProgress, "again").await;
    let done = change(store, &again, State::Complete, "done").await;
    let alone = Siblings {
        first: new.id,
        count: 1,
    };
    assert_eq!(
        news(store, new.batch).await,
        [
            News::Created(alone),
            changed(&busy),
            changed(&again),
            changed(&done)
        ]
    );
    assert_eq!(behind(store, 10).await, [new.batch]);
    store.wake(new.batch).await.unwrap();
    assert_eq!(news(store, new.batch).await.len(), 4);
}

async fn what_is_not_written_is_no_news<S: Requests + Outbox>(store: &S) {
    let once = || NewBatch {
        once: Some("once".to_owned()),
        ..request("a")
    };
    let new = create(store, once()).await.remove(0);
    create(store, once()).await;
    let busy = change(store, &new, State::InProgress, "busy").await;
    let mut late = new.clone();
    late.apply(&Update::state(State::Failed, "late"), now());
    let refused = store.replace(late).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    let waiting = news(store, new.batch).await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    assert_eq!(waiting[1], changed(&busy));
}

async fn of_a_dry_run_nobody_is_told<S: Requests + Outbox>(store: &S) {
    let dry = NewBatch {
        is_dry_run: true,
        ..request("a")
    };
    let new = create(store, dry).await.remove(0);
    change(store, &new, State::Complete, "shown").await;
    let waiting = news(store, new.batch).await;
    assert!(waiting.is_empty(), "{waiting:?}");
    assert_eq!(behind(store, 10).await, []);
}

async fn a_batch_waits_as_one<S: Requests + Outbox>(store: &S) {
    let mut batch = request("a");
    for name in ["b", "c"] {
        batch.requests.extend(request(name).requests);
    }
    let records = create(store, batch).await;
    let siblings = Siblings {
        first: records[0].id,
        count: 3,
    };
    assert!(
        records
            .iter()
            .all(|record| record.batch_mates() == siblings)
    );
    let second = change(store, &records[1], State::Failed, "bad").await;
    let first = change(store, &records[0], State::Complete, "done").await;
    let found = news(store, records[0].batch).await;
    assert_eq!(found[0], News::Created(siblings));
    // Between requests any order will do.
    assert_eq!(found.len(), 3);
    assert!(found.contains(&changed(&first)) && found.contains(&changed(&second)));
    assert_eq!(behind(store, 10).await, [records[0].batch]);
}

async fn what_was_told_goes_and_whom_it_was_told_to_stays<S: Requests + Outbox>(store: &S) {
    let new = create(store, request("a")).await.remove(0);
    change(store, &new, State::InProgress, "busy").await;
    let mut waiting = store.of(new.batch).await.unwrap();
    waiting[1].told = BTreeSet::from([Destination::EventBus, Destination::Topic]);
    store.note(&waiting[1]).await.unwrap();
    assert_eq!(store.of(new.batch).await.unwrap(), waiting);
    let whom = |names: &[Destination]| names.iter().copied().collect::<BTreeSet<_>>();
    let broker = whom(&[Destination::EventBus, Destination::BrokerRequests]);
    let found = store.waiting(&broker, 10).await.unwrap();
    let since = waiting[0].since;
    assert_eq!(
        found,
        [Behind {
            batch: new.batch,
            since
        }]
    );
    assert_eq!(since, new.updated());
    store.remove(&waiting[..1]).await.unwrap();
    store.remove(&waiting[..1]).await.unwrap();
    assert_eq!(store.of(new.batch).await.unwrap(), waiting[1..]);
    // What is left somebody knows already.
    let known = whom(&[Destination::EventBus, Destination::Topic]);
    assert_eq!(store.waiting(&known, 10).await.unwrap(), []);
    assert_eq!(store.waiting(&broker, 10).await.unwrap().len(), 1);
    store.remove(&waiting).await.unwrap();
    store.remove(&[]).await.unwrap();
    assert_eq!(store.of(new.batch).await.unwrap(), []);
    assert_eq!(behind(store, 10).await, []);
    // What is gone does not come back because somebody notes something about it late.
    store.note(&waiting[1]).await.unwrap();
    store.wake(new.batch).await.unwrap();
    assert_eq!(store.of(new.batch).await.unwrap(), []);
}

async fn batches_wait_in_the_order_in_which_they_began<S: Requests + Outbox>(store: &S) {
    let mut batches = Vec::new();
    for name in ["a", "b", "c", "d"] {
        batches.push(create(store, request(name)).await.remove(0));
    }
    change(store, &batches[0], State::Complete, "done").await;
    let ids: Vec<BatchId> = batches.iter().map(|record| record.batch).collect();
    assert_eq!(behind(store, 10).await, ids);
    let two = behind(store, 2).await;
    assert_eq!(two, ids[..2]);
}

async fn news_of_many_at_once_is_whole<S: Requests + Outbox + 'static>(store: Arc<S>) {
    const MANY: usize = 40;
    let mut batch = request("a");
    for n in 1..MANY {
        batch.requests.extend(request(&format!("b{n}")).requests);
    }
    let records = create(&*store, batch).await;
    let changes = records.iter().map(|record| {
        let (store, record) = (store.clone(), record.clone());
        tokio::spawn(async move {
            let busy = change(&*store, &record, State::InProgress, "busy").await;
            change(&*store, &busy, State::Complete, "done").await
        })
    });
    for done in join_all(changes).await {
        done.unwrap();
    }
    let found = store.of(records[0].batch).await.unwrap();
    assert_eq!(found.len(), 1 + 2 * MANY);
    for record in &records {
        let of_request = |waiting: &&Waiting| matches!(&waiting.news, News::Changed { id, .. } if *id == record.id);
        let states = found
            .iter()
            .filter(of_request)
            .map(|waiting| match &waiting.news {
                News::Changed {
                    then: Some(then), ..
                } => then.state(),
                other => panic!("{other:?}"),
            });
        assert_eq!(Vec::from_iter(states), [State::InProgress, State::Complete]);
    }
}

/// What an item of DynamoDB cannot hold is told as it stands when it is told.
async fn what_is_very_large_is_news_too<S: Requests + Outbox>(store: &S) {
    let mut large = request("a");
    let bundles = (0..9000).map(|n| format!("r.example/{}:{n}", "x".repeat(60)));
    large.requests[0].request = Request::Add(AddRequest {
        bundles: bundles.collect(),
        ..AddRequest::default()
    });
    let new = create(store, large).await.remove(0);
    let done = change(store, &new, State::Complete, "done").await;
    let found = news(store, new.batch).await;
    assert_eq!(found.len(), 2, "{}", found.len());
    let kept = changed(&done);
    let not_kept = News::Changed {
        id: done.id,
        version: done.version,
        then: None,
    };
    assert!(found[1] == kept || found[1] == not_kept);
}
