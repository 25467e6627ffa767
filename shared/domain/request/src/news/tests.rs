use super::*;
use crate::{AddRequest, RegenerateBundle, Request, Update};

const BATCH: BatchId = BatchId(5);

/// Requests of one batch, changed one after the other, with all that was told of them.
struct World {
    records: BTreeMap<RequestId, Record>,
    news: Vec<News>,
}

impl World {
    fn new(count: u64) -> Self {
        let first = RequestId(7);
        let siblings = Siblings { first, count };
        let record = |id| {
            let request = Request::RegenerateBundle(RegenerateBundle {
                from_bundle_image: "r.example/b:1".to_owned(),
                organization: (id == first).then(|| "acme".to_owned()),
                ..RegenerateBundle::default()
            });
            let record = Record {
                siblings: (count > 1).then_some(siblings),
                asked_at: Some("https://iib.example".parse().unwrap()),
                ..Record::new(
                    id,
                    BATCH,
                    Some("ann".to_owned()),
                    request,
                    Timestamp::UNIX_EPOCH,
                )
            };
            (id, record)
        };
        Self {
            records: siblings.ids().map(record).collect(),
            news: vec![News::Created(siblings)],
        }
    }

    /// Writes a state, as a store does.
    fn change(&mut self, id: u64, state: State, reason: &str) {
        let record = self.records.get_mut(&RequestId(id)).unwrap();
        record.apply(&Update::state(state, reason), Timestamp::UNIX_EPOCH);
        record.version += 1;
        self.news.extend(News::of(record));
    }

    fn telling<'a>(&'a self, settings: &'a ApiSettings, none: &'a Operators) -> Telling<'a> {
        let first = self.records.values().next().unwrap();
        Telling {
            records: &self.records,
            batch_mates: first.batch_mates(),
            operators: none,
            settings,
        }
    }

    /// Tells what there is of the news, each as `event id: state`.
    fn told(&self, news: &[News]) -> Vec<String> {
        let (settings, none) = (ApiSettings::default(), Operators::new());
        let told = messages(news, self.telling(&settings, &none));
        let line = |message: &Message| format!("{}: {}", message.event_id, message.state);
        told.iter().flatten().map(line).collect()
    }
}

#[test]
fn a_batch_is_told_when_it_is_there_and_when_none_of_it_goes_on() {
    let whole = [
        "7-1: in_progress",
        "8-1: in_progress",
        "9-1: in_progress",
        "batch-5-created: in_progress",
        "7-2: complete",
        "8-2: in_progress",
        "8-3: failed",
        "9-2: complete",
        "batch-5-9-2: failed",
    ];
    let changes = [
        (7, State::Complete, "done"),
        (8, State::InProgress, "busy"),
        (8, State::Failed, "bad"),
        (9, State::Complete, "done"),
    ];
    // However much is told in one go, it is the same.
    for at_once in 1..=changes.len() + 1 {
        let (mut world, mut told) = (World::new(3), Vec::new());
        let mut tell = |world: &World, last: bool| {
            let so_far: usize = world.news.len();
            if so_far.is_multiple_of(at_once) || last {
                let done = (so_far - 1) / at_once * at_once;
                told.extend(world.told(&world.news[done..]));
            }
        };
        tell(&world, false);
        for (at, (id, state, reason)) in changes.into_iter().enumerate() {
            world.change(id, state, reason);
            tell(&world, at + 1 == changes.len());
        }
        assert_eq!(told, whole, "{at_once} at once");
    }
}

#[test]
fn a_message_shows_how_it_was_then() {
    let mut world = World::new(1);
    world.change(7, State::InProgress, "busy");
    let record = world.records.get_mut(&RequestId(7)).unwrap();
    record.facts.index_image = Some("r.example/later:1".to_owned());
    world.change(7, State::Complete, "done");
    let (settings, none) = (ApiSettings::default(), Operators::new());
    let told = messages(&world.news, world.telling(&settings, &none));
    let reasons: Vec<_> = told
        .iter()
        .map(|messages| messages[0].body["state_reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["The request was initiated", "busy", "done"]);
    let batch = &told[0][1];
    assert_eq!(
        batch.body,
        json!({
            "batch": 5, "annotations": null, "state": "in_progress", "user": "ann",
            "requests": [{"id": 7, "organization": "acme", "request_type": "regenerate-bundle"}],
        })
    );
    assert_eq!(
        batch.properties(),
        [
            ("batch", json!(5)),
            ("state", json!("in_progress")),
            ("user", json!("ann"))
        ]
    );
    assert_eq!(
        told[2][0].properties(),
        [
            ("batch", json!(5)),
            ("id", json!(7)),
            ("state", json!("complete")),
            ("user", json!("ann"))
        ]
    );
}

#[test]
fn what_was_too_large_is_told_as_it_stands() {
    let mut world = World::new(1);
    world.change(7, State::InProgress, "busy");
    world.change(7, State::Complete, "done");
    for news in &mut world.news {
        if let News::Changed { then, .. } = news {
            *then = None;
        }
    }
    let whole = [
        "7-1: in_progress",
        "batch-5-created: in_progress",
        "7-2: in_progress",
        "7-3: complete",
        "batch-5-7-3: complete",
    ];
    assert_eq!(world.told(&world.news), whole);
}

#[test]
fn of_a_request_that_cannot_be_read_nothing_is_told_and_its_batch_goes_on() {
    let mut world = World::new(2);
    world.change(8, State::Complete, "done");
    world.records.remove(&RequestId(7));
    let (settings, none) = (ApiSettings::default(), Operators::new());
    let telling = Telling {
        batch_mates: Siblings {
            first: RequestId(7),
            count: 2,
        },
        ..world.telling(&settings, &none)
    };
    let told = messages(&world.news, telling);
    let ids: Vec<_> = told
        .iter()
        .flatten()
        .map(|message| message.event_id.as_str())
        .collect();
    assert_eq!(ids, ["8-1", "8-2"]);
}

#[test]
fn only_a_write_with_a_new_state_is_news() {
    let add = Request::Add(AddRequest::default());
    let mut record = Record::new(RequestId(1), BatchId(1), None, add, Timestamp::UNIX_EPOCH);
    record.facts.index_image = Some("r.example/i:1".to_owned());
    record.version += 1;
    assert_eq!(News::of(&record), None);
    record.apply(
        &Update::state(State::Complete, "done"),
        Timestamp::UNIX_EPOCH,
    );
    record.version += 1;
    assert!(News::of(&record).is_some());
    record.data_removed = true;
    record.version += 1;
    assert_eq!(News::of(&record), None);
}

#[test]
fn a_long_document_is_shortened_to_what_names_it() {
    let world = World::new(1);
    let (settings, none) = (ApiSettings::default(), Operators::new());
    let mut told = messages(&world.news, world.telling(&settings, &none));
    let message = &mut told[0][0];
    message.body["state_reason"] = json!("x".repeat(SHORT + 1));
    let short = message.shortened();
    for (name, expected) in [
        ("id", json!(7)),
        ("batch", json!(5)),
        ("user", json!("ann")),
        ("state", json!("in_progress")),
        ("request_type", json!("regenerate-bundle")),
        ("shortened", json!(true)),
        ("state_reason", Value::Null),
        ("arches", Value::Null),
    ] {
        assert_eq!(short[name], expected, "{name}");
    }
}
