//! The checks of the kinds that share most of them: each case has one fault, and the faults of a kind
//! are in the order in which they are told.

use iib_oci::hosts::HostRules;
use serde_json::{Value, json};

use super::*;
use crate::{ApiSettings, BinaryImages, Rule};

/// Puts members over a good payload; `"<absent>"` takes one away.
fn over(good: &Value, members: &Value) -> Payload {
    let mut payload = good.as_object().unwrap().clone();
    for (name, value) in members.as_object().unwrap() {
        match value.as_str() {
            Some("<absent>") => payload.remove(name),
            _ => payload.insert(name.clone(), value.clone()),
        };
    }
    payload
}

fn read(kind: &str, payload: &Payload) -> Result<Request, Refusal> {
    let api = ApiSettings {
        graph_mode_index_allow_list: vec!["r.example/index".to_owned()],
        ..ApiSettings::default()
    };
    let context = ReadContext {
        api: &api,
        binary_images: &BinaryImages::new(),
        hosts: &HostRules::default(),
        user: None,
    };
    let row = KINDS.iter().find(|row| row.name == kind).unwrap();
    (row.read)(payload, &context)
}

/// Each fault by itself, and with all those after it, which are told later.
fn assert_told_in_order(kind: &str, good: &Value, faults: &[(Value, &str)]) {
    assert!(read(kind, good.as_object().unwrap()).is_ok(), "{kind}");
    let mut after = json!({});
    for (members, told) in faults.iter().rev() {
        let refused = read(kind, &over(good, members)).unwrap_err();
        assert_eq!(
            (refused.to_string().as_str(), refused.status()),
            (*told, 400),
            "{members}"
        );
        // A member that a later fault needs stays as that fault has it.
        let with_later = over(&json!(over(good, &after)), members);
        let refused = read(kind, &with_later).unwrap_err();
        assert_eq!(refused.to_string(), *told, "{kind} {members} over {after}");
        after = json!(over(&after, members));
    }
}

fn index() -> Value {
    json!({"from_index": "r.example/index:v4.6", "binary_image": "r.example/base:v4.6"})
}

fn good(own: &Value) -> Value {
    json!(over(&index(), own))
}

const NAMES: &str = "The following parameters are invalid: labels, zzz";

#[test]
fn rm_takes_operators_out_of_an_index() {
    let good = good(&json!({"operators": ["a", "b", "a"]}));
    assert_told_in_order(
        "rm",
        &good,
        &[
            (
                json!({"operators": [""]}),
                "\"operators\" should be a non-empty array of strings",
            ),
            (
                json!({"from_index": "<absent>"}),
                "Missing required parameter(s): from_index",
            ),
            (
                json!({"from_index": "r.example/index:v4.6", "labels": 1, "zzz": 1}),
                NAMES,
            ),
        ],
    );
    for operators in [
        json!(null),
        json!([]),
        json!("a"),
        json!({"a": 1}),
        json!([1]),
    ] {
        let refused = read("rm", &over(&good, &json!({ "operators": operators }))).unwrap_err();
        assert_eq!(refused.field(), Some("operators"));
    }
    let refused = read("rm", &over(&good, &json!({"from_index": ""}))).unwrap_err();
    assert_eq!(refused.to_string(), "\"from_index\" must be set");
    let Request::Rm(rm) = read("rm", good.as_object().unwrap()).unwrap() else {
        panic!("another kind");
    };
    assert_eq!(rm.operators, ["a", "b"]);
}

#[test]
fn bundles_are_regenerated_with_logins_of_their_own() {
    let good = json!({"from_bundle_image": "r.example/b:1"});
    assert_told_in_order(
        "regenerate-bundle",
        &good,
        &[
            (
                json!({"from_bundle_image": "<absent>"}),
                "Missing required parameter(s): from_bundle_image",
            ),
            (
                json!({"from_bundle_image": "r.example/b:1", "labels": 1, "zzz": 1}),
                NAMES,
            ),
            (
                json!({"labels": "<absent>", "zzz": "<absent>", "bundle_replacements": "x"}),
                "The value of \"bundle_replacements\" must be a JSON object",
            ),
            (
                json!({"bundle_replacements": {"a": 1}}),
                "The key and value of \"a\" must be a string",
            ),
            (
                json!({"bundle_replacements": {}, "organization": 1}),
                "\"organization\" must be a string",
            ),
            (
                json!({"organization": null, "from_bundle_image": 1}),
                "\"from_bundle_image\" must be a string",
            ),
            (
                json!({"from_bundle_image": "r.example/b:1", "registry_auths": "x"}),
                "\"registry_auths\" must be a dict",
            ),
            (
                json!({"from_bundle_image": "b", "registry_auths": null}),
                "Image b should have a tag or a digest specified.",
            ),
        ],
    );
    assert_told_in_order(
        "recursive-related-bundles",
        &json!({"parent_bundle_image": "r.example/b:1"}),
        &[
            (
                json!({"bundle_replacements": {}}),
                "The following parameters are invalid: bundle_replacements",
            ),
            (
                json!({"bundle_replacements": "<absent>", "parent_bundle_image": ["b:1"]}),
                "\"parent_bundle_image\" must be a string",
            ),
        ],
    );
}

#[test]
fn fragments_come_in_two_forms() {
    let newer =
        good(&json!({"fbc_fragments": ["r.example/f:1", "r.example/f:2", "r.example/f:1"]}));
    let older = good(&json!({"fbc_fragment": "r.example/f:1"}));
    let shape = |payload: &Payload| match read("fbc-operations", payload).unwrap() {
        Request::FbcOperations(fbc) => (fbc.fbc_fragments.len(), fbc.single),
        other => panic!("{other:?}"),
    };
    assert_eq!(shape(newer.as_object().unwrap()), (2, false));
    assert_eq!(shape(older.as_object().unwrap()), (1, true));
    // Null counts as not given.
    assert_eq!(
        shape(&over(&older, &json!({"fbc_fragments": null}))),
        (1, true)
    );
    let lists =
        "\"fbc_fragments\" should be either an empty array or an array of non-empty strings";
    assert_told_in_order(
        "fbc-operations",
        &newer,
        &[
            (
                json!({"fbc_fragment": "r.example/f:1", "fbc_fragments": ["r.example/f:2"]}),
                "Cannot provide both \"fbc_fragment\" and \"fbc_fragments\" parameters",
            ),
            (
                json!({"fbc_fragment": "<absent>", "fbc_fragments": null}),
                "Either \"fbc_fragment\" or \"fbc_fragments\" must be provided",
            ),
            (
                json!({"fbc_fragments": [], "from_index": "<absent>"}),
                "Missing required parameter(s): from_index",
            ),
            (
                json!({"from_index": "r.example/index:v4.6", "fbc_fragments": []}),
                "\"fbc_fragments\" must be set",
            ),
            (json!({"fbc_fragments": ["r.example/f:1", 2]}), lists),
            (
                json!({"fbc_fragments": ["f"], "binary_image": 1}),
                "The \"binary_image\" value must be a string",
            ),
            (
                json!({"fbc_fragments": ["f"], "binary_image": "r.example/base:v4.6"}),
                "Image f should have a tag or a digest specified.",
            ),
        ],
    );
    let refused = read(
        "fbc-operations",
        &over(&older, &json!({"fbc_fragment": ""})),
    )
    .unwrap_err();
    assert_eq!(refused.to_string(), lists);
}

#[test]
fn deprecations_are_a_json_text() {
    let good = good(&json!({"operator_package": "op", "deprecation_schema": "{\"a\":1}"}));
    assert_told_in_order(
        "add-deprecations",
        &good,
        &[
            (
                json!({"operator_package": 1}),
                "\"operator_package\" should be a non-empty string",
            ),
            (
                json!({"operator_package": "op", "deprecation_schema": {}}),
                "\"deprecation_schema\" should be a non-empty string",
            ),
            (
                json!({"deprecation_schema": "{"}),
                "\"deprecation_schema\" string should be valid JSON",
            ),
            (
                json!({"deprecation_schema": "{}", "labels": 1, "zzz": 1}),
                NAMES,
            ),
        ],
    );
}

#[test]
fn a_merge_is_checked_in_an_order_of_its_own() {
    let good = json!({
        "source_from_index": "r.example/index:v4.6", "target_index": "r.example/index:v4.7",
        "binary_image": "r.example/base:v4.6",
    });
    let source = "The \"source_from_index\" value must be a string";
    let lists = "\"build_tags\" should be either an empty array or an array of non-empty strings";
    assert_told_in_order(
        "merge-index-image",
        &good,
        &[
            (
                json!({"deprecation_list": null}),
                "The \"deprecation_list\" value should be an empty array or an array of strings",
            ),
            (
                json!({"deprecation_list": [], "source_from_index": ""}),
                source,
            ),
            (
                json!({"source_from_index": "r.example/index:v4.6", "graph_update_mode": 5}),
                "\"graph_update_mode\" must be set to one of these: ['replaces', 'semver', 'semver-skippatch']",
            ),
            (
                json!({"graph_update_mode": "", "target_index": 7}),
                "The \"target_index\" value must be a string",
            ),
            (
                json!({"target_index": null, "overwrite_target_index": null}),
                "The \"overwrite_target_index\" value must be a boolean",
            ),
            (
                json!({"overwrite_target_index": false, "overwrite_target_index_token": "u:t"}),
                "The \"overwrite_target_index\" value is required when the \"overwrite_target_index_token\" value is used",
            ),
            (
                json!({"overwrite_target_index": true, "overwrite_target_index_token": ""}),
                "The \"overwrite_target_index_token\" value is required when the \"overwrite_target_index\" value is set",
            ),
            (
                json!({"overwrite_target_index": false, "binary_image": {}}),
                "The \"binary_image\" value must be a string",
            ),
            (
                json!({"binary_image": ""}),
                "The \"binary_image\" value must be a non-empty string",
            ),
            (
                json!({"binary_image": "r.example/base:v4.6", "distribution_scope": 3}),
                "The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"",
            ),
            (
                json!({"distribution_scope": null, "build_tags": null}),
                lists,
            ),
            (
                json!({"build_tags": [], "ignore_bundle_ocp_version": "yes"}),
                "The \"ignore_bundle_ocp_version\" value must be a boolean",
            ),
            (
                json!({"ignore_bundle_ocp_version": null, "labels": 1, "zzz": 1}),
                NAMES,
            ),
        ],
    );
    let elsewhere = json!({"graph_update_mode": "semver", "target_index": "r.example/other:1"});
    let refused = read("merge-index-image", &over(&good, &elsewhere)).unwrap_err();
    assert_eq!((refused.rule(), refused.status()), (Rule::NotAllowed, 403));
}

/// A good payload of each kind that makes an index.
fn of_index_kinds() -> [(&'static str, Value); 6] {
    [
        ("add", good(&json!({"bundles": ["r.example/b:1"]}))),
        ("rm", good(&json!({"operators": ["a"]}))),
        (
            "merge-index-image",
            json!({"source_from_index": "r.example/index:v4.6", "binary_image": "r.example/base:v4.6"}),
        ),
        ("create-empty-index", good(&json!({}))),
        (
            "fbc-operations",
            good(&json!({"fbc_fragments": ["r.example/f:1"]})),
        ),
        (
            "add-deprecations",
            good(&json!({"operator_package": "op", "deprecation_schema": "{}"})),
        ),
    ]
}

#[test]
fn each_kind_that_makes_an_image_may_say_which_documents_it_has() {
    const NAME: &str = "output_format";
    for (kind, good) in of_index_kinds() {
        let of = |value: Value| read(kind, &over(&good, &json!({ NAME: value })));
        let plain = read(kind, good.as_object().unwrap()).unwrap();
        for value in [json!(null), json!(""), json!([]), json!(0)] {
            assert_eq!(of(value.clone()).as_ref(), Ok(&plain), "{kind} {value}");
        }
        for (value, asked) in [("docker", ImageFormat::Docker), ("oci", ImageFormat::Oci)] {
            let request = of(json!(value)).unwrap();
            assert_eq!(request.output_format(), Some(asked), "{kind}");
            // What an older version would pass over is none of its formats.
            let is_newer = request.format() == format::WITH_OUTPUT_FORMATS;
            assert_eq!(is_newer, asked == ImageFormat::Oci, "{kind}");
            let stored = serde_json::to_value(&request).unwrap();
            assert_eq!(stored[NAME], value, "{kind}");
            let again: Request = serde_json::from_value(stored).unwrap();
            assert_eq!(again, request);
        }
        assert!(plain.format() < format::WITH_OUTPUT_FORMATS, "{kind}");
        let stored = serde_json::to_value(&plain).unwrap();
        assert_eq!(stored.get(NAME), None, "{kind}");
        for value in [
            json!("OCI"),
            json!("v2s2"),
            json!(true),
            json!(false),
            json!(["oci"]),
        ] {
            let refused = of(value.clone()).unwrap_err();
            assert_eq!(
                (refused.to_string().as_str(), refused.field()),
                (
                    "The \"output_format\" value must be one of \"docker\" or \"oci\"",
                    Some(NAME)
                ),
                "{kind} {value}"
            );
        }
    }
    let bundle = json!({"from_bundle_image": "r.example/b:1", NAME: "oci"});
    let request = read("regenerate-bundle", bundle.as_object().unwrap()).unwrap();
    assert_eq!(request.output_format(), Some(ImageFormat::Oci));
    // Where no image is made there is nothing to say.
    let bundle = json!({"parent_bundle_image": "r.example/b:1", NAME: "oci"});
    let refused = read("recursive-related-bundles", bundle.as_object().unwrap()).unwrap_err();
    assert_eq!(refused.rule(), Rule::UnknownParameter);
}

#[test]
fn an_image_is_one_word_of_bounded_length() {
    let long = format!("r.example/{}:1", "a".repeat(1024));
    for (image, told) in [
        ("r.example/b:1\n", "control characters"),
        ("r.example/b: 1", "spaces"),
        ("r.example/b:1\u{0}", "control characters"),
        (&long, "at most 1024"),
    ] {
        let payload = json!({ "from_bundle_image": image });
        let refused = read("regenerate-bundle", payload.as_object().unwrap()).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("\"from_bundle_image\"") && text.contains(told),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text:?}");
    }
}

#[test]
fn a_package_has_a_name_of_bounded_length_that_can_be_shown() {
    let long = "a".repeat(254);
    for (name, told) in [
        ("lantern\u{1b}[31m", "control characters"),
        ("lantern\nfailed", "control characters"),
        ("lantern\0", "control characters"),
        (&long, "at most 253"),
    ] {
        let rm = json!({"operators": ["kettle", name], "from_index": "r.example/i:1"});
        let deprecations = json!({
            "operator_package": name, "deprecation_schema": "{}", "from_index": "r.example/i:1",
        });
        for (kind, field, payload) in [
            ("rm", "operators", rm),
            ("add-deprecations", "operator_package", deprecations),
        ] {
            let refused = read(kind, payload.as_object().unwrap()).unwrap_err();
            let text = refused.to_string();
            assert!(text.contains(field) && text.contains(told), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn examples_are_taken_and_say_nothing_that_is_not_described() {
    for kind in &KINDS {
        let example: Payload = serde_json::from_str(kind.example).unwrap();
        let read = read(kind.name, &example).unwrap();
        assert_eq!(read.name(), kind.name);
        for parameter in kind
            .parameters
            .iter()
            .filter(|parameter| parameter.is_required)
        {
            assert!(
                example.contains_key(parameter.name),
                "{}: {}",
                kind.name,
                parameter.name
            );
        }
    }
}

#[test]
fn what_is_a_secret_stands_beside_the_kind() {
    let secrets = KINDS
        .each_ref()
        .map(|kind| kind.parameters.secrets().collect::<Vec<_>>());
    let (index, bundle) = (["overwrite_from_index_token"], ["registry_auths"]);
    let merge = ["overwrite_target_index_token"];
    let expected: [&[&str]; 8] = [
        &index,
        &index,
        &bundle,
        &merge,
        // It overwrites nothing.
        &[],
        &bundle,
        &index,
        &index,
    ];
    assert_eq!(secrets, expected);
}

#[test]
fn the_reason_of_a_complete_request_tells_how_many_fragments_there_were() {
    let fbc = FbcOperations {
        fbc_fragments: vec![String::new(); 2],
        ..FbcOperations::default()
    };
    let text = "The 2 FBC fragment(s) were successfully added in the index image";
    assert_eq!(Request::from(fbc).closing(), text);
}
