//! The contract of [`iib_ports::Listing`] and [`iib_ports::OperatorStore`]: what filters find.

use std::collections::BTreeSet;
use std::sync::Arc;

use iib_ports::{
    Created, Listing, NewBatch, Older, OlderQuery, OperatorStore, PageQuery, Requests,
};
use iib_request::{
    AddDeprecations, AddRequest, BatchId, FbcOperations, Filters, MergeIndexImage, Operators,
    Record, RegenerateBundle, Request, RequestId, RmRequest, Sought, State, Update,
};
use iib_request::{CreateEmptyIndex, Facts};
use jiff::Timestamp;

/// Runs the suite; `make` gives a store without requests.
pub async fn listing<S: Requests + Listing + OperatorStore>(make: impl AsyncFn() -> Arc<S>) {
    filters_and_their_combinations_find_what_they_hold_for(&*make().await).await;
    a_request_is_found_by_what_it_has_become(&*make().await).await;
    images_in_every_role_are_seen(&*make().await).await;
    the_last_operator_of_a_bundle_counts(&*make().await).await;
}

const INDEXES: [&str; 3] = [
    "r.example/a/index:v1",
    "r.example/a/index:v2",
    "r.example/b/index:v1",
];
const RESULTS: [&str; 2] = ["out.example/iib:1", "r.example/a/index:v1"];
const USERS: [&str; 2] = ["ann", "ü%_*"];

fn requests_from(index: &str) -> Vec<Request> {
    let index = || index.to_owned();
    vec![
        AddRequest {
            from_index: Some(index()),
            ..AddRequest::default()
        }
        .into(),
        RmRequest {
            from_index: index(),
            ..RmRequest::default()
        }
        .into(),
        RegenerateBundle {
            from_bundle_image: index(),
            ..RegenerateBundle::default()
        }
        .into(),
        MergeIndexImage {
            source_from_index: index(),
            ..MergeIndexImage::default()
        }
        .into(),
        CreateEmptyIndex {
            from_index: index(),
            ..CreateEmptyIndex::default()
        }
        .into(),
        FbcOperations {
            from_index: index(),
            ..FbcOperations::default()
        }
        .into(),
        AddDeprecations {
            from_index: index(),
            ..AddDeprecations::default()
        }
        .into(),
        AddRequest::default().into(),
    ]
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

async fn create(store: &dyn Requests, new: NewBatch) -> Vec<Record> {
    match store.create(new).await.unwrap() {
        Created::New(records) => records,
        Created::Before(records) => panic!("known: {records:?}"),
    }
}

fn dry(new: NewBatch) -> NewBatch {
    NewBatch {
        is_dry_run: true,
        ..new
    }
}

async fn one(store: &dyn Requests, user: Option<&str>, request: impl Into<Request>) -> Record {
    let user = user.map(str::to_owned);
    create(store, NewBatch::of(user, request.into(), now()))
        .await
        .remove(0)
}

/// Some requests of all kinds, states, users and results, some of them dry runs, the last in batches of two.
async fn many(store: &dyn Requests) -> Vec<Record> {
    let mut records = Vec::new();
    for (place, index) in INDEXES.iter().cycle().take(6).enumerate() {
        let user = USERS.get(place % 3).copied();
        for request in requests_from(index) {
            records.push(one(store, user, request.clone()).await);
            if records.len() % 3 == 0 {
                let new = NewBatch::of(user.map(str::to_owned), request, now());
                records.extend(create(store, dry(new)).await);
            }
        }
    }
    let mut batch = NewBatch::of(None, AddRequest::default().into(), now());
    batch.requests.push(batch.requests[0].clone());
    records.extend(create(store, dry(batch.clone())).await);
    records.extend(create(store, batch).await);
    for (place, record) in records.iter_mut().enumerate() {
        let state = match place % 5 {
            0 | 1 => State::Complete,
            2 => State::Failed,
            _ => State::InProgress,
        };
        let result = RESULTS.get(place % 4).map(|image| (*image).to_owned());
        if state == State::InProgress && result.is_none() {
            continue;
        }
        let facts = Facts {
            index_image: result,
            ..Facts::default()
        };
        let mut changed = record.clone();
        changed.apply(&Update::state(state, "because").with(facts), now());
        *record = store.replace(changed).await.unwrap();
    }
    records
}

/// Values for each filter, and none.
fn combinations(records: &[Record]) -> Vec<Filters> {
    let text = |text: &str| Some(text.to_owned());
    let batch = records.last().map(|record| record.batch);
    let mut states = vec![None];
    states.extend(State::ALL.map(Some));
    let batches = [
        None,
        None,
        None,
        None,
        None,
        batch,
        Some(BatchId(7)),
        Some(BatchId(999)),
    ];
    let kinds = [
        None,
        None,
        None,
        None,
        Some("add"),
        Some("rm"),
        Some("merge-index-image"),
        Some("generic"),
    ];
    let users = [
        None,
        None,
        None,
        None,
        text(USERS[0]),
        text(USERS[1]),
        text("nobody"),
    ];
    let indexes = [
        None,
        None,
        None,
        None,
        text(INDEXES[0]),
        text(INDEXES[2]),
        text("r.example/none:1"),
    ];
    let prefixes = [
        None,
        None,
        None,
        None,
        text("r.example/a/"),
        text("r.example/"),
        text("r.example/a/index:v"),
        text("%"),
    ];
    let results = [None, None, None, None, text(RESULTS[0]), text(RESULTS[1])];
    // Each filter alone and in pairs, and some of the rest.
    let mut found = Vec::new();
    let mut seed = 1_u64;
    let mut next = |count: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or_default() % count
    };
    for _ in 0..120 {
        found.push(Filters {
            state: states[next(states.len())],
            batch: batches[next(batches.len())],
            kind: kinds[next(kinds.len())],
            user: users[next(users.len())].clone(),
            from_index: indexes[next(indexes.len())].clone(),
            from_index_prefix: prefixes[next(prefixes.len())].clone(),
            index_image: results[next(results.len())].clone(),
            dry_runs: next(4) == 0,
        });
    }
    found
}

async fn filters_and_their_combinations_find_what_they_hold_for(store: &(impl Requests + Listing)) {
    let records = many(store).await;
    let mut found_any = 0;
    let of = |dry_runs| Filters {
        dry_runs,
        ..Filters::default()
    };
    let mut alone = vec![of(false), of(true)];
    for record in records.iter().rev().skip(1).step_by(2).take(2) {
        for dry_runs in [false, true] {
            alone.push(Filters {
                batch: Some(record.batch),
                ..of(dry_runs)
            });
        }
    }
    for (state, dry_runs) in State::ALL.into_iter().flat_map(|s| [(s, false), (s, true)]) {
        alone.push(Filters {
            state: Some(state),
            ..of(dry_runs)
        });
    }
    for kind in [
        "add",
        "rm",
        "regenerate-bundle",
        "add-deprecations",
        "generic",
    ] {
        alone.push(Filters {
            kind: Some(kind),
            ..Filters::default()
        });
    }
    for filters in alone.into_iter().chain(combinations(&records)) {
        let wanted = records
            .iter()
            .rev()
            .filter(|record| filters.hold_for(&record.facets()));
        let wanted: Vec<u64> = wanted.map(|record| record.id.0).collect();
        found_any += usize::from(!wanted.is_empty());
        for (page, per_page) in [(1, 4), (2, 4), (3, 4), (1, 100), (2, 100)] {
            let query = PageQuery {
                filters: filters.clone(),
                page,
                per_page,
            };
            let found = store.page(&query).await.unwrap();
            let ids: Vec<u64> = found
                .items
                .iter()
                .flatten()
                .map(|record| record.id.0)
                .collect();
            let skipped = usize::try_from((page - 1) * u64::from(per_page)).unwrap();
            let on_page = wanted.iter().skip(skipped).take(per_page as usize).copied();
            assert_eq!(ids, on_page.collect::<Vec<u64>>(), "{query:?}");
            assert_eq!(found.total, wanted.len() as u64, "{query:?}");
            if wanted.len() <= skipped + per_page as usize {
                break;
            }
        }
        for limit in [5, 100] {
            assert_eq!(
                all_older(store, &filters, limit).await,
                wanted,
                "{filters:?}"
            );
        }
    }
    let beyond = OlderQuery {
        filters: Filters::default(),
        before: Some(RequestId(0)),
        limit: 5,
    };
    let nothing = Older {
        items: Vec::new(),
        next: None,
    };
    assert_eq!(store.older(&beyond).await.unwrap(), nothing);
    assert!(
        found_any > 30,
        "{found_any} of the combinations find something"
    );
}

/// All that filters hold for, piece by piece.
async fn all_older(store: &impl Listing, filters: &Filters, limit: u32) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let query = OlderQuery {
            filters: filters.clone(),
            before,
            limit,
        };
        let piece = store.older(&query).await.unwrap();
        assert!(piece.items.len() <= limit as usize, "{query:?}");
        found.extend(piece.items.iter().flatten().map(|record| record.id.0));
        before = piece.next;
        if before.is_none() {
            return found;
        }
    }
}

async fn a_request_is_found_by_what_it_has_become(store: &(impl Requests + Listing)) {
    let record = one(store, Some("ann"), AddRequest::default()).await;
    let found = async |filters: Filters| {
        let query = PageQuery {
            filters,
            page: 1,
            per_page: 5,
        };
        let page = store.page(&query).await.unwrap();
        assert_eq!(page.items.len() as u64, page.total);
        page.total == 1
    };
    let in_state = |state| Filters {
        state: Some(state),
        ..Filters::default()
    };
    let with_result = |image: &str| Filters {
        index_image: Some(image.to_owned()),
        ..Filters::default()
    };
    assert!(found(in_state(State::InProgress)).await);
    let mut record = record;
    for (image, former) in [
        ("out.example/iib:1", None),
        ("out.example/iib:2", Some("out.example/iib:1")),
    ] {
        let facts = Facts {
            index_image: Some(image.to_owned()),
            ..Facts::default()
        };
        record.apply(&Update::doing(image).with(facts), now());
        record = store.replace(record).await.unwrap();
        assert!(found(with_result(image)).await);
        if let Some(former) = former {
            assert!(!found(with_result(former)).await);
        }
    }
    record.apply(&Update::state(State::Failed, "no"), now());
    store.replace(record).await.unwrap();
    for (state, expected) in [(State::InProgress, false), (State::Failed, true)] {
        assert_eq!(found(in_state(state)).await, expected, "{state}");
    }
}

async fn images_in_every_role_are_seen(store: &(impl Requests + Listing)) {
    let request = AddRequest {
        bundles: vec!["r.example/bundle:1".to_owned()],
        from_index: Some("r.example/index:1".to_owned()),
        binary_image: Some("r.example/base:1".to_owned()),
        deprecation_list: vec!["r.example/old:1".to_owned()],
        ..AddRequest::default()
    };
    let mut record = one(store, None, request).await;
    let result = "out.example/iib:1".to_owned();
    let seen = async |sought| store.is_seen(sought).await.unwrap();
    assert!(!seen(Sought::Image(&result)).await);
    let facts = Facts {
        index_image: Some(result.clone()),
        ..Facts::default()
    };
    record.apply(&Update::doing("built").with(facts), now());
    store.replace(record).await.unwrap();
    for image in [
        "r.example/bundle:1",
        "r.example/index:1",
        "r.example/base:1",
        "r.example/old:1",
        &result,
    ] {
        assert!(seen(Sought::Image(image)).await, "{image}");
    }
    for prefix in ["r", "r.example/", "r.example/index:1", "out", ""] {
        assert!(seen(Sought::Prefix(prefix)).await, "{prefix}");
    }
    for image in [
        "r.example/bundle:2",
        "r.example/bundle",
        "R.example/index:1",
        "%",
        "",
    ] {
        assert!(!seen(Sought::Image(image)).await, "{image}");
    }
    for prefix in ["r.example/index:12", "s", "_", "%"] {
        assert!(!seen(Sought::Prefix(prefix)).await, "{prefix}");
    }
}

async fn the_last_operator_of_a_bundle_counts(store: &(impl Listing + OperatorStore)) {
    // More than a store may be asked for at once.
    let bundle = |n: usize| format!("r.example/bundle-{n}:1");
    let first: Operators = (0..230).map(|n| (bundle(n), "first".to_owned())).collect();
    store.remember(&first).await.unwrap();
    let second: Operators = [(bundle(1), "second".to_owned())].into();
    store.remember(&second).await.unwrap();
    store.remember(&Operators::new()).await.unwrap();
    assert!(store.is_seen(Sought::Image(&bundle(2))).await.unwrap());
    let asked: Vec<String> = (0..240).map(bundle).collect();
    let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    let mut expected = first;
    expected.extend(second);
    assert_eq!(store.of(&asked).await.unwrap(), expected);
    assert_eq!(store.of(&BTreeSet::new()).await.unwrap(), Operators::new());
    let one = BTreeSet::from(["r.example/bundle-1:1", "r.example/other:1"]);
    let found = store.of(&one).await.unwrap();
    assert_eq!(found.values().collect::<Vec<_>>(), ["second"]);
}
