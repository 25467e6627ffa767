use std::sync::Arc;

use iib_ports::{ArtifactKey, Logs};
use iib_request::{RequestId, Stage, Task};
use jiff::SignedDuration;
use serde_json::json;

use crate::service::{Service, good};
use crate::store::Linking;

const BUILDS: &str = "http://iib.example:8080/api/v1/builds";

#[tokio::test]
async fn an_add_request_is_stored_shown_and_handed_over() {
    let service = Service::new();
    let answer = service.add(good()).await;
    assert_eq!(answer.status, 201);
    let shown = answer.json();
    assert_eq!(shown["state_reason"], "The request was initiated");
    assert_eq!(shown["logs"]["url"], format!("{BUILDS}/1/logs"));
    assert_eq!(shown["user"], json!(null));
    assert_eq!(
        service.queue.waiting(),
        [Task::new(RequestId(1), Stage::Pin)]
    );

    let answer = service.get("/api/v1/builds/1").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, shown));
}

#[tokio::test]
async fn a_page_shows_the_newest_first() {
    let service = Service::new();
    for _ in 0..3 {
        service.add(good()).await;
    }
    let page = service.get("/api/v1/builds?page=1&per_page=2").await.json();
    assert_eq!(
        (&page["items"][0]["id"], &page["items"][1]["id"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(page["items"][0].get("logs"), None);
    assert_eq!(
        page["meta"],
        json!({
            "first": format!("{BUILDS}?page=1&per_page=2"),
            "last": format!("{BUILDS}?page=2&per_page=2"),
            "next": format!("{BUILDS}?page=2&per_page=2"),
            "previous": null,
            "page": 1, "pages": 2, "per_page": 2, "total": 3,
        })
    );
    let page = service
        .get("/api/v1/builds?verbose=1&page=2&per_page=2")
        .await
        .json();
    assert_eq!(
        page["items"][0],
        service.get("/api/v1/builds/1").await.json()
    );
}

#[tokio::test]
async fn nothing_is_an_empty_first_page() {
    let page = Service::new().get("/api/v1/builds").await.json();
    assert_eq!(page["items"], json!([]));
    assert_eq!(page["meta"]["last"], format!("{BUILDS}?page=0&per_page=20"));
}

#[tokio::test]
async fn a_log_waits_for_the_end_unless_it_is_watched() {
    let service = Service::new();
    service.add(good()).await;
    let log = "/api/v1/builds/1/logs";
    let unfinished =
        "The request 1 is not complete yet. logs will be available once the request is complete.";
    service.get(log).await.assert_error(400, unfinished);
    let not_live = format!("{log}?live=false");
    service.get(&not_live).await.assert_error(400, unfinished);
    let live = format!("{log}?live=true");
    assert_eq!(service.get(&live).await.text, "");

    service
        .logs
        .append(RequestId(1), &["žluťoučký".to_owned()])
        .await
        .unwrap();
    assert_eq!(service.get(&live).await.text, "žluťoučký\n");
    service.get(log).await.assert_error(400, unfinished);

    service.end(1).await;
    let answer = service.get(log).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.text),
        (200, "žluťoučký\n")
    );
    assert_eq!(answer.media_type, "text/plain; charset=utf-8");
    assert_eq!(service.get(&live).await.text, "žluťoučký\n");
}

#[tokio::test]
async fn a_log_that_is_gone_says_so() {
    let service = Service::new();
    service.add(good()).await;
    service.end(1).await;
    let log = "/api/v1/builds/1/logs";
    let answer = service.get(log).await;
    answer.assert_error(404, "The requested resource was not found");
    service.clock.advance(SignedDuration::from_hours(73));
    let answer = service.get(log).await;
    answer.assert_error(410, "The data for the build request 1 no longer exist");
}

async fn seal(service: &Service, log: String) {
    service.store(&ArtifactKey::log(RequestId(1)), log).await;
}

#[tokio::test]
async fn a_log_too_large_for_an_answer_is_sent_for_elsewhere() {
    let mut service = Service::new();
    service.deps.artifacts = Arc::new(Linking::default());
    service.add(good()).await;
    service.end(1).await;
    let log = "/api/v1/builds/1/logs";
    seal(&service, "small\n".to_owned()).await;
    assert_eq!(service.get(log).await.text, "small\n");
    seal(&service, "large\n".repeat(1 << 20)).await;
    let answer = service.get(log).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.location.unwrap(),
        "https://bucket.example/kept/1/build.log?signature=x"
    );

    // Without links it is part of the answer, however large.
    let service = Service::new();
    service.add(good()).await;
    service.end(1).await;
    seal(&service, "large\n".repeat(1 << 20)).await;
    assert_eq!(service.get(log).await.text.len(), 6 << 20);
}

#[tokio::test]
async fn a_listing_too_large_for_an_answer_says_what_to_do() {
    let service = Service::new();
    let tags: Vec<String> = (0..4000).map(|n| format!("v{n:0>119}")).collect();
    let mut large = good();
    large["build_tags"] = json!(tags);
    for _ in 0..20 {
        assert_eq!(service.add(large.clone()).await.status, 201);
    }
    let answer = service.get("/api/v1/builds?verbose=true").await;
    answer.assert_error(
        413,
        "The answer would be larger than 5242880 bytes: ask for a smaller \"per_page\", or without \"verbose\".",
    );
    let smaller = service.get("/api/v1/builds?verbose=true&per_page=5").await;
    assert_eq!(smaller.json()["items"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_request_with_too_many_bundles_is_refused() {
    let service = Service::new();
    let bundles = |count: u32| -> Vec<String> {
        let bundle = |n| format!("r.example/op:{n}");
        (0..count).map(bundle).collect()
    };
    let mut payload = good();
    payload["bundles"] = json!(bundles(500));
    assert_eq!(service.add(payload.clone()).await.status, 201);
    payload["bundles"] = json!(bundles(501));
    service.add(payload).await.assert_error(
        400,
        "\"bundles\" has 501 entries, at most 500 are taken at once: split the request into several",
    );
}

#[tokio::test]
async fn a_token_is_kept_and_never_shown() {
    let service = Service::new();
    let mut payload = good();
    payload["overwrite_from_index"] = json!(true);
    payload["overwrite_from_index_token"] = json!("ann:hunter2");
    let answer = service.add(payload.clone()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(service.secrets.count(), 1);
    let shown = service.get("/api/v1/builds/1").await;
    for text in [answer.text, shown.text] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    payload["overwrite_from_index_token"] = json!("x".repeat(5000));
    service.add(payload).await.assert_error(
        400,
        "The \"overwrite_from_index_token\" cannot be kept: a secret has 5000 bytes; at most 4096 are kept: send a shorter one",
    );
}
