//! `kill -9` in the middle of a request.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command::demo_folder;
use crate::process::Server;

/// Bundles of each run: other content each time, so that no run finds its layer in the registry.
const RUNS: [&[&str]; 10] = [
    &["lantern:v0.1.0"],
    &["kettle:v1.0.0"],
    &["lantern:v0.1.0", "lantern:v0.2.0"],
    &["kettle:v1.0.0", "kettle:v1.1.0"],
    &["lantern:v0.1.0", "lantern:v0.3.0"],
    &["lantern:v0.1.0", "kettle:v1.0.0"],
    &["lantern:v0.1.0", "lantern:v0.2.0", "lantern:v0.3.0"],
    &["lantern:v0.1.0", "kettle:v1.0.0", "kettle:v1.1.0"],
    &["lantern:v0.1.0", "lantern:v0.3.0", "kettle:v1.0.0"],
    &[
        "lantern:v0.1.0",
        "lantern:v0.2.0",
        "lantern:v0.3.0",
        "kettle:v1.0.0",
        "kettle:v1.1.0",
    ],
];

/// Long after a request that got stuck is told from a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_request_survives_the_death_of_the_service_at_any_moment() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    // The same addresses after a restart: pull specs in stored requests name the registry.
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (api, registry) = (address(&server.api), address(&server.registry));
    let span = duration(&finished(
        &server,
        submit(&server, &registry, &["lantern:v0.1.0"], "x"),
    ));
    let mut server = server;
    let mut interrupted = 0;

    for (n, bundles) in RUNS.iter().enumerate() {
        let tag = format!("run-{n}");
        let id = submit(&server, &registry, bundles, &tag);
        // Moments spread over the time a request takes: it is the moment that is meant.
        std::thread::park_timeout(span * u32::try_from(n).unwrap() / 10);
        server.kill();
        let killed = now();
        server = Server::start(folder.path(), &api, &registry);
        let document = finished(&server, id);
        assert_eq!(document["state"], "complete", "run {n}: {document}");
        if ended(&document) > killed {
            interrupted += 1;
        }
        let completions = states(&document)
            .iter()
            .filter(|entry| entry["state"] == "complete")
            .count();
        assert_eq!(completions, 1, "run {n}: {document}");

        let again = finished(&server, submit(&server, &registry, bundles, "again"));
        let expected = digest(&again);
        assert_eq!(digest(&document), expected, "run {n}");
        for tag in [&tag, &id.to_string()] {
            assert_eq!(tag_digest(&registry, tag), expected, "run {n}: tag {tag}");
        }
    }
    // Otherwise the moments missed the requests, and nothing was tested.
    assert!(
        interrupted >= 3,
        "only {interrupted} requests were interrupted"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with the times of another process"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn submit(server: &Server, registry: &str, bundles: &[&str], tag: &str) -> u64 {
    let image = |name: &str| format!("{registry}/examples/{name}");
    let bundles: Vec<String> = bundles.iter().map(|bundle| image(bundle)).collect();
    let body = json!({
        "bundles": bundles,
        "binary_image": image("binary:v1"),
        "add_arches": ["amd64", "arm64"],
        "build_tags": [tag],
    });
    let answer = call(reqwest::Client::new().post(url(server, "add")).json(&body));
    serde_json::from_str::<Value>(&answer).unwrap()["id"]
        .as_u64()
        .unwrap()
}

/// Asks until the request is final.
pub(crate) fn finished(server: &Server, id: u64) -> Value {
    let started = Instant::now();
    loop {
        let text = call(reqwest::Client::new().get(url(server, &id.to_string())));
        let document: Value = serde_json::from_str(&text).unwrap();
        if document["state"] != "in_progress" {
            return document;
        }
        assert!(started.elapsed() < PATIENCE, "stuck: {document}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Asks for the log until this is in it. The request goes on meanwhile.
pub(crate) fn until_log_says(server: &Server, id: u64, text: &str) {
    let started = Instant::now();
    loop {
        let log = call(reqwest::Client::new().get(url(server, &format!("{id}/logs?live=true"))));
        if log.contains(text) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "no `{text}` in: {log}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) fn url(server: &Server, path: &str) -> String {
    format!("{}/api/v1/builds/{path}", server.api)
}

fn states(document: &Value) -> &[Value] {
    document["state_history"].as_array().unwrap()
}

fn ended(document: &Value) -> Timestamp {
    document["updated"].as_str().unwrap().parse().unwrap()
}

/// From the first state to the last.
fn duration(document: &Value) -> Duration {
    let first: Timestamp = states(document).last().unwrap()["updated"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    ended(document).duration_since(first).try_into().unwrap()
}

pub(crate) fn digest(document: &Value) -> String {
    let resolved = document["index_image_resolved"].as_str().unwrap();
    resolved.rsplit_once('@').unwrap().1.to_owned()
}

/// Digest of what a tag names, as the registry says.
pub(crate) fn tag_digest(registry: &str, tag: &str) -> String {
    let url = format!("http://{registry}/v2/iib-build/manifests/{tag}");
    let accept = iib_oci::MediaType::DOCKER_LIST;
    let body = call(reqwest::Client::new().get(url).header("Accept", accept));
    iib_oci::Digest::of(body.as_bytes()).to_string()
}

pub(crate) fn call(request: reqwest::RequestBuilder) -> String {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = request.send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    })
}
