use serde_json::json;

use super::*;
use crate::{AddRequest, Facts, Request, Update};

const BUILDS: &str = "https://iib.example/api/v1/builds";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record() -> Record {
    let add = AddRequest {
        bundles: vec!["r.example/op:1".to_owned()],
        from_index: Some("r.example/index:v4.6".to_owned()),
        binary_image: Some("r.example/base:v4.6".to_owned()),
        distribution_scope: Some(Scope::Stage),
        build_tags: vec!["a".to_owned(), "b".to_owned()],
        ..AddRequest::default()
    };
    Record::new(
        RequestId(7),
        BatchId(5),
        Some("ann".to_owned()),
        Request::Add(add),
        at("2024-02-29T12:00:00Z"),
    )
}

fn shown(record: &Record, form: Form) -> Value {
    serde_json::to_value(View::new(record, form, BUILDS, &ApiSettings::default())).unwrap()
}

#[test]
fn a_new_request_shows_what_was_sent_and_null_for_the_rest() {
    assert_eq!(
        shown(&record(), Form::Verbose),
        json!({
            "arches": [],
            "batch": 5,
            "batch_annotations": null,
            "binary_image": "r.example/base:v4.6",
            "binary_image_resolved": null,
            "build_tags": ["a", "b"],
            "bundle_mapping": {},
            "bundles": ["r.example/op:1"],
            "check_related_images": null,
            "deprecation_list": [],
            "distribution_scope": "stage",
            "from_index": "r.example/index:v4.6",
            "from_index_resolved": null,
            "graph_update_mode": null,
            "id": 7,
            "index_image": null,
            "index_image_resolved": null,
            "internal_index_image_copy": null,
            "internal_index_image_copy_resolved": null,
            "logs": {
                "expiration": "2024-03-03T12:00:00Z",
                "url": "https://iib.example/api/v1/builds/7/logs",
            },
            "omps_operator_version": {},
            "organization": null,
            "removed_operators": [],
            "request_type": "add",
            "state": "in_progress",
            "state_history": [{
                "state": "in_progress",
                "state_reason": "The request was initiated",
                "updated": "2024-02-29T12:00:00Z",
            }],
            "state_reason": "The request was initiated",
            "updated": "2024-02-29T12:00:00Z",
            "user": "ann",
        })
    );
}

#[test]
fn the_short_form_leaves_out_three_fields() {
    let mut verbose = shown(&record(), Form::Verbose);
    for name in ["batch_annotations", "state_history", "logs"] {
        assert!(verbose.as_object_mut().unwrap().remove(name).is_some());
    }
    assert_eq!(shown(&record(), Form::Short), verbose);
}

#[test]
fn the_history_is_newest_first_and_results_are_shown() {
    let mut record = record();
    let update = Update::state(State::Complete, "done").with(Facts {
        arches: Some(vec!["s390x".parse().unwrap(), Arch::amd64()]),
        index_image: Some("r.example/built:7".to_owned()),
        bundle_mapping: Some([("op".to_owned(), vec!["r.example/op:1".to_owned()])].into()),
        ..Facts::default()
    });
    record.apply(&update, at("2024-02-29T12:00:01.5Z"));
    let view = shown(&record, Form::Verbose);
    assert_eq!(
        view["state_history"],
        json!([
            {"state": "complete", "state_reason": "done", "updated": "2024-02-29T12:00:01.500000Z"},
            {
                "state": "in_progress",
                "state_reason": "The request was initiated",
                "updated": "2024-02-29T12:00:00Z",
            },
        ])
    );
    assert_eq!(view["arches"], json!(["amd64", "s390x"]));
    assert_eq!(view["index_image"], json!("r.example/built:7"));
    assert_eq!(view["bundle_mapping"], json!({"op": ["r.example/op:1"]}));
    assert_eq!(
        view["logs"]["expiration"],
        json!("2024-03-03T12:00:01.500000Z")
    );
}

#[test]
fn times_have_six_digits_or_none() {
    let cases = [
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
        ("2024-02-29T12:00:00.000001Z", "2024-02-29T12:00:00.000001Z"),
        ("2024-02-29T12:00:00.120Z", "2024-02-29T12:00:00.120000Z"),
        // Less than a microsecond is not shown.
        ("2024-02-29T12:00:00.000000999Z", "2024-02-29T12:00:00Z"),
    ];
    for (given, expected) in cases {
        assert_eq!(time(at(given)), expected);
    }
}
