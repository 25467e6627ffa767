use serde_json::json;

use super::*;

fn parse(document: &Value) -> Result<ImageConfig, ConfigError> {
    ImageConfig::read(document.to_string().as_bytes())
}

fn diff_id(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

/// A binary image like those of the recorded requests, with what older builders leave behind.
fn base() -> Value {
    json!({
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "author": "somebody",
        "created": "2023-03-01T12:00:00Z",
        "docker_version": "1.13.1",
        "container": "f00",
        "container_config": {"Hostname": "f00"},
        "id": "f00",
        "parent": "ba5e",
        "config": {
            "Cmd": ["bash"],
            "Env": ["PATH=/usr/bin:/bin", "E2E=1"],
            "ExposedPorts": {"8080/tcp": {}},
            "Image": "sha256:ba5e",
            "Labels": {"architecture": "aarch64", "name": "e2e/opm", "version": "v4.6"},
            "User": "1001",
            "WorkingDir": "/"
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id("1"), diff_id("2")]},
        "history": [{"created_by": "base 1"}, {"created_by": "base 2"}],
        "x-unknown": {"kept": true}
    })
}

fn edit() -> ConfigEdit {
    let labels = [
        (
            "operators.operatorframework.io.index.database.v1",
            "/database/index.db",
        ),
        ("com.redhat.index.delivery.version", "v4.5"),
        ("version", "own"),
    ];
    ConfigEdit {
        diff_id: diff_id("3"),
        layer_content: "/database/index.db".to_owned(),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        run: Some(RunSettings::serve_database()),
        created: "1970-01-01T00:00:01Z".parse().unwrap(),
    }
}

#[test]
fn what_is_asked_for_is_read() {
    let config = parse(&base()).unwrap();
    assert_eq!(config.architecture(), Some("arm64"));
    assert_eq!(config.variant(), Some("v8"));
    assert_eq!(config.os(), Some("linux"));
    assert_eq!(config.labels()["name"], "e2e/opm");
    assert_eq!(config.diff_ids(), [diff_id("1"), diff_id("2")]);
}

#[test]
fn absent_and_null_fields_are_empty() {
    for document in [
        json!({}),
        json!({"config": null, "rootfs": null, "history": null}),
        json!({"config": {"Labels": null}, "rootfs": {"diff_ids": null}}),
    ] {
        let config = parse(&document).unwrap();
        assert!(config.labels().is_empty() && config.diff_ids().is_empty());
        assert_eq!(config.architecture(), None);
        assert!(config.with_layer(0, &edit()).is_ok());
    }
}

#[test]
fn documents_that_are_no_configuration_are_refused_by_field() {
    for (document, expected) in [
        (json!([]), "JSON object"),
        (json!({"architecture": 1}), "`architecture`"),
        (json!({"config": []}), "`config`"),
        (json!({"config": {"Labels": []}}), "`config.Labels`"),
        (json!({"config": {"Labels": {"a": 1}}}), "label `a`"),
        (
            json!({"config": {"ExposedPorts": []}}),
            "`config.ExposedPorts`",
        ),
        (json!({"rootfs": 1}), "`rootfs`"),
        (json!({"rootfs": {"diff_ids": {}}}), "`rootfs.diff_ids`"),
        (json!({"rootfs": {"diff_ids": [1]}}), "`rootfs.diff_ids`"),
        (
            json!({"rootfs": {"diff_ids": ["x"]}}),
            "`rootfs.diff_ids[0]`",
        ),
        (json!({"history": {}}), "`history`"),
    ] {
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(expected), "{document}: {error}");
    }
    let large = vec![b' '; CONFIG_LIMIT + 1];
    assert!(matches!(
        ImageConfig::read(&large),
        Err(ConfigError::TooLarge { .. })
    ));
}

#[test]
fn an_index_image_has_what_the_reference_gives_it_and_keeps_the_rest() {
    let derived = parse(&base()).unwrap().with_layer(2, &edit()).unwrap();
    let epoch = "1970-01-01T00:00:01Z";
    let expected = json!({
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "author": "somebody",
        "created": epoch,
        "config": {
            "Cmd": ["registry", "serve", "--database", "/database/index.db"],
            "Entrypoint": ["/bin/opm"],
            "Env": ["PATH=/usr/bin:/bin", "E2E=1"],
            "ExposedPorts": {"50051/tcp": {}, "8080/tcp": {}},
            "Labels": {
                "architecture": "aarch64",
                "com.redhat.index.delivery.version": "v4.5",
                "name": "e2e/opm",
                "operators.operatorframework.io.index.database.v1": "/database/index.db",
                "version": "own"
            },
            "User": "1001",
            "WorkingDir": "/"
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id("1"), diff_id("2"), diff_id("3")]},
        "history": [
            {"created_by": "base 1"},
            {"created_by": "base 2"},
            {
                "created": epoch,
                "created_by": "iib-serverless: set label com.redhat.index.delivery.version, \
                    label operators.operatorframework.io.index.database.v1, label version, \
                    entry point, arguments and port",
                "empty_layer": true
            },
            {"created": epoch, "created_by": "iib-serverless: add /database/index.db"}
        ],
        "x-unknown": {"kept": true}
    });
    assert_eq!(Value::Object(derived.document().clone()), expected);
    assert_eq!(derived.labels()["version"], "own");
    assert_eq!(derived.diff_ids().len(), 3);
}

#[test]
fn an_image_that_only_gets_a_layer_is_run_like_its_base() {
    let plain = ConfigEdit {
        labels: BTreeMap::new(),
        run: None,
        ..edit()
    };
    let derived = parse(&base()).unwrap().with_layer(2, &plain).unwrap();
    let run = &derived.document()["config"];
    assert_eq!(run["Cmd"], json!(["bash"]));
    assert_eq!(run.get("Entrypoint"), None);
    assert_eq!(derived.document()["history"].as_array().unwrap().len(), 3);
}

#[test]
fn an_index_on_scratch_is_complete_by_itself() {
    let arch: Arch = "amd64".parse().unwrap();
    let derived = ImageConfig::scratch(&arch).with_layer(0, &edit()).unwrap();
    let again = ImageConfig::read(&derived.to_bytes().unwrap()).unwrap();
    assert_eq!(again, derived);
    assert_eq!(again.architecture(), Some("amd64"));
    assert_eq!(again.os(), Some("linux"));
    assert_eq!(again.diff_ids(), [diff_id("3")]);
}

#[test]
fn a_base_whose_layers_do_not_fit_its_configuration_is_refused() {
    let config = parse(&base()).unwrap();
    for layers in [0, 1, 3] {
        assert!(matches!(
            config.with_layer(layers, &edit()),
            Err(ConfigError::LayerCount { diff_ids: 2, layers: l }) if l == layers
        ));
    }
}

#[test]
fn a_base_with_triggers_is_refused_and_an_empty_list_of_them_is_not() {
    for (triggers, refused) in [
        (json!(["RUN x"]), true),
        (json!([]), false),
        (json!(null), false),
    ] {
        let mut document = base();
        document["config"]["OnBuild"] = triggers;
        let result = parse(&document).unwrap().with_layer(2, &edit());
        assert_eq!(matches!(result, Err(ConfigError::OnBuild)), refused);
    }
}

#[test]
fn equal_configurations_have_equal_bytes_whatever_the_order_of_names() {
    let one = ImageConfig::read(br#"{"os":"linux","config":{"b":1,"a":2},"architecture":"amd64"}"#);
    let two = ImageConfig::read(br#"{"architecture":"amd64","config":{"a":2,"b":1},"os":"linux"}"#);
    let bytes = one.unwrap().to_bytes().unwrap();
    assert_eq!(bytes, two.unwrap().to_bytes().unwrap());
    assert_eq!(
        bytes,
        br#"{"architecture":"amd64","config":{"a":2,"b":1},"os":"linux"}"#
    );
}

#[test]
fn a_layer_of_ours_can_be_taken_off_again_and_no_other() {
    let base = parse(&base()).unwrap();
    let content = edit().layer_content;
    assert_eq!(base.without_layer(&content), None);
    let plain = ConfigEdit {
        labels: BTreeMap::new(),
        run: None,
        ..edit()
    };
    let once = base.with_layer(2, &plain).unwrap();
    assert_eq!(once.without_layer("/something/else"), None);
    let without = once.without_layer(&content).unwrap();
    assert_eq!(without.diff_ids(), base.diff_ids());
    assert_eq!(without.with_layer(2, &plain).unwrap(), once);
    // What was set stays set.
    let set = base.with_layer(2, &edit()).unwrap();
    let without = set.without_layer(&content).unwrap();
    assert_eq!(without.labels(), set.labels());
    assert_eq!(without.without_layer(&content), None);
}
