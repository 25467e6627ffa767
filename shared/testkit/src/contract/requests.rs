//! The contract of [`iib_ports::Requests`], [`iib_ports::Listing`] and [`iib_ports::Sweeps`], which
//! are one store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use iib_ports::{
    Created, Listing, NewBatch, NewRequest, ONCE_LIMIT, PageQuery, Requests, StoreError, Sweeps,
};
use iib_request::{
    AddRequest, Annotations, BatchId, Filters, Outcome, Record, Request, RequestId, SecretRef,
    TraceParent, Update,
};
use jiff::Timestamp;

/// Runs the suite; `make` gives a store without requests.
pub async fn requests<S: Requests + Listing + Sweeps + 'static>(make: impl AsyncFn() -> Arc<S>) {
    a_new_request_is_stored_as_it_is_returned(&*make().await).await;
    numbers_are_dense_whoever_asks_at_once(make().await).await;
    numbers_begin_where_they_are_told(&*make().await).await;
    a_request_nobody_created_is_not_there(&*make().await).await;
    a_batch_is_stored_as_a_whole(make().await).await;
    a_write_counts_the_version_up(&*make().await).await;
    an_older_version_is_not_written(&*make().await).await;
    of_writers_at_once_one_wins(make().await).await;
    the_listing_shows_the_newest_first(&*make().await).await;
    live_requests_come_oldest_first_until_they_are_done(&*make().await).await;
    what_asks_twice_gets_one_request(make().await).await;
    a_batch_that_is_asked_for_twice_is_given_whole(&*make().await).await;
    ended_requests_are_found_until_their_data_is_removed(&*make().await).await;
    large_requests_are_stored_whole(&*make().await).await;
}

fn new(user: &str) -> NewBatch {
    let now = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
    NewBatch::of(
        Some(user.to_owned()),
        Request::Add(AddRequest::default()),
        now,
    )
}

async fn create(store: &dyn Requests, new: NewBatch) -> Record {
    match store.create(new).await.unwrap() {
        Created::New(mut records) if records.len() == 1 => records.remove(0),
        other => panic!("not one new request: {other:?}"),
    }
}

fn first_page(per_page: u32) -> PageQuery {
    PageQuery {
        filters: Filters::default(),
        page: 1,
        per_page,
    }
}

async fn created(store: &dyn Requests, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for n in 0..count {
        records.push(create(store, new(&format!("user {n}"))).await);
    }
    records
}

async fn a_new_request_is_stored_as_it_is_returned(store: &dyn Requests) {
    let user = "ü\u{1F980}\"'; DROP TABLE requests; --";
    let secrets = BTreeMap::from([("token".to_owned(), SecretRef("s".to_owned()))]);
    let mut asked = new(user);
    asked.requests[0].secrets.clone_from(&secrets);
    asked.asked_at = Some("https://iib.example".parse().unwrap());
    let record = create(store, asked).await;
    let now = new(user).now;
    let kind = Request::Add(AddRequest::default());
    let expected = Record {
        secrets,
        asked_at: Some("https://iib.example".parse().unwrap()),
        ..Record::new(RequestId(1), BatchId(1), Some(user.to_owned()), kind, now)
    };
    assert_eq!(record, expected);
    assert_eq!(store.get(RequestId(1)).await.unwrap(), Some(record));
}

async fn numbers_are_dense_whoever_asks_at_once(store: Arc<dyn Requests>) {
    const MANY: u64 = 50;
    let tasks = (0..MANY).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { create(&*store, new(&format!("user {n}"))).await })
    });
    let records: Vec<Record> = join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let ids: BTreeSet<u64> = records.iter().map(|record| record.id.0).collect();
    let batches: BTreeSet<u64> = records.iter().map(|record| record.batch.0).collect();
    let dense: BTreeSet<u64> = (1..=MANY).collect();
    assert_eq!(ids, dense, "request ids");
    assert_eq!(batches, dense, "batch ids");
    for record in records {
        let stored = store.get(record.id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&record));
    }
}

async fn numbers_begin_where_they_are_told<S: Requests + Listing>(store: &S) {
    let mut given = Vec::new();
    for first_number in [1, 1, 1000, 1, 1000, 1003, 1003] {
        let record = create(
            store,
            NewBatch {
                first_number,
                ..new("a")
            },
        );
        given.push(record.await.id.0);
    }
    assert_eq!(given, [1, 2, 1000, 1001, 1002, 1003, 1004]);
    for id in [1, 1002] {
        let stored = store.get(RequestId(id)).await.unwrap();
        assert_eq!(stored.map(|record| record.id.0), Some(id));
    }
    assert_eq!(store.get(RequestId(999)).await.unwrap(), None);
    let page = store.page(&first_page(3)).await.unwrap();
    let shown = page.items.into_iter().map(|item| item.unwrap().id.0);
    assert_eq!(shown.collect::<Vec<_>>(), [1004, 1003, 1002]);
    assert_eq!(page.total, 7);
}

async fn a_request_nobody_created_is_not_there(store: &dyn Requests) {
    created(store, 1).await;
    for id in [0, 2, u64::MAX] {
        assert_eq!(store.get(RequestId(id)).await.unwrap(), None, "{id}");
    }
}

/// As many as the service has to take, which is more than a store may write at once.
const LARGE: u64 = 210;

async fn a_batch_is_stored_as_a_whole<S: Requests + Listing + 'static>(store: Arc<S>) {
    let before = create(&*store, new("a")).await;
    let annotations = Annotations::from_iter([("k".to_owned(), vec!["v"].into())]);
    let asked = |count: u64| NewBatch {
        annotations: Some(annotations.clone()),
        requests: (0..count)
            .map(|n| NewRequest {
                request: AddRequest {
                    bundles: vec![format!("r.example/b:{n}")],
                    ..AddRequest::default()
                }
                .into(),
                queue: Some(format!("queue {}", n % 2)),
                traceparent: TraceParent::new(1, n + 1, 1).ok(),
                secrets: BTreeMap::from([("token".to_owned(), SecretRef(n.to_string()))]),
            })
            .collect(),
        ..new("b")
    };
    // Whoever looks meanwhile sees nothing of it, or all.
    let batch = BatchId(before.batch.0 + 1);
    let looking = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let query = PageQuery {
                    filters: Filters {
                        batch: Some(batch),
                        ..Filters::default()
                    },
                    page: 1,
                    per_page: 5,
                };
                // The other order would show one that came in between.
                let last = store.get(RequestId(LARGE + 1)).await.unwrap();
                let found = store.page(&query).await.unwrap();
                assert!(
                    found.items.is_empty() || found.items.len() == 5,
                    "{found:?}"
                );
                if last.is_some() {
                    assert_eq!(found.total, LARGE);
                    assert!(store.get(RequestId(2)).await.unwrap().is_some());
                    return;
                }
            }
        })
    };
    let Created::New(records) = store.create(asked(LARGE)).await.unwrap() else {
        panic!("it was there");
    };
    looking.await.unwrap();
    assert_eq!(records.len() as u64, LARGE);
    let expected = asked(LARGE).into_records(RequestId(2), batch);
    assert_eq!(records, expected);
    for record in records {
        assert_eq!(store.get(record.id).await.unwrap().as_ref(), Some(&record));
    }
    let after = create(&*store, new("c")).await;
    assert_eq!(after.id, RequestId(LARGE + 2));
    assert_eq!(after.batch.0, batch.0 + 1);
    assert_eq!(store.page(&first_page(1)).await.unwrap().total, LARGE + 2);
}

async fn a_batch_that_is_asked_for_twice_is_given_whole(store: &dyn Requests) {
    create(store, new("a")).await;
    let asked = || {
        let mut asked = new("a");
        let one = asked.requests[0].clone();
        asked.requests = vec![one.clone(), one.clone(), one];
        asked.once = Some("twice".to_owned());
        asked
    };
    let Created::New(records) = store.create(asked()).await.unwrap() else {
        panic!("it was there");
    };
    create(store, new("b")).await;
    let again = store.create(asked()).await.unwrap();
    assert_eq!(again, Created::Before(records.clone()));
    assert_eq!(store.made_by("twice").await.unwrap(), records);
    assert_eq!(store.made_by("never").await.unwrap(), []);
}

async fn a_write_counts_the_version_up(store: &dyn Requests) {
    let mut record = create(store, new("a")).await;
    for version in 2..5 {
        record.apply(&Update::doing(format!("step {version}")), new("a").now);
        let mut expected = record.clone();
        expected.version = version;
        record = store.replace(record).await.unwrap();
        assert_eq!(record, expected);
        assert_eq!(store.get(record.id).await.unwrap(), Some(expected));
    }
}

async fn an_older_version_is_not_written(store: &dyn Requests) {
    let old = create(store, new("a")).await;
    let mut changed = old.clone();
    changed.apply(&Update::doing("changed"), new("a").now);
    let newest = store.replace(changed).await.unwrap();
    let refused = store.replace(old.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(id)) if id == old.id),
        "{refused:?}"
    );
    let mut from_the_future = newest.clone();
    from_the_future.version += 1;
    let refused = store.replace(from_the_future).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(store.get(old.id).await.unwrap(), Some(newest));

    let mut unknown = old;
    unknown.id = RequestId(7);
    let refused = store.replace(unknown).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(RequestId(7)))),
        "a request that is not there is not created by a write: {refused:?}"
    );
    assert_eq!(store.get(RequestId(7)).await.unwrap(), None);
}

async fn of_writers_at_once_one_wins(store: Arc<dyn Requests>) {
    const MANY: usize = 20;
    let record = create(&*store, new("a")).await;
    let tasks = (0..MANY).map(|n| {
        let (store, mut record) = (store.clone(), record.clone());
        record.apply(&Update::doing(format!("writer {n}")), new("a").now);
        tokio::spawn(async move { store.replace(record).await })
    });
    let mut winners = Vec::new();
    for outcome in join_all(tasks).await {
        match outcome.unwrap() {
            Ok(record) => winners.push(record),
            Err(StoreError::Conflict(id)) => assert_eq!(id, record.id),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let stored = store.get(record.id).await.unwrap();
    assert_eq!(stored, winners.pop());
}

async fn the_listing_shows_the_newest_first(store: &(impl Requests + Listing)) {
    let empty = store.page(&first_page(5)).await.unwrap();
    assert_eq!((empty.items.len(), empty.total), (0, 0));
    created(store, 7).await;
    for (page, per_page, expected) in [
        (1, 3, vec![7, 6, 5]),
        (2, 3, vec![4, 3, 2]),
        (3, 3, vec![1]),
        (4, 3, vec![]),
        (1, 20, vec![7, 6, 5, 4, 3, 2, 1]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        let query = PageQuery {
            page,
            ..first_page(per_page)
        };
        let found = store.page(&query).await.unwrap();
        let ids: Vec<u64> = found
            .items
            .iter()
            .flatten()
            .map(|record| record.id.0)
            .collect();
        assert_eq!(
            (ids, found.total),
            (expected, 7),
            "page {page} of {per_page}"
        );
    }
}

async fn live_requests_come_oldest_first_until_they_are_done(store: &(impl Requests + Sweeps)) {
    let records = created(store, 5).await;
    for index in [1, 3] {
        let mut record = records[index].clone();
        record.conclude(Outcome::Rejected);
        store.replace(record).await.unwrap();
    }
    for (after, limit, expected) in [
        (None, 10, vec![1, 3, 5]),
        (None, 2, vec![1, 3]),
        (None, 0, vec![]),
        (Some(0), 10, vec![1, 3, 5]),
        (Some(1), 10, vec![3, 5]),
        (Some(1), 1, vec![3]),
        (Some(2), 10, vec![3, 5]),
        (Some(3), 2, vec![5]),
        (Some(5), 10, vec![]),
        (Some(u64::MAX), 10, vec![]),
    ] {
        let live = store.live(after.map(RequestId), limit).await.unwrap();
        let ids: Vec<u64> = live.iter().flatten().map(|record| record.id.0).collect();
        assert_eq!(ids, expected, "{limit} after {after:?}");
    }
}

async fn what_asks_twice_gets_one_request(store: Arc<dyn Requests>) {
    const MANY: usize = 20;
    let asks = |key: &str| NewBatch {
        once: Some(key.to_owned()),
        ..new("a")
    };
    let tasks = (0..MANY).map(|_| {
        let (store, new) = (store.clone(), asks("inbox/a.json#1"));
        tokio::spawn(async move { store.create(new).await.unwrap() })
    });
    let (mut made, mut ids) = (0, BTreeSet::new());
    for created in join_all(tasks).await {
        let created = created.unwrap();
        made += usize::from(matches!(created, Created::New(_)));
        ids.extend(created.into_records().iter().map(|record| record.id));
    }
    assert_eq!((made, ids.len()), (1, 1));
    let id = ids.pop_first().unwrap();
    // What was known is given as it stands now.
    let mut record = store.get(id).await.unwrap().unwrap();
    record.apply(&Update::doing("on the way"), new("a").now);
    let record = store.replace(record).await.unwrap();
    let again = store.create(asks("inbox/a.json#1")).await.unwrap();
    assert_eq!(again, Created::Before(vec![record]));
    let long = "\u{1F980}".repeat(ONCE_LIMIT / 4);
    // Those at once may have used numbers up; one that comes later uses none.
    let mut numbers = Vec::new();
    for key in ["inbox/a.json#2", &long] {
        let other = create(&*store, asks(key)).await;
        numbers.push((other.id.0, other.batch.0));
        let again = store.create(asks(key)).await.unwrap();
        assert_eq!(again, Created::Before(vec![other]));
    }
    let next = (numbers[0].0 + 1, numbers[0].1 + 1);
    assert_eq!(numbers[1], next);
}

async fn ended_requests_are_found_until_their_data_is_removed(store: &(impl Requests + Sweeps)) {
    let at = |second| Timestamp::from_second(second).unwrap();
    let found = async |before: i64, limit: u32| -> Vec<u64> {
        let found = store.ended_before(at(before), limit).await.unwrap();
        found.iter().map(|record| record.id.0).collect()
    };
    let records = created(store, 4).await;
    // The third ends first; the last one goes on.
    let later = 1_800_000_000;
    for (index, second) in [(0, later + 20), (1, later + 30), (2, later + 10)] {
        let mut record = records[index].clone();
        record.fail("no", at(second));
        store.replace(record).await.unwrap();
    }
    for (before, limit, expected) in [
        (later, 10, vec![]),
        (later + 10, 10, vec![]),
        (later + 11, 10, vec![3]),
        (later + 100, 10, vec![3, 1, 2]),
        (later + 100, 2, vec![3, 1]),
        (later + 100, 0, vec![]),
    ] {
        assert_eq!(
            found(before, limit).await,
            expected,
            "{limit} before {before}"
        );
    }
    let mut removed = store.get(RequestId(3)).await.unwrap().unwrap();
    removed.data_removed = true;
    store.replace(removed).await.unwrap();
    assert_eq!(found(later + 100, 10).await, [1, 2]);
}

/// The API takes documents of up to a MiB.
async fn large_requests_are_stored_whole(store: &(impl Requests + Listing + Sweeps)) {
    let bundles = (0..9_000)
        .map(|n| format!("registry.example.com/operators/a-bundle-with-a-long-name/bundle-{n}:v1"));
    let request = Request::Add(AddRequest {
        bundles: bundles.collect(),
        ..AddRequest::default()
    });
    let mut asked = new("a");
    asked.requests[0].request = request;
    let record = create(store, asked).await;
    assert_eq!(store.get(record.id).await.unwrap().as_ref(), Some(&record));
    let mut larger = record;
    for n in 0..200 {
        larger.apply(
            &Update::doing(format!("{n}{}", "x".repeat(2000))),
            new("a").now,
        );
    }
    let larger = store.replace(larger).await.unwrap();
    assert_eq!(store.get(larger.id).await.unwrap().as_ref(), Some(&larger));
    let listed = store.page(&first_page(5)).await.unwrap().items;
    assert_eq!(listed, [Ok(larger.clone())]);
    assert_eq!(store.live(None, 5).await.unwrap(), [Ok(larger)]);
}
