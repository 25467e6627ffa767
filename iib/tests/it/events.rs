//! A request as it goes on, as a browser follows it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::demo_folder;
use crate::kill::submit;
use crate::process::Server;

/// The events of a stream that ends, each with its fields.
fn events(url: &str) -> Vec<BTreeMap<String, String>> {
    let text = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        answer.text().await.unwrap()
    });
    let event = |event: &str| {
        let fields = event.lines().filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fields.collect()
    };
    text.split_terminator("\n\n").map(event).collect()
}

#[test]
fn a_request_is_followed_to_its_end() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let id = submit(&server, &server.registry, &["lantern:v0.1.0"], "events");
    let url = format!("{}/api/v1/builds/{id}/events", server.api);
    let events = events(&url);
    let of = |name: &str| -> Vec<&BTreeMap<String, String>> {
        let named = events
            .iter()
            .filter(|event| event.get("event").is_some_and(|e| e == name));
        named.collect()
    };
    assert_eq!(of("end").len(), 1);
    assert_eq!(events.last().unwrap()["event"], "end");
    let states = of("state");
    assert!(states.len() > 2, "{states:?}");
    let versions: Vec<u64> = states
        .iter()
        .map(|event| event["id"].parse().unwrap())
        .collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    let last: Value = serde_json::from_str(&states.last().unwrap()["data"]).unwrap();
    assert_eq!(last["state"], "complete");
    let log = of("log").into_iter().map(|event| event["data"].clone());
    let lines = log.map(|lines| serde_json::from_str::<String>(&lines).unwrap());
    let lines: Vec<String> = lines.collect();
    let whole = lines.join("\n");
    for line in [
        "Resolving the bundles",
        "The operator bundle(s) were successfully added",
    ] {
        assert_eq!(whole.matches(line).count(), 1, "{whole}");
    }
}
