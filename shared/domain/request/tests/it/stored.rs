//! Records and messages of every shape that was ever released, in `tests/records` and
//! `tests/messages`, in a folder for each format. The set only grows: a file is added when a
//! release changes the shape, and none is ever changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iib_request::{Outcome, Record, RecordError, RequestId, Stage, State, Task, Update};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The files of a folder of fixtures by `<format>/<name>`.
fn fixtures(kind: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(kind);
    let mut found = BTreeMap::new();
    for format in fs::read_dir(&folder).unwrap() {
        let format = format.unwrap();
        for file in fs::read_dir(format.path()).unwrap() {
            let file = file.unwrap();
            let name =
                [format.file_name(), file.file_name()].map(|name| name.into_string().unwrap());
            found.insert(name.join("/"), fs::read_to_string(file.path()).unwrap());
        }
    }
    found
}

#[test]
fn every_record_that_was_ever_stored_is_read_and_says_what_it_said() {
    let fixtures = fixtures("records");
    assert!(fixtures.len() >= 30, "fixtures are missing");
    for (name, text) in fixtures {
        let record = Record::from_stored(&text).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let (_, name_of_kind) = name.split_once('/').unwrap();
        let moment = name_of_kind.strip_prefix(record.request.name()).unwrap();
        let (stage, state) = match moment.split(['-', '.']).nth(1).unwrap() {
            "complete" => (Stage::Done, State::Complete),
            "failed" => (Stage::Done, State::Failed),
            "queued" => (Stage::Queued, State::InProgress),
            "pin" => (Stage::Pin, State::InProgress),
            "mutate" => (Stage::Mutate, State::InProgress),
            "push" => (Stage::Push, State::InProgress),
            other => panic!("{other}: say what it is"),
        };
        assert_eq!(
            (record.work.stage, record.state()),
            (stage, state),
            "{name}"
        );
        // Who ended it from outside has planned nothing, and most that fails fails before.
        let own_work = (state != State::Failed && !name.contains("from-outside"))
            || name.contains("taken-back");
        assert_eq!(
            record.plan.is_some(),
            stage > Stage::Pin && own_work,
            "{name}"
        );
        let leased = name.contains("leased") || name.contains("tags-noted");
        assert_eq!(record.work.lease.is_some(), leased, "{name}");
        let again = Record::from_stored(&record.to_stored().unwrap()).unwrap();
        assert_eq!(again, record, "{name}");
    }
}

/// The records of format 2 were made of those of format 1, and looked over.
#[test]
fn a_record_of_format_1_becomes_what_it_is_in_format_2() {
    let fixtures = fixtures("records");
    let mut compared = 0;
    for (name, text) in &fixtures {
        let Some(name) = name.strip_prefix("1/") else {
            continue;
        };
        let upgraded = Record::from_stored(text).unwrap();
        let stored: Value = serde_json::from_str(&upgraded.to_stored().unwrap()).unwrap();
        let expected: Value = serde_json::from_str(&fixtures[&format!("2/{name}")]).unwrap();
        assert_eq!(stored, expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 12);
}

#[test]
fn members_that_a_newer_version_has_noted_stay_where_they_are() {
    let fixtures = fixtures("records");
    let read = |name: &str| serde_json::from_str::<Value>(&fixtures[name]).unwrap();
    let mut value = read("2/add-push-leased.json");
    value["plan"]["index"]["from"] =
        read("2/add-complete-on-an-index.json")["plan"]["index"]["from"].clone();
    for place in [
        "",
        "/request",
        "/work",
        "/work/lease",
        "/facts",
        "/history/0",
        "/plan/index",
        "/plan/index/bundles/0",
        "/plan/index/from",
        "/built",
        "/built/layers/0",
    ] {
        value.pointer_mut(place).unwrap()["of_tomorrow"] = json!({"a": [null]});
    }
    let mut record = Record::from_stored(&value.to_string()).unwrap();
    let stored: Value = serde_json::from_str(&record.to_stored().unwrap()).unwrap();
    assert_eq!(stored, value);
    // They outlive changes.
    record.apply(
        &Update::state(State::Complete, "done"),
        Timestamp::UNIX_EPOCH,
    );
    record.conclude(Outcome::Completed);
    let stored: Value = serde_json::from_str(&record.to_stored().unwrap()).unwrap();
    assert_eq!(stored["of_tomorrow"], value["of_tomorrow"]);
    assert_eq!(stored["work"]["of_tomorrow"], value["work"]["of_tomorrow"]);
}

#[test]
fn a_record_of_a_newer_format_and_a_damaged_one_are_told_apart() {
    let text = &fixtures("records")["2/add-queued.json"];
    let value: Value = serde_json::from_str(text).unwrap();
    let newer = json!({"format": 10, "anything": "else"}).to_string();
    assert!(matches!(
        Record::from_stored(&newer),
        Err(RecordError::Newer { found: 10 })
    ));
    let (cut, _) = text.split_at(text.len() / 2);
    let planned = &fixtures("records")["2/add-mutate-waiting.json"];
    for member in ["bases", "version", "scope"] {
        let mut value: Value = serde_json::from_str(planned).unwrap();
        let plan = value["plan"]["index"].as_object_mut().unwrap();
        plan.remove(member).unwrap();
        let read = Record::from_stored(&value.to_string());
        assert!(matches!(read, Err(RecordError::Malformed(_))), "{member}");
    }
    let without = |member: &str| {
        let mut value = value.clone();
        value.as_object_mut().unwrap().remove(member).unwrap();
        value.to_string()
    };
    let mut other = value.clone();
    other["request"]["request_type"] = json!("of-tomorrow");
    let mut odd = value.clone();
    odd["format"] = json!("two");
    for text in [
        cut.to_owned(),
        String::new(),
        "[]".to_owned(),
        without("id"),
        without("work"),
        without("request"),
        other.to_string(),
        odd.to_string(),
    ] {
        let read = Record::from_stored(&text);
        assert!(
            matches!(read, Err(RecordError::Malformed(_))),
            "{text}: {read:?}"
        );
    }
    for member in ["user", "history", "facts", "plan", "built", "data_removed"] {
        assert!(Record::from_stored(&without(member)).is_ok(), "{member}");
    }
}

#[test]
fn every_message_that_was_ever_sent_is_read() {
    let fixtures = fixtures("messages");
    assert!(fixtures.len() >= 2, "fixtures are missing");
    for (name, text) in fixtures {
        let task: Task =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(task.request_id.0 > 0, "{name}");
    }
    let newer = r#"{"request_id": 7, "stage": "pin", "of_tomorrow": {}}"#;
    let task: Task = serde_json::from_str(newer).unwrap();
    assert_eq!(task, Task::new(RequestId(7), Stage::Pin));
}

#[test]
fn a_place_in_a_trace_goes_with_a_request_and_another_text_keeps_nobody_from_it() {
    let text = &fixtures("records")["2/add-mutate-traced.json"];
    let record = Record::from_stored(text).unwrap();
    let place = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse();
    assert_eq!(record.traceparent, place.ok());
    let task = record.task(Stage::Push);
    assert_eq!(task.traceparent, record.traceparent);
    let sent = serde_json::to_string(&task).unwrap();
    assert_eq!(serde_json::from_str::<Task>(&sent).unwrap(), task);
    let mut value: Value = serde_json::from_str(text).unwrap();
    let mut sent: Value = serde_json::from_str(&sent).unwrap();
    for odd in [
        json!(null),
        json!("x".repeat(1000)),
        json!(7),
        json!({"a": []}),
    ] {
        value["traceparent"] = odd.clone();
        let record = Record::from_stored(&value.to_string()).unwrap();
        sent["traceparent"] = odd;
        let task: Task = serde_json::from_value(sent.clone()).unwrap();
        assert_eq!((record.traceparent, task.traceparent), (None, None));
    }
}
