use serde_json::json;

use super::*;
use crate::{AddDeprecations, KINDS};
use crate::{AddRequest, BatchId, FbcOperations, RegenerateBundle, Request, RequestId, Stage};
use crate::{CreateEmptyIndex, MergeIndexImage, RecursiveRelatedBundles, RmRequest};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn record(request: impl Into<Request>) -> Record {
    Record::new(RequestId(1), BatchId(1), None, request.into(), at(0))
}

fn each_kind() -> [Record; 8] {
    [
        record(AddRequest::default()),
        record(RmRequest::default()),
        record(RegenerateBundle::default()),
        record(MergeIndexImage::default()),
        record(CreateEmptyIndex::default()),
        record(RecursiveRelatedBundles::default()),
        record(FbcOperations::default()),
        record(AddDeprecations::default()),
    ]
}

fn members(text: &str) -> Members {
    serde_json::from_str(text).unwrap()
}

fn read(record: &Record, body: &Value) -> Result<Patch, String> {
    let read = Patch::read(&members(&body.to_string()), record);
    read.map_err(|refused| refused.to_string())
}

/// A value that a row takes.
fn good(form: Form) -> Value {
    match form {
        Form::Text => json!("some text"),
        Form::Image => json!("r.example/a:1"),
        Form::Json => json!("{\"a\": [1]}"),
        Form::Images => json!(["r.example/a:1"]),
        Form::Arches => json!(["amd64"]),
        Form::Operators => json!({"op": ["r.example/a:1"]}),
        Form::Replacements => json!({"a": "b"}),
    }
}

#[test]
fn each_kind_takes_its_keys_and_no_others() {
    for row in ROWS {
        assert!(!row.kinds.is_empty(), "{}", row.key);
        let known = |kind: &&str| KINDS.iter().any(|known| known.name == *kind);
        assert!(row.kinds.iter().all(known), "{}", row.key);
    }
    for record in each_kind() {
        let kind = record.request.name();
        for row in ROWS.iter().filter(|row| !row.key.starts_with("state")) {
            let takes = ROWS
                .iter()
                .any(|o| o.key == row.key && o.kinds.contains(&kind));
            let body = json!({ row.key: good(row.form) });
            let expected = match takes {
                true => None,
                false => Some(format!("The following keys are not allowed: {}", row.key)),
            };
            assert_eq!(read(&record, &body).err(), expected, "{kind}");
        }
    }
}

#[test]
fn a_value_that_is_taken_is_one_of_the_facts_or_has_no_effect() {
    // What these say is kept elsewhere, or is nothing in the reference either.
    let silent = [
        "bundles",
        "bundle_replacements",
        "fbc_fragments",
        "l",
        "a",
        "b",
        "e",
        "s",
    ];
    for row in ROWS.iter().filter(|row| !row.key.starts_with("state")) {
        let kind = row.kinds[0];
        let mut record = each_kind()
            .into_iter()
            .find(|r| r.request.name() == kind)
            .unwrap();
        let before = record.clone();
        let patch = read(&record, &json!({ row.key: good(row.form) })).unwrap();
        patch.apply(&mut record, at(1)).unwrap();
        let moved = row.key == "from_bundle_image_resolved" && kind != REGENERATE;
        match row.key {
            "bundle_mapping" => {
                let operators = Operators::from([("r.example/a:1".to_owned(), "op".to_owned())]);
                assert_eq!((record, patch.operators()), (before, &operators));
            }
            key if silent.contains(&key) || moved => assert_eq!(record, before, "{key}"),
            key => {
                let facts = serde_json::to_value(&record.facts).unwrap();
                assert_eq!(facts[key], good(row.form), "{key}");
            }
        }
    }
}

/// Keys, values in the order of the body, state and reason, the state, its end, images.
#[test]
fn of_several_faults_the_first_in_the_order_of_the_reference_is_told() {
    let mut ended = record(AddRequest::default());
    ended.fail("no", at(1));
    for (body, told) in [
        (
            r#"{"b": 1, "a": 1, "state": ""}"#,
            "The following keys are not allowed: a, b",
        ),
        (
            r#"{"index_image": "", "arches": "x", "state": "x"}"#,
            "The value for \"index_image\" must be a non-empty string",
        ),
        (
            r#"{"arches": "x", "index_image": "", "state": "x"}"#,
            "Architectures should be specified as a non-empty array of strings",
        ),
        (
            r#"{"state": "x", "index_image": "untagged"}"#,
            "The \"state_reason\" key is required when \"state\" is supplied",
        ),
        (
            r#"{"state_reason": "x", "index_image": "untagged"}"#,
            "The \"state\" key is required when \"state_reason\" is supplied",
        ),
        (
            r#"{"state": "x", "state_reason": "x", "index_image": "untagged"}"#,
            "x is not a valid build request state. Valid states are: complete, failed, in_progress",
        ),
        (
            r#"{"state": "complete", "state_reason": "x", "index_image": "untagged"}"#,
            "A failed request cannot change states",
        ),
        (
            r#"{"state": "failed", "state_reason": "x", "index_image": "untagged"}"#,
            "Image untagged should have a tag or a digest specified.",
        ),
        (
            r#"{"index_image": "a:1\u0000"}"#,
            "\"index_image\" has the image \"a:1\\0\", in which there are spaces or control characters: write its pull spec and nothing more",
        ),
        (
            r#"{"index_image": "second", "binary_image": "first"}"#,
            "Image first should have a tag or a digest specified.",
        ),
        (
            r#"{"bundle_mapping": {"op": [""]}}"#,
            "Image  should have a tag or a digest specified.",
        ),
        (
            r#"{"omps_operator_version": "{"}"#,
            "The value for \"omps_operator_version\" must be a string that holds JSON",
        ),
    ] {
        let refused = Patch::read(&members(body), &ended).unwrap_err();
        assert_eq!(
            (refused.to_string().as_str(), refused.status()),
            (told, 400),
            "{body}"
        );
    }
    assert!(members("{}").check_some().is_err());
}

#[test]
fn a_name_that_comes_twice_has_its_last_value_in_its_first_place() {
    let twice = members(r#"{"arches": ["a"], "index_image": "", "arches": "x"}"#);
    let refused = Patch::read(&twice, &record(AddRequest::default())).unwrap_err();
    assert!(
        refused.to_string().starts_with("Architectures"),
        "{refused}"
    );
    assert!(serde_json::from_str::<Members>("[]").is_err());
}

#[test]
fn a_final_state_ends_the_work_and_is_not_left() {
    let mut record = record(AddRequest::default());
    let to = |record: &mut Record, state: &str, reason: &str, second| {
        let patch = read(record, &json!({"state": state, "state_reason": reason}))?;
        patch
            .apply(record, at(second))
            .map_err(|refused| refused.to_string())
    };
    to(&mut record, "in_progress", "here", 1).unwrap();
    // The same again is another entry.
    to(&mut record, "in_progress", "here", 2).unwrap();
    assert_eq!(
        (record.history.len(), record.work.stage),
        (3, Stage::Queued)
    );
    to(&mut record, "complete", "done", 3).unwrap();
    assert_eq!(
        (record.state(), record.work.stage),
        (State::Complete, Stage::Done)
    );
    to(&mut record, "complete", "done well", 4).unwrap();
    let refused = to(&mut record, "in_progress", "again", 5).unwrap_err();
    assert_eq!(refused, "A complete request cannot change states");
    assert_eq!(
        (record.history.len(), record.state_reason()),
        (5, "done well")
    );
    // One that has ended between the reading and the change is looked at again.
    let patch = read(
        &each_kind()[0],
        &json!({"state": "failed", "state_reason": "x"}),
    )
    .unwrap();
    let before = record.clone();
    let refused = patch.apply(&mut record, at(6)).unwrap_err();
    assert_eq!((refused.rule(), record), (Rule::FinalState, before));
}

#[test]
fn architectures_are_added_and_fragments_replaced() {
    let mut record = record(FbcOperations::default());
    for (body, arches, fragments) in [
        (
            json!({"arches": ["s390x"], "fbc_fragments_resolved": ["a:1", "b:1"]}),
            vec!["s390x"],
            2,
        ),
        (
            json!({"arches": ["amd64", "amd64"]}),
            vec!["amd64", "s390x"],
            2,
        ),
        (
            json!({"arches": [], "fbc_fragments_resolved": []}),
            vec!["amd64", "s390x"],
            0,
        ),
    ] {
        read(&record, &body)
            .unwrap()
            .apply(&mut record, at(1))
            .unwrap();
        assert_eq!(record.facts.arches.as_deref().unwrap(), arches);
        assert_eq!(
            record.facts.fbc_fragments_resolved.as_ref().unwrap().len(),
            fragments
        );
    }
}
