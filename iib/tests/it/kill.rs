//! `kill -9` in the middle of a request.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, run};

/// How often the service is killed, each time at another moment of a request.
const RUNS: u32 = 10;

/// Longer than a request takes, so that a request that got stuck is told from a slow machine.
const PATIENCE: &str = "120s";

#[test]
fn a_request_survives_the_death_of_the_service_at_any_moment() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    // The same addresses after a restart: pull specs in stored requests name the registry.
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (api, registry) = (address(&server.api), address(&server.registry));
    let whole = Instant::now();
    let expected = add(&server, &registry, "whole");
    let span = whole.elapsed();
    let mut server = Some(server);

    for n in 0..RUNS {
        let tag = format!("run-{n}");
        let running = server
            .take()
            .unwrap_or_else(|| Server::start(folder.path(), &api, &registry));
        let id = submit(&running, &registry, &tag);
        // Moments spread over the time a whole request takes; what is meant is the moment.
        std::thread::park_timeout(span * n / RUNS);
        running.kill();
        let restarted = Server::start(folder.path(), &api, &registry);
        let document = finished(&restarted, id);
        assert_eq!(document["state"], "complete", "run {n}: {document}");
        let resolved = document["index_image_resolved"].as_str().unwrap();
        assert_eq!(digest(resolved), digest(&expected), "run {n}");
        let completions = document["state_history"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["state"] == "complete")
            .count();
        assert_eq!(completions, 1, "run {n}: {document}");
        for tag in [&tag, &id.to_string()] {
            assert_eq!(
                tag_digest(&registry, tag),
                digest(&expected),
                "run {n}: tag {tag}"
            );
        }
        server = Some(restarted);
    }
}

fn words<'a>(server: &'a Server, bundle: &'a str, binary: &'a str, tag: &'a str) -> Vec<&'a str> {
    vec![
        "add",
        "--url",
        &server.api,
        "--bundle",
        bundle,
        "--binary-image",
        binary,
        "--arch",
        "amd64",
        "--arch",
        "arm64",
        "--build-tag",
        tag,
    ]
}

fn submit(server: &Server, registry: &str, tag: &str) -> u64 {
    let bundle = format!("{registry}/examples/lantern:v0.1.0");
    let binary = format!("{registry}/examples/binary:v1");
    let output = run(&words(server, &bundle, &binary, tag));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn add(server: &Server, registry: &str, tag: &str) -> String {
    let bundle = format!("{registry}/examples/lantern:v0.1.0");
    let binary = format!("{registry}/examples/binary:v1");
    let mut words = words(server, &bundle, &binary, tag);
    words.extend(["--wait", "--timeout", PATIENCE]);
    let output = run(&words);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Asks until the request is final.
fn finished(server: &Server, id: u64) -> Value {
    let started = Instant::now();
    loop {
        let text = get(&format!("{}/api/v1/builds/{id}", server.api));
        let document: Value = serde_json::from_str(&text).unwrap();
        if document["state"] != "in_progress" {
            return document;
        }
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "stuck: {document}"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn digest(pull_spec: &str) -> String {
    pull_spec.rsplit_once('@').unwrap().1.to_owned()
}

/// Digest of what a tag names, as the registry says.
fn tag_digest(registry: &str, tag: &str) -> String {
    let body = get(&format!("http://{registry}/v2/iib-build/manifests/{tag}"));
    iib_oci::Digest::of(body.as_bytes()).to_string()
}

fn get(url: &str) -> String {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = reqwest::Client::new()
            .get(url)
            .header("Accept", iib_oci::MediaType::DOCKER_LIST)
            .send()
            .await
            .unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    })
}
