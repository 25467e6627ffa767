//! A service on one machine whose index has a Git repository.

use std::fs::File;
use std::net::TcpListener;

use iib_testkit::git_server::GitServer;

use crate::command::demo_folder;
use crate::process::{Server, iib, run};

/// `ann:hunter2`, as it stands in a header.
const LOGIN: &str = "YW5uOmh1bnRlcjI=";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs git"]
async fn an_overwritten_index_is_pushed_to_its_repository_and_nobody_sees_the_token() {
    let git = GitServer::start(LOGIN).await;
    let repository = git.url("cat/prod");
    let data = demo_folder();
    let beside = tempfile::tempdir().unwrap();
    let (tokens, log) = (beside.path().join("tokens.json"), beside.path().join("log"));
    std::fs::write(&tokens, format!(r#"{{"{repository}": "ann:hunter2"}}"#)).unwrap();
    let login = beside.path().join("login");
    std::fs::write(&login, "ann:pass").unwrap();
    // The map names the registry, so its port has to be known before.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = free.local_addr().unwrap().to_string();
    drop(free);
    let map = format!(r#"{{"{registry}/iib-build": "{repository}"}}"#);
    let mut serve = iib(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        &registry,
    ]);
    serve
        .env("IIB_INDEX_TO_GITLAB_PUSH_MAP", map)
        .env("IIB_GIT_TOKENS_FILE", &tokens)
        .env("IIB_INSECURE_REGISTRIES", git.host());
    let server = Server::logging_to(serve, data.path(), File::create(&log).unwrap().into());

    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let (binary, bundle) = (image("binary:v1"), image("lantern:v0.1.0"));
    let done = |words: &[&str]| {
        let output = run(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let common = ["--url", &server.api, "--binary-image", &binary, "--wait"];
    let first = [
        &["add", "--bundle", &bundle, "--arch", "amd64"],
        &common[..],
    ];
    let first = done(&first.concat());
    let empty = [
        &["create-empty-index", "--output-fbc", "--from-index"][..],
        &[first.trim()],
        &common[..],
    ];
    done(&empty.concat());
    // The demo has made two, and there are two more.
    let index = format!("{}/iib-build:4", server.registry);
    git.create("cat/prod", "4", &[("README.md", "read me")]);
    let add = [
        &["add", "--bundle", &bundle, "--from-index", &index][..],
        &["--overwrite", "--login-file", login.to_str().unwrap()],
        &common[..],
    ];
    done(&add.concat());
    let files: Vec<String> = git.files("cat/prod", "4").into_keys().collect();
    assert_eq!(files, ["README.md", "configs/lantern/catalog.json"]);
    assert_eq!(
        git.subjects("cat/prod", "4")[0],
        "IIB: Update for request id 5 (overwrite_from_index)"
    );
    git.check("cat/prod");
    drop(server);
    let mut looked_at = 0;
    for folder in [data.path(), git.folder(), &log] {
        for entry in walkdir::WalkDir::new(folder) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                looked_at += 1;
                let content = std::fs::read(entry.path()).unwrap();
                for secret in ["hunter2", LOGIN] {
                    let mut windows = content.windows(secret.len());
                    let is_there = windows.any(|window| window == secret.as_bytes());
                    assert!(!is_there, "{}", entry.path().display());
                }
            }
        }
    }
    assert!(looked_at > 20, "{looked_at}");
    assert!(git.seen().iter().all(|call| !call.contains("hunter2")));
}

#[test]
fn a_repository_without_a_token_is_told_when_the_service_starts() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.json");
    std::fs::write(&tokens, r#"{"https://git.example/b.git": "hunter2"}"#).unwrap();
    let map = r#"{"r.example/a": "https://git.example/a.git", "r.example/b": "https://git.example/b.git"}"#;
    let ended = iib(&["serve", "--listen", "127.0.0.1:0", "--data-folder"])
        .arg(folder.path().join("data"))
        .env("IIB_INDEX_TO_GITLAB_PUSH_MAP", map)
        .env("IIB_GIT_TOKENS_FILE", &tokens)
        .output()
        .unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    for part in [
        "Missing key 'https://git.example/a.git'",
        "Invalid token format for 'https://git.example/b.git'",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
