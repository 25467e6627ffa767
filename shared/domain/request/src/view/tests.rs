use serde_json::{Value, json};

use super::*;
use crate::{AddRequest, Facts, FbcOperations, RegenerateBundle, Request, Scope, Update};

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
    shown_with(record, form, &Operators::new(), &ApiSettings::default())
}

fn shown_with(record: &Record, form: Form, operators: &Operators, settings: &ApiSettings) -> Value {
    let shown = Shown {
        record,
        operators,
        builds: BUILDS,
        ahead: None,
        settings,
    };
    serde_json::to_value(View::new(shown, form)).unwrap()
}

#[test]
fn documents_are_shown_only_where_they_were_asked_for() {
    let mut asked = record();
    let Request::Add(add) = &mut asked.request else {
        panic!("another kind")
    };
    add.output_format = Some(ImageFormat::Oci);
    let mut expected = shown(&record(), Form::Verbose);
    assert_eq!(expected.get("output_format"), None);
    expected["output_format"] = json!("oci");
    assert_eq!(shown(&asked, Form::Verbose), expected);
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
        arches: Some(vec!["s390x".to_owned(), "amd64".to_owned()]),
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

#[test]
fn operators_that_are_recorded_for_all_go_before_those_the_work_found() {
    let mut record = record();
    record.facts.bundle_mapping =
        Some([("found".to_owned(), vec!["r.example/op:1".to_owned()])].into());
    let mapping = |operators: &Operators| {
        let settings = ApiSettings::default();
        shown_with(&record, Form::Short, operators, &settings)["bundle_mapping"].clone()
    };
    let recorded = |bundle: &str| Operators::from([(bundle.to_owned(), "recorded".to_owned())]);
    assert_eq!(
        mapping(&recorded("r.example/other:1")),
        json!({"found": ["r.example/op:1"]})
    );
    assert_eq!(
        mapping(&recorded("r.example/op:1")),
        json!({"recorded": ["r.example/op:1"]})
    );
}

#[test]
fn documents_that_are_not_offered_are_not_shown() {
    let regenerate = Record::new(
        RequestId(7),
        BatchId(7),
        None,
        RegenerateBundle::default().into(),
        at("2024-02-29T12:00:00Z"),
    );
    for offered in [true, false] {
        let settings = ApiSettings {
            offer_logs: offered,
            offer_related_bundles: offered,
            ..ApiSettings::default()
        };
        let operators = Operators::new();
        let view = shown_with(&regenerate, Form::Verbose, &operators, &settings);
        for member in ["logs", "related_bundles"] {
            assert_eq!(view.get(member).is_some(), offered, "{member}");
        }
    }
}

#[test]
fn fragments_are_shown_in_the_form_they_came_in_until_a_worker_names_one() {
    let mut record = Record::new(
        RequestId(7),
        BatchId(7),
        None,
        FbcOperations {
            fbc_fragments: vec!["a:1".to_owned()],
            ..FbcOperations::default()
        }
        .into(),
        at("2024-02-29T12:00:00Z"),
    );
    record.facts.fbc_fragments_resolved = Some(vec!["a@sha256:1".to_owned()]);
    let members = |record: &Record| {
        let view = shown(record, Form::Short);
        let names = [
            "fbc_fragment",
            "fbc_fragment_resolved",
            "fbc_fragments",
            "fbc_fragments_resolved",
        ];
        names.map(|name| view[name].clone())
    };
    let newer = [
        json!(null),
        json!(null),
        json!(["a:1"]),
        json!(["a@sha256:1"]),
    ];
    assert_eq!(members(&record), newer);
    record.facts.fbc_fragment = Some("b:1".to_owned());
    let older = [json!("b:1"), json!("a@sha256:1"), json!([]), json!([])];
    assert_eq!(members(&record), older);
    record.facts.fbc_fragment_resolved = Some("b@sha256:1".to_owned());
    assert_eq!(members(&record)[1], json!("b@sha256:1"));
}
