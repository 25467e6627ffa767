//! Looking at the requests of a service on the command line.

use serde_json::Value;

use crate::command::demo_folder;
use crate::kill::{finished, submit};
use crate::process::{Server, run};

fn out(words: &[&str]) -> String {
    let done = run(words);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{words:?}: {told}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn requests_are_listed_shown_and_their_logs_read() {
    // The demo has made two.
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let url = ["--url", &*server.api];
    let with = |words: &[&str]| out(&[words, &url[..]].concat());
    let mut last = 0;
    for tag in ["a", "b", "c"] {
        last = submit(&server, &server.registry, &["lantern:v0.1.0"], tag);
        finished(&server, last);
    }
    let all = with(&["list"]);
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines[0].starts_with("ID  STATE     TYPE"), "{all}");
    assert_eq!(lines.len(), 1 + usize::try_from(last).unwrap());
    assert!(lines[1].starts_with(&format!("{last} ")), "{all}");
    let two: Value = serde_json::from_str(&with(&["list", "--limit", "2", "--json"])).unwrap();
    let ids = two
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request["id"].as_u64().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), [last, last - 1]);
    let none = with(&["list", "--state", "failed", "--output", "yaml"]);
    assert_eq!(none.trim(), "[]");
    let dry = with(&["list", "--dry-runs"]);
    assert_eq!(dry.lines().count(), 1, "{dry}");
    let odd = run(&["list", "--state", "odd", "--url", &server.api]);
    assert_eq!(odd.status.code(), Some(2));

    let number = last.to_string();
    let shown = with(&["show", &number]);
    assert!(shown.contains("request_type"), "{shown}");
    assert!(shown.contains("Resolving the bundles"), "{shown}");
    let yaml = with(&["show", &number, "--output", "yaml"]);
    assert!(yaml.contains("state: complete\n"), "{yaml}");
    let json: Value = serde_json::from_str(&with(&["show", &number, "--json"])).unwrap();
    assert_eq!(json["id"], last);

    let address = with(&["open", &number, "--print"]);
    assert_eq!(address.trim(), format!("{}/requests/{number}", server.api));
    let log = with(&["logs", &number]);
    assert!(log.contains("Resolving the bundles"), "{log}");
    assert_eq!(with(&["logs", &number, "--follow"]), log);
}

#[test]
fn shells_and_manuals_are_told_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = out(&["completions", shell]);
        assert!(script.contains("create-empty-index"), "{shell}");
    }
    assert!(out(&["man"]).contains(".TH iib"));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    out(&["man", pages.to_str().unwrap()]);
    let page = std::fs::read_to_string(pages.join("iib-catalog-diff.1")).unwrap();
    assert!(page.contains("exit\\-code"), "{page}");
    let refused = run(&["completions", "none"]);
    assert_eq!(refused.status.code(), Some(2));
}
