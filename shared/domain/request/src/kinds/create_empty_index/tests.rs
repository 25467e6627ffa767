use iib_oci::hosts::HostRules;
use serde_json::json;

use super::*;
use crate::{ApiSettings, BinaryImages};

fn read(members: &Value) -> Result<CreateEmptyIndex, Refusal> {
    let mut payload = json!({
        "from_index": "r.example/index:v4.6",
        "binary_image": "r.example/base:v4.6",
    });
    let payload = payload.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value.as_str() {
            Some("<absent>") => payload.remove(name),
            _ => payload.insert(name.clone(), value.clone()),
        };
    }
    let context = ReadContext {
        api: &ApiSettings::default(),
        binary_images: &BinaryImages::new(),
        hosts: &HostRules::default(),
        user: Some("ann"),
    };
    CreateEmptyIndex::read(payload, &context)
}

/// Each case has one fault and, put over it, those that come after it.
#[test]
fn of_several_faults_the_first_in_the_order_of_the_reference_is_told() {
    let names = "The following parameters are invalid: build-tags, bundles";
    let faults = [
        (
            json!({"from_index": 3}),
            "\"from_index\" must be a non-empty string",
        ),
        (
            json!({"output_fbc": "yes"}),
            "\"output_fbc\" should be boolean",
        ),
        (
            json!({"labels": {"a": "b", "version": null}}),
            "The key and value of \"version\" must be a string",
        ),
        (
            json!({"add_arches": null}),
            "The \"add_arches\" arg is invalid for the create-empty-index endpoint.",
        ),
        (
            json!({"overwrite_from_index": false}),
            "The \"overwrite_from_index\" arg is invalid for the create-empty-index endpoint.",
        ),
        (
            json!({"overwrite_from_index_token": 1}),
            "The \"overwrite_from_index_token\" arg is invalid for the create-empty-index endpoint.",
        ),
        (
            json!({"build_tags": []}),
            "The \"build_tags\" arg is invalid for the create-empty-index endpoint.",
        ),
        (json!({"bundles": [], "build-tags": 1}), names),
        (
            json!({"distribution_scope": "x"}),
            "The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"",
        ),
        (
            json!({"binary_image": 1.5}),
            "The \"binary_image\" value must be a string",
        ),
        (
            json!({"from_index": "untagged"}),
            "Image untagged should have a tag or a digest specified.",
        ),
    ];
    for n in 0..faults.len() {
        let mut members = json!({});
        for (later, _) in faults[n..].iter().rev() {
            let later = later.as_object().unwrap().clone();
            members.as_object_mut().unwrap().extend(later);
        }
        let refused = read(&members).unwrap_err();
        let (status, text) = (refused.status(), refused.to_string());
        assert_eq!((status, text.as_str()), (400, faults[n].1));
    }
}

#[test]
fn nothing_where_something_has_to_be() {
    for (members, text) in [
        (
            json!({"from_index": null}),
            "\"from_index\" must be a specified",
        ),
        (
            json!({"from_index": "<absent>"}),
            "\"from_index\" must be a specified",
        ),
        (
            json!({"from_index": ""}),
            "\"from_index\" must be a non-empty string",
        ),
        (
            json!({"labels": {"operators.operatorframework.io.index.configs.v1": "/evil"}}),
            "\"labels\" must not have \"operators.operatorframework.io.index.configs.v1\": the service says there where the new index has its content",
        ),
        (
            json!({"labels": []}),
            "The value of \"labels\" must be a JSON object",
        ),
        (
            json!({"binary_image": "<absent>"}),
            "The \"binary_image\" value must be a non-empty string",
        ),
    ] {
        assert_eq!(read(&members).unwrap_err().to_string(), text);
    }
}

#[test]
fn what_is_sent_is_kept_and_nothing_is_none() {
    let plain = read(&json!({})).unwrap();
    assert_eq!((&plain.labels, plain.output_fbc), (&None, None));
    for nothing in [
        json!({"labels": {}}),
        json!({"labels": null, "output_fbc": null}),
    ] {
        assert_eq!(read(&nothing).unwrap(), plain);
    }
    let full = json!({
        "labels": {"version": "v4.15", "a": ""},
        "output_fbc": false,
        "distribution_scope": "Dev",
    });
    let full = read(&full).unwrap();
    assert_eq!(full.distribution_scope, Some(Scope::Dev));
    assert_eq!(
        (full.labels.unwrap().len(), full.output_fbc),
        (2, Some(false))
    );
    assert_eq!(full.unknown, Unknown::default());
}
