//! What the command prints and how it ends.

use std::fs;

use serde_json::Value;

use crate::process::{Server, iib, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A data folder in which the demo has run: images, and two requests that are done.
pub(crate) fn demo_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let demo = iib(&["demo", "--data-folder"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        demo.status.success(),
        "{}{}",
        text(&demo.stdout),
        text(&demo.stderr)
    );
    folder
}

#[test]
fn the_demo_shows_what_changed_and_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let demo = iib(&["demo", "--data-folder"])
        .arg(folder.path())
        .output()
        .unwrap();
    let out = text(&demo.stdout);
    assert!(demo.status.success(), "{out}{}", text(&demo.stderr));
    for part in [
        "lantern.v0.3.0",
        "kettle.v1.1.0",
        "@sha256:",
        &folder.path().display().to_string(),
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn an_add_ends_with_the_code_of_its_outcome() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let (bundle, binary) = (image("lantern:v0.1.0"), image("binary:v1"));
    let add = [
        "add",
        "--url",
        &server.api,
        "--binary-image",
        &binary,
        "--arch",
        "amd64",
    ];

    let done = run(&[&add[..], &["--bundle", &bundle, "--wait"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let out = text(&done.stdout);
    let (repository, digest) = out.trim().split_once('@').unwrap();
    assert_eq!(repository, format!("{}/iib-build", server.registry));
    assert!(
        digest.starts_with("sha256:") && digest.len() == 71,
        "{digest}"
    );
    let progress = text(&done.stderr);
    assert!(progress.contains("Resolving the bundles"), "{progress}");
    assert!(
        progress.contains("Creating the manifest list"),
        "{progress}"
    );

    let missing = image("lantern:v9");
    let failed = run(&[&add[..], &["--bundle", &missing, "--wait"]].concat());
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stdout).is_empty());
    assert!(
        text(&failed.stderr).contains("lantern:v9"),
        "{}",
        text(&failed.stderr)
    );

    let refused = run(&[&add[..], &["--bundle", "no-tag", "--wait"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("tag or a digest"),
        "{}",
        text(&refused.stderr)
    );

    let late = run(&[&add[..], &["--bundle", &bundle, "--wait", "--timeout", "0"]].concat());
    assert_eq!(late.status.code(), Some(3), "{}", text(&late.stderr));

    let json = run(&[&add[..], &["--bundle", &bundle, "--wait", "--json"]].concat());
    let out = text(&json.stdout);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["change"]["state_reason"] == "Resolving the bundles")
    );
    assert_eq!(lines.last().unwrap()["state"], "complete");
}

#[test]
fn wrong_use_is_told_apart_from_a_failed_request() {
    for words in [
        &["add", "--bundles", "x"][..],
        &["add", "--timeout", "soon"],
        &["nothing"],
    ] {
        assert_eq!(run(words).status.code(), Some(2), "{words:?}");
    }
    let idle = run(&["add", "--bundle", "r.example/a:1", "--timeout", "9m"]);
    assert_eq!(idle.status.code(), Some(2));
    assert!(
        text(&idle.stderr).contains("--wait"),
        "{}",
        text(&idle.stderr)
    );
    let nobody = run(&[
        "add",
        "--url",
        "http://127.0.0.1:1",
        "--bundle",
        "r.example/a:1",
    ]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(
        text(&nobody.stderr).contains("iib serve"),
        "{}",
        text(&nobody.stderr)
    );
}

#[test]
fn one_process_owns_a_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let second = iib(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ])
    .arg("--data-folder")
    .arg(folder.path())
    .output()
    .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let error = text(&second.stderr);
    assert!(
        error.contains(&folder.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn the_small_registry_asks_for_its_login_and_the_service_has_it() {
    let folder = demo_folder();
    let mut command = iib(&["serve"]);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ]);
    command.env("IIB_REGISTRY_LOGIN", "someone:secret");
    let server = Server::spawn(command, folder.path());
    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let add = run(&[
        "add",
        "--url",
        &server.api,
        "--wait",
        "--arch",
        "amd64",
        "--bundle",
        &image("lantern:v0.1.0"),
        "--binary-image",
        &image("binary:v1"),
    ]);
    assert_eq!(add.status.code(), Some(0), "{}", text(&add.stderr));

    let stranger = tokio::runtime::Runtime::new().unwrap().block_on(async {
        reqwest::get(format!("http://{}/v2/", server.registry))
            .await
            .unwrap()
            .status()
    });
    assert_eq!(stranger, 401);
}

#[test]
fn a_service_without_requests_counts_from_numbers_that_are_free() {
    let folder = demo_folder();
    // The requests are lost, and what they made is not.
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("registry") => {}
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let (bundle, binary_image) = (image("lantern:v0.1.0"), image("binary:v1"));
    let words = ["--bundle", &bundle, "--binary-image", &binary_image];
    let asking = [
        "add",
        "--url",
        &server.api,
        "--wait",
        "--json",
        "--arch",
        "amd64",
    ];
    let add = run(&[&asking[..], &words].concat());
    assert_eq!(add.status.code(), Some(0), "{}", text(&add.stderr));
    // Its states as they came, a line each.
    let told = text(&add.stdout);
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(last["id"], 3, "{told}");
}

#[test]
fn neither_port_answers_to_a_name_that_is_not_this_machines() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let registry = format!("http://{}/v2/", server.registry);
    for url in [format!("{}/api/v1/builds", server.api), registry] {
        let ask = async |name: &'static str| {
            let call = reqwest::Client::new().get(&url).header("host", name);
            call.send().await.unwrap().status().as_u16()
        };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            assert_eq!(ask("localhost").await, 200, "{url}");
            assert_eq!(ask("page.example").await, 421, "{url}");
        });
    }
}

#[test]
fn a_token_is_shown_to_the_service_and_to_nobody_else() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let gateway = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gateway.local_addr().unwrap());
    let calls = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (mut call, _) = gateway.accept().unwrap();
            let lines = BufReader::new(call.try_clone().unwrap()).lines();
            let head = lines
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty());
            seen.push(head.collect::<Vec<_>>().join("\n").to_lowercase());
            let body = r#"{"message":"Unauthorized"}"#;
            let size = body.len();
            let answer =
                format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {size}\r\n\r\n{body}");
            call.write_all(answer.as_bytes()).unwrap();
        }
        seen
    });
    let add = ["add", "--url", &url, "--bundle", "registry.example.com/a:1"];
    let with = iib(&add).env("IIB_TOKEN", " hunter2\n").output().unwrap();
    let without = iib(&add).output().unwrap();
    let calls = calls.join().unwrap();
    assert!(
        calls[0].contains("authorization: bearer hunter2"),
        "{calls:?}"
    );
    assert!(!calls[1].contains("authorization"), "{calls:?}");
    for output in [with, without] {
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(
            !output.status.success() && !said.contains("hunter2"),
            "{said}"
        );
        assert!(
            said.contains("Unauthorized; put a token into IIB_TOKEN"),
            "{said}"
        );
    }
}
