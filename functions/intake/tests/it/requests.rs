use iib_ports::Logs;
use iib_request::{RequestId, Stage, Task};
use jiff::SignedDuration;
use serde_json::json;

use crate::service::{Service, good};

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
