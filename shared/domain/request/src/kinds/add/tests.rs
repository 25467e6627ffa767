use iib_oci::hosts::HostRules;
use serde_json::{Value, json};

use super::*;
use crate::{ApiSettings, BinaryImages, Scope, Unknown};

/// A payload nothing is wrong with.
fn good() -> Payload {
    object(json!({
        "bundles": ["r.example/op:1"],
        "from_index": "r.example/index:v4.6",
        "binary_image": "r.example/base:v4.6",
    }))
}

fn object(value: Value) -> Payload {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

/// The good payload with these members put over it and those of `drop` taken away.
fn with(members: Value, drop: &[&str]) -> Payload {
    let mut payload = good();
    payload.extend(object(members));
    for name in drop {
        payload.remove(*name);
    }
    payload
}

fn settings() -> ApiSettings {
    ApiSettings {
        graph_mode_index_allow_list: vec![
            "r.example/index".to_owned(),
            "r.example/pinned:v1".to_owned(),
        ],
        ..ApiSettings::default()
    }
}

fn read(payload: &Payload) -> Result<AddRequest, Refusal> {
    read_of(payload, None)
}

fn read_of(payload: &Payload, user: Option<&str>) -> Result<AddRequest, Refusal> {
    let context = ReadContext {
        api: &settings(),
        binary_images: &BinaryImages::new(),
        hosts: &HostRules::default(),
        user,
    };
    AddRequest::read(payload, &context)
}

const STRINGS: &str = "should be either an empty array or an array of non-empty strings";
const GRAPH_INDEX: &str = "\"graph_update_mode\" can only be used on the following index image: ['r.example/index', 'r.example/pinned:v1']";

#[test]
fn what_is_wrong_with_one_parameter_is_told_in_the_words_of_the_reference() {
    let strings = |name: &str| format!("\"{name}\" {STRINGS}");
    let cases: Vec<(Value, &[&str], u16, String)> = vec![
        (json!({"bundles": "x"}), &[], 400, strings("bundles")),
        (json!({"bundles": null}), &[], 400, strings("bundles")),
        (json!({"bundles": {"a": 1}}), &[], 400, strings("bundles")),
        (json!({"bundles": [""]}), &[], 400, strings("bundles")),
        (json!({"bundles": ["a:1", 7]}), &[], 400, strings("bundles")),
        (json!({"bundles": [["a:1"]]}), &[], 400, strings("bundles")),
        (json!({"deprecation_list": "x"}), &[], 400, strings("deprecation_list")),
        (json!({"deprecation_list": null}), &[], 400, strings("deprecation_list")),
        (
            json!({}),
            &["bundles", "from_index"],
            400,
            "\"from_index\" must be specified if no bundles are specified".into(),
        ),
        (
            json!({"bundles": [], "from_index": ""}),
            &[],
            400,
            "\"from_index\" must be specified if no bundles are specified".into(),
        ),
        (
            json!({"check_related_images": true}),
            &["bundles"],
            400,
            "\"check_related_images\" must be specified only when bundles are specified".into(),
        ),
        (
            json!({"check_related_images": null}),
            &[],
            400,
            "The \"check_related_images\" parameter must be a boolean".into(),
        ),
        (json!({"cnr_token": 1}), &[], 400, "\"cnr_token\" must be a string".into()),
        (json!({"cnr_token": null}), &[], 400, "\"cnr_token\" must be a string".into()),
        (json!({"organization": ["x"]}), &[], 400, "\"organization\" must be a string".into()),
        (
            json!({"graph_update_mode": true}),
            &[],
            400,
            "\"graph_update_mode\" must be a string".into(),
        ),
        (
            json!({"graph_update_mode": "SEMVER"}),
            &[],
            400,
            "\"graph_update_mode\" must be set to one of these: ['replaces', 'semver', 'semver-skippatch']".into(),
        ),
        (
            json!({"graph_update_mode": "semver", "from_index": "r.example/pinned:v2"}),
            &[],
            403,
            GRAPH_INDEX.into(),
        ),
        (
            json!({"graph_update_mode": "semver", "add_arches": ["amd64"]}),
            &["from_index"],
            403,
            GRAPH_INDEX.into(),
        ),
        (json!({"force_backport": "true"}), &[], 400, "\"force_backport\" must be a boolean".into()),
        (json!({"force_backport": null}), &[], 400, "\"force_backport\" must be a boolean".into()),
        (
            json!({"zeta": 1, "alpha": null}),
            &[],
            400,
            "The following parameters are invalid: alpha, zeta".into(),
        ),
        (
            json!({"output_fbc": true}),
            &[],
            400,
            "The following parameters are invalid: output_fbc".into(),
        ),
        (
            json!({"from_index": "", "add_arches": []}),
            &[],
            400,
            "One of \"from_index\" or \"add_arches\" must be specified".into(),
        ),
        (
            json!({"overwrite_from_index": 1}),
            &[],
            400,
            "The \"overwrite_from_index\" parameter must be a boolean".into(),
        ),
        (
            json!({"overwrite_from_index": true, "overwrite_from_index_token": 5}),
            &[],
            400,
            "The \"overwrite_from_index_token\" parameter must be a string".into(),
        ),
        (
            json!({"overwrite_from_index": false, "overwrite_from_index_token": "u:p"}),
            &[],
            400,
            "The \"overwrite_from_index\" parameter is required when the \"overwrite_from_index_token\" parameter is used".into(),
        ),
        (
            json!({"distribution_scope": "qa"}),
            &[],
            400,
            "The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"".into(),
        ),
        (
            json!({"distribution_scope": 4}),
            &[],
            400,
            "The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"".into(),
        ),
        (
            json!({"add_arches": "amd64"}),
            &[],
            400,
            "Architectures should be specified as a non-empty array of strings".into(),
        ),
        (
            json!({"add_arches": ["amd64", ""]}),
            &[],
            400,
            "Architectures should be specified as a non-empty array of strings".into(),
        ),
        (
            json!({"add_arches": ["amd64/v8"]}),
            &[],
            400,
            "\"add_arches\" cannot be used: `amd64/v8` is not the name of an architecture: use letters, digits, `_`, at most 32 of them".into(),
        ),
        (json!({"binary_image": 9}), &[], 400, "The \"binary_image\" value must be a string".into()),
        (
            json!({"binary_image": false}),
            &[],
            400,
            "The \"binary_image\" value must be a string".into(),
        ),
        (
            json!({}),
            &["binary_image"],
            400,
            "The \"binary_image\" value must be a non-empty string".into(),
        ),
        (
            json!({"binary_image": null}),
            &[],
            400,
            "The \"binary_image\" value must be a non-empty string".into(),
        ),
        (
            json!({"binary_image": "r.example/base"}),
            &[],
            400,
            "Image r.example/base should have a tag or a digest specified.".into(),
        ),
        (json!({"from_index": 15}), &[], 400, "\"from_index\" must be a string".into()),
        (
            json!({"from_index": "r.example/index"}),
            &[],
            400,
            "Image r.example/index should have a tag or a digest specified.".into(),
        ),
        (json!({"build_tags": "ab"}), &[], 400, strings("build_tags")),
        (json!({"build_tags": 8}), &[], 400, strings("build_tags")),
        (
            json!({"build_tags": ["v1", "a b"]}),
            &[],
            400,
            "\"build_tags\" cannot hold `a b`: a tag is at most 128 letters, digits and . _ -, and does not begin with . or -".into(),
        ),
        (
            json!({"bundles": ["r.example/op"]}),
            &[],
            400,
            "Image r.example/op should have a tag or a digest specified.".into(),
        ),
        (
            json!({"deprecation_list": ["r.example/old"]}),
            &[],
            400,
            "Image r.example/old should have a tag or a digest specified.".into(),
        ),
    ];
    for (members, drop, status, text) in cases {
        let refusal = read(&with(members.clone(), drop)).expect_err(&members.to_string());
        assert_eq!(
            (refusal.status(), refusal.to_string()),
            (status, text),
            "{members}"
        );
    }
}

#[test]
fn of_several_faults_the_first_in_the_order_of_the_reference_is_told() {
    // Each payload holds one fault and all that come after it.
    let faults = [
        (json!({"bundles": 1}), Rule::Type, Some("bundles")),
        (
            json!({"deprecation_list": 1}),
            Rule::Type,
            Some("deprecation_list"),
        ),
        (
            json!({"check_related_images": 1}),
            Rule::Type,
            Some("check_related_images"),
        ),
        (json!({"cnr_token": 1}), Rule::Type, Some("cnr_token")),
        (
            json!({"graph_update_mode": 1}),
            Rule::Type,
            Some("graph_update_mode"),
        ),
        (json!({"organization": 1}), Rule::Type, Some("organization")),
        (
            json!({"force_backport": 1}),
            Rule::Type,
            Some("force_backport"),
        ),
        (json!({"unknown": 1}), Rule::UnknownParameter, None),
        (
            json!({"overwrite_from_index": 1}),
            Rule::Type,
            Some("overwrite_from_index"),
        ),
        (
            json!({"overwrite_from_index_token": 1}),
            Rule::Type,
            Some("overwrite_from_index_token"),
        ),
        (
            json!({"distribution_scope": "x"}),
            Rule::Choice,
            Some("distribution_scope"),
        ),
        (json!({"add_arches": "x"}), Rule::Type, Some("add_arches")),
        (json!({"binary_image": 1}), Rule::Type, Some("binary_image")),
        (json!({"from_index": 1}), Rule::Type, Some("from_index")),
        (json!({"build_tags": 1}), Rule::Type, Some("build_tags")),
        (json!({"deprecation_list": ["late"]}), Rule::Image, None),
    ];
    for (n, (first, rule, field)) in faults.iter().enumerate() {
        let mut payload = good();
        for (later, ..) in faults[n..].iter().rev() {
            payload.extend(object(later.clone()));
        }
        let refused = read(&payload).unwrap_err();
        assert_eq!(
            (refused.rule(), refused.field()),
            (*rule, *field),
            "{first}"
        );
    }
}

#[test]
fn a_known_user_needs_a_token_to_overwrite() {
    let bare = with(
        json!({"overwrite_from_index": true, "add_arches": "x"}),
        &[],
    );
    let refusal = read_of(&bare, Some("ann")).unwrap_err();
    assert_eq!(refusal.status(), 403);
    assert_eq!(
        refusal.to_string(),
        "You must set \"overwrite_from_index_token\" to use \"overwrite_from_index\""
    );
    assert_eq!(read(&bare).unwrap_err().field(), Some("add_arches"));
    let token = json!({"overwrite_from_index": true, "overwrite_from_index_token": "u:p"});
    assert!(
        read_of(&with(token, &[]), Some("ann"))
            .unwrap()
            .overwrite_from_index
    );
}

#[test]
fn the_binary_image_may_be_left_out_where_the_settings_have_some() {
    let images = BinaryImages::from([("prod".to_owned(), [].into())]);
    for payload in [
        with(json!({}), &["binary_image"]),
        with(json!({"binary_image": ""}), &[]),
    ] {
        let context = ReadContext {
            api: &settings(),
            binary_images: &images,
            hosts: &HostRules::default(),
            user: None,
        };
        let request = AddRequest::read(&payload, &context).unwrap();
        assert_eq!(request.binary_image, None);
    }
}

#[test]
fn values_are_kept_as_sent_and_repeats_dropped() {
    let payload = with(
        json!({
            "bundles": ["r.example/b:1", "r.example/a:1", "r.example/b:1"],
            "deprecation_list": ["r.example/z:1", "r.example/y:1", "r.example/z:1"],
            "add_arches": ["arm64", "amd64"],
            "distribution_scope": "StAge",
            "build_tags": ["v4.15-z", "v4.15-a", "v4.15-z"],
            "check_related_images": false,
            "cnr_token": "secret",
            "force_backport": true,
            "graph_update_mode": "semver",
            "organization": "acme",
            "overwrite_from_index": true,
            "overwrite_from_index_token": "u:p",
        }),
        &[],
    );
    let expected = AddRequest {
        bundles: vec!["r.example/b:1".to_owned(), "r.example/a:1".to_owned()],
        from_index: Some("r.example/index:v4.6".to_owned()),
        binary_image: Some("r.example/base:v4.6".to_owned()),
        add_arches: vec!["arm64".to_owned(), "amd64".to_owned()],
        distribution_scope: Some(Scope::Stage),
        build_tags: vec!["v4.15-a".to_owned(), "v4.15-z".to_owned()],
        deprecation_list: vec!["r.example/z:1".to_owned(), "r.example/y:1".to_owned()],
        check_related_images: Some(false),
        graph_update_mode: Some("semver".to_owned()),
        organization: Some("acme".to_owned()),
        overwrite_from_index: true,
        output_format: None,
        unknown: Unknown::default(),
    };
    let request = read(&payload).unwrap();
    assert_eq!(request, expected);
    let stored = serde_json::to_string(&request).unwrap();
    assert!(
        !stored.contains("secret") && !stored.contains("u:p"),
        "{stored}"
    );
}

#[test]
fn empty_values_count_as_not_given() {
    let empty = |value: Value| {
        let mut members = json!({});
        for name in [
            "distribution_scope",
            "build_tags",
            "add_arches",
            "overwrite_from_index",
            "overwrite_from_index_token",
        ] {
            members[name] = value.clone();
        }
        members
    };
    let plain = read(&good()).unwrap();
    for value in [json!(null), json!(""), json!(0), json!([]), json!({})] {
        assert_eq!(
            read(&with(empty(value.clone()), &[])),
            Ok(plain.clone()),
            "{value}"
        );
    }
    let own = json!({"graph_update_mode": "", "organization": "", "cnr_token": ""});
    assert_eq!(read(&with(own, &[])), Ok(plain));
}

#[test]
fn a_graph_mode_is_allowed_for_listed_indexes_with_or_without_their_tag() {
    for index in ["r.example/index:v9", "r.example/pinned:v1"] {
        let members = json!({"graph_update_mode": "semver-skippatch", "from_index": index});
        let request = read(&with(members, &[])).unwrap();
        assert_eq!(
            request.graph_update_mode.as_deref(),
            Some("semver-skippatch"),
            "{index}"
        );
    }
    let context = ReadContext {
        api: &ApiSettings::default(),
        binary_images: &BinaryImages::new(),
        hosts: &HostRules::default(),
        user: None,
    };
    let payload = with(json!({"graph_update_mode": "semver"}), &[]);
    let refused = AddRequest::read(&payload, &context);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "\"graph_update_mode\" can only be used on the following index image: []"
    );
}

#[test]
fn tags_are_what_registries_take() {
    for tag in [
        "a",
        "v4.15-z",
        "2024-07",
        "v41",
        "41-a",
        "4.15",
        "41-amd64-x",
    ] {
        assert!(
            read(&with(json!({"build_tags": [tag]}), &[])).is_ok(),
            "{tag}"
        );
    }
    for tag in [".a", "a:b"] {
        let refused = read(&with(json!({"build_tags": [tag]}), &[]));
        assert_eq!(refused.unwrap_err().rule(), Rule::Tag);
    }
    for tag in ["41", "0", "007", "41-amd64", "7-s390x", "41-sparc64"] {
        let refused = read(&with(json!({"build_tags": ["v1", tag]}), &[]));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("are the tags of requests"), "{text}");
    }
}
