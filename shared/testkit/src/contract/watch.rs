//! The contract of [`iib_ports::Watch`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use iib_ports::{NewBatch, Requests, Waited, Watch};
use iib_request::{AddRequest, Record, RequestId, Update};
use jiff::Timestamp;

/// Longer than anything here takes that ends by itself.
const LONG: Duration = Duration::from_secs(20);
/// Time enough for somebody who waits to look again, several times.
const SHORT: Duration = Duration::from_millis(400);

/// Runs the suite; `make` gives a store without requests, and waiting for them, where at most two wait.
pub async fn watch<S, W>(make: impl AsyncFn() -> (Arc<S>, Arc<W>))
where
    S: Requests + 'static,
    W: Watch + 'static,
{
    let (store, watch) = make().await;
    what_is_newer_is_seen_at_once(&*store, &*watch).await;
    let (store, watch) = make().await;
    a_write_ends_the_waiting(&store, &watch).await;
    let (store, watch) = make().await;
    without_a_write_it_ends_in_time(&*store, &*watch).await;
    let (store, watch) = make().await;
    no_more_wait_than_are_let_in(&store, &watch).await;
}

async fn new(store: &dyn Requests) -> Record {
    let now = Timestamp::from_second(1_700_000_000).unwrap_or_default();
    let new = NewBatch::of(None, AddRequest::default().into(), now);
    let mut records = store.create(new).await.unwrap().into_records();
    records.remove(0)
}

async fn change(store: &dyn Requests, record: Record, reason: &str) -> Record {
    let mut record = record;
    record.apply(&Update::doing(reason), record.updated());
    store.replace(record).await.unwrap()
}

async fn what_is_newer_is_seen_at_once(store: &dyn Requests, watch: &dyn Watch) {
    let record = new(store).await;
    let waited = watch.changed(record.id, 0, LONG).await.unwrap();
    assert_eq!(waited, Waited::Changed);
}

async fn a_write_ends_the_waiting<S, W>(store: &Arc<S>, watch: &Arc<W>)
where
    S: Requests + 'static,
    W: Watch + 'static,
{
    let (record, other) = (new(&**store).await, new(&**store).await);
    let known = record.version;
    let waiting = {
        let (watch, id) = (watch.clone(), record.id);
        tokio::spawn(async move {
            let waited = watch.changed(id, known, LONG).await.unwrap();
            (waited, Instant::now())
        })
    };
    change(&**store, other, "something else").await;
    tokio::time::sleep(SHORT).await;
    assert!(!waiting.is_finished(), "what was written is not about it");
    let written = Instant::now();
    change(&**store, record, "something").await;
    let (waited, seen) = waiting.await.unwrap();
    assert_eq!(waited, Waited::Changed);
    // Far less than it would have waited, on a busy machine, too.
    assert!(seen.saturating_duration_since(written) < LONG / 2);
}

async fn without_a_write_it_ends_in_time(store: &dyn Requests, watch: &dyn Watch) {
    let record = new(store).await;
    let waited = watch.changed(record.id, record.version, SHORT).await;
    assert_eq!(waited.unwrap(), Waited::Unchanged);
    let waited = watch.changed(RequestId(999_999), 0, SHORT).await;
    assert_eq!(waited.unwrap(), Waited::Unchanged);
}

async fn no_more_wait_than_are_let_in<S, W>(store: &Arc<S>, watch: &Arc<W>)
where
    S: Requests + 'static,
    W: Watch + 'static,
{
    let record = new(&**store).await;
    let (id, known) = (record.id, record.version);
    let wait = || {
        let watch = watch.clone();
        async move { watch.changed(id, known, SHORT).await.unwrap() }
    };
    let mut waited = futures::future::join_all([wait(), wait(), wait(), wait(), wait()]).await;
    waited.sort_by_key(|waited| *waited == Waited::Refused);
    assert_eq!(waited[..2], [Waited::Unchanged, Waited::Unchanged]);
    // Those who are counted by the half minute may come into two of them.
    assert_eq!(waited[4], Waited::Refused);
}
