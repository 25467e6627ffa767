//! Records and messages of every shape that was ever released, in `tests/records` and
//! `tests/messages`, in a folder for each format. The set only grows: a file is added when a
//! release changes the shape, and none is ever changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use iib_request::{Record, Stage, State, Task};

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
    assert!(fixtures.len() >= 11, "fixtures are missing");
    for (name, text) in fixtures {
        let record: Record =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (stage, state) = match name.rsplit('/').next().unwrap() {
            name if name.starts_with("add-complete") => (Stage::Done, State::Complete),
            name if name.starts_with("add-failed") => (Stage::Done, State::Failed),
            name if name.starts_with("add-queued") => (Stage::Queued, State::InProgress),
            name if name.starts_with("add-pin") => (Stage::Pin, State::InProgress),
            name if name.starts_with("add-mutate") => (Stage::Mutate, State::InProgress),
            name if name.starts_with("add-push") => (Stage::Push, State::InProgress),
            other => panic!("{other}: say what it is"),
        };
        assert_eq!((record.stage, record.state()), (stage, state), "{name}");
        assert_eq!(
            record.plan.is_some(),
            stage > Stage::Pin && state != State::Failed,
            "{name}"
        );
        let text = serde_json::to_string(&record).unwrap();
        let again: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(again, record, "{name}");
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
}
