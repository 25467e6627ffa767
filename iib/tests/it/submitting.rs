//! What the commands that ask for an index send to a service.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::process::run;

/// What a client sent.
struct Call {
    /// The line with method and path.
    first: String,
    /// The `Idempotency-Key`, or nothing.
    key: String,
    body: Vec<u8>,
}

impl Call {
    fn read(call: &TcpStream) -> Self {
        let mut reader = BufReader::new(call);
        let (mut first, mut key, mut size) = (String::new(), String::new(), 0);
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(length) = line.strip_prefix("content-length:") {
                size = length.trim().parse().unwrap();
            } else if let Some(sent) = line.strip_prefix("idempotency-key:") {
                key = sent.trim().to_owned();
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; size];
        reader.read_exact(&mut body).unwrap();
        Self { first, key, body }
    }
}

/// A service that takes in one request; gives its path and body.
fn service() -> (String, JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        let (mut call, _) = listener.accept().unwrap();
        let Call { first, body, .. } = Call::read(&call);
        let head = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
        call.write_all(format!("{head}{{\"id\":7}}").as_bytes())
            .unwrap();
        let path = first.split(' ').nth(1).unwrap().to_owned();
        (path, serde_json::from_slice(&body).unwrap())
    });
    (url, taken)
}

#[test]
fn the_words_of_each_command_are_the_parameters_of_its_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let login = file("login", "ann:pass:word\nmore\n");
    let schema = file("lantern.json", "{\"schema\": \"olm.deprecations\"}");
    let logins = file(
        "auth.json",
        r#"{"auths": {"r": {"auth": "YTpi", "email": "x"}, "s": {}}, "credsStore": "none"}"#,
    );
    let overwriting = ["--overwrite", "--login-file", &login];
    let cases: [(&str, &[&str], bool, &str, Value); 9] = [
        (
            "add",
            &[
                "--bundle",
                "r/b:1",
                "--from-index",
                "r/i:1",
                "--deprecate",
                "r/b:0",
                "--check-related-images",
            ],
            true,
            "add",
            json!({"bundles": ["r/b:1"], "from_index": "r/i:1", "deprecation_list": ["r/b:0"],
                "check_related_images": true,
                "overwrite_from_index": true, "overwrite_from_index_token": "ann:pass:word"}),
        ),
        (
            "rm",
            &[
                "--operator",
                "a",
                "--operator",
                "b",
                "--from-index",
                "r/i:1",
                "--arch",
                "s390x",
            ],
            true,
            "rm",
            json!({"operators": ["a", "b"], "from_index": "r/i:1", "add_arches": ["s390x"],
                "overwrite_from_index": true, "overwrite_from_index_token": "ann:pass:word"}),
        ),
        (
            "merge",
            &[
                "--source-from-index",
                "r/i:1",
                "--target-index",
                "r/i:2",
                "--ignore-bundle-ocp-version",
            ],
            true,
            "merge-index-image",
            json!({"source_from_index": "r/i:1", "target_index": "r/i:2",
                "ignore_bundle_ocp_version": true,
                "overwrite_target_index": true, "overwrite_target_index_token": "ann:pass:word"}),
        ),
        (
            "create-empty-index",
            &["--from-index", "r/i:1", "--output-fbc", "--label", "a=b=c"],
            false,
            "create-empty-index",
            json!({"from_index": "r/i:1", "output_fbc": true, "labels": {"a": "b=c"}}),
        ),
        (
            "fbc",
            &[
                "--fragment",
                "r/f:1",
                "--fragment",
                "r/f:2",
                "--from-index",
                "r/i:1",
                "--build-tag",
                "t",
            ],
            true,
            "fbc-operations",
            json!({"fbc_fragments": ["r/f:1", "r/f:2"], "from_index": "r/i:1", "build_tags": ["t"],
                "overwrite_from_index": true, "overwrite_from_index_token": "ann:pass:word"}),
        ),
        (
            "deprecations",
            &[
                "--operator-package",
                "lantern",
                "--file",
                &schema,
                "--from-index",
                "r/i:1",
            ],
            true,
            "add-deprecations",
            json!({"operator_package": "lantern", "from_index": "r/i:1",
                "deprecation_schema": "{\"schema\": \"olm.deprecations\"}",
                "overwrite_from_index": true, "overwrite_from_index_token": "ann:pass:word"}),
        ),
        (
            "regenerate",
            &[
                "r/b:1",
                "--organization",
                "acme",
                "--replace",
                "r/c:1=r/d@sha256:0",
                "--auth-file",
                &logins,
            ],
            false,
            "regenerate-bundle",
            json!({"from_bundle_image": "r/b:1", "organization": "acme",
                "bundle_replacements": {"r/c:1": "r/d@sha256:0"},
                "registry_auths": {"auths": {"r": {"auth": "YTpi"}}}}),
        ),
        (
            "related",
            &["r/b:1", "--auth-file", &logins],
            false,
            "recursive-related-bundles",
            json!({"parent_bundle_image": "r/b:1",
                "registry_auths": {"auths": {"r": {"auth": "YTpi"}}}}),
        ),
        (
            "rollback",
            &["5", "--login-file", &login],
            false,
            "5/rollback",
            json!({"overwrite_from_index_token": "ann:pass:word"}),
        ),
    ];
    for (command, words, overwrites, path, mut body) in cases {
        let (url, taken) = service();
        let mut all = vec![command, "--url", &url];
        all.extend(words);
        all.extend(overwriting.iter().filter(|_| overwrites));
        // All that make an image.
        if !["rollback", "related"].contains(&command) {
            all.extend(["--output-format", "oci"]);
            body["output_format"] = "oci".into();
        }
        let told = run(&all);
        assert!(told.status.success(), "{command}: {told:?}");
        assert_eq!(String::from_utf8(told.stdout).unwrap(), "7\n", "{command}");
        let taken = taken.join().unwrap();
        assert_eq!(taken, (format!("/api/v1/builds/{path}"), body));
    }
}

#[test]
fn a_file_of_requests_is_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.json");
    let words = ["batch", file.to_str().unwrap()];
    let first = json!({"bundles": ["r/b:1"], "output_format": "oci"});
    let requests = json!([first, {"operators": ["a"], "from_index": "r/i:1"}]);
    let whole = json!({"build_requests": requests, "annotations": {"team": "catalogs"}});
    for (text, kind, path, body) in [
        (
            &requests,
            "add-rm",
            "add-rm-batch",
            json!({"build_requests": requests}),
        ),
        (
            &whole,
            "regenerate-bundle",
            "regenerate-bundle-batch",
            whole.clone(),
        ),
    ] {
        fs::write(&file, text.to_string()).unwrap();
        let (url, taken) = service();
        // The service answers as to one request, which is no batch.
        let told = run(&[&words[..], &["--kind", kind, "--url", &url]].concat());
        let said = String::from_utf8(told.stderr).unwrap();
        assert!(said.contains("the answer has no request ids"), "{said}");
        assert_eq!(
            taken.join().unwrap(),
            (format!("/api/v1/builds/{path}"), body)
        );
    }
    for (text, wanted) in [
        ("{", "is no JSON"),
        ("3", "is neither a list of requests nor an object"),
    ] {
        fs::write(&file, text).unwrap();
        let told = run(&words);
        let said = String::from_utf8(told.stderr).unwrap();
        assert!(!told.status.success() && said.contains(wanted), "{said}");
    }
}

#[test]
fn a_file_without_a_login_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("login");
    for text in ["", "\nann:password\n", "ann\n"] {
        fs::write(&file, text).unwrap();
        let login = file.to_str().unwrap();
        let words = [
            "rm",
            "--operator",
            "a",
            "--from-index",
            "r/i:1",
            "--overwrite",
        ];
        let told = run(&[&words[..], &["--login-file", login]].concat());
        let said = String::from_utf8(told.stderr).unwrap();
        assert!(!told.status.success(), "{said}");
        let wanted = format!("{login} has no login in its first line: write it as user:password");
        assert!(said.contains(&wanted), "{said}");
    }
}

/// A service that gives these answers, one after the other; gives the methods and keys of the calls.
fn answering(answers: Vec<String>) -> (String, JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        let calls = answers.into_iter().map(|answer| {
            let (mut call, _) = listener.accept().unwrap();
            let Call { first, key, .. } = Call::read(&call);
            call.write_all(answer.as_bytes()).unwrap();
            (first.split(' ').next().unwrap().to_owned(), key)
        });
        calls.collect()
    });
    (url, taken)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn remove(url: &str) -> std::process::Output {
    run(&[
        "rm",
        "--url",
        url,
        "--operator",
        "a",
        "--from-index",
        "r/i:1",
    ])
}

#[test]
fn a_call_whose_answer_is_lost_is_repeated_under_its_key() {
    let broken = answer("201 Created", "", "{\"id\":7}").replace("length: 8", "length: 9");
    for first in [String::new(), answer("504 Gateway Timeout", "", ""), broken] {
        let health = answer("200 OK", "idempotency-key: known\r\n", "{}");
        let made = answer("201 Created", "", "{\"id\":7}");
        let (url, taken) = answering(vec![first, health, made]);
        let output = remove(&url);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "7");
        let calls = taken.join().unwrap();
        let [(_, first), (method, _), (_, again)] = calls.as_slice() else {
            panic!("{calls:?}");
        };
        assert_eq!((first, method.as_str()), (again, "GET"));
        assert_eq!(first.len(), 32, "{calls:?}");
    }
}

#[test]
fn a_service_that_knows_no_keys_is_not_asked_twice() {
    let (url, taken) = answering(vec![String::new(), answer("200 OK", "", "{}")]);
    let output = remove(&url);
    assert!(!output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("it may have taken the request"), "{told}");
    assert_eq!(taken.join().unwrap().len(), 2);
}

#[test]
fn a_service_that_knows_no_dry_runs_is_asked_for_none() {
    for health in [answer("200 OK", "", "{}"), answer("500 Oh", "", "{}")] {
        let (url, taken) = answering(vec![health]);
        let words = [
            "rm",
            "--url",
            &url,
            "--operator",
            "a",
            "--from-index",
            "r/i:1",
        ];
        let output = run(&[&words[..], &["--overwrite", "--dry-run"]].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("nothing was asked of it"), "{told}");
        let calls = taken.join().unwrap();
        assert_eq!((calls.len(), calls[0].0.as_str()), (1, "GET"));
    }
}
