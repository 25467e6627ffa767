//! Waiting for a change of a request, and asking whether there is one.

use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, header};
use iib_ports::Requests as _;
use iib_request::{RequestId, Update};

use crate::service::{Answer, Service, at, good};

/// Less than any of the calls here would wait.
const SOON: Duration = Duration::from_secs(10);

async fn get(service: &Service, query: &str, known: Option<&str>) -> Answer {
    let mut call: Request<Body> = at("GET", &format!("/api/v1/builds/1{query}"))
        .body(Body::empty())
        .unwrap();
    if let Some(known) = known {
        let known = known.parse().unwrap();
        call.headers_mut().insert(header::IF_NONE_MATCH, known);
    }
    service.ask(call).await
}

async fn doing(service: &Service, reason: &str) {
    let record = service.requests.get(RequestId(1)).await.unwrap();
    let mut record = record.unwrap();
    record.apply(&Update::doing(reason), record.updated());
    service.requests.replace(record).await.unwrap();
}

#[tokio::test]
async fn whoever_knows_a_version_is_answered_when_there_is_a_newer_one() {
    let service = Service::new();
    service.add(good()).await;
    let first = get(&service, "", None).await;
    assert_eq!(first.tag.as_deref(), Some("W/\"1\""));
    let began = Instant::now();
    let (waited, ()) = tokio::join!(
        get(&service, "?after=1&wait=20", None),
        doing(&service, "Resolving the bundles")
    );
    assert_eq!(waited.json()["state_reason"], "Resolving the bundles");
    assert_eq!(waited.tag.as_deref(), Some("W/\"2\""));
    // There is one already; there is nothing to wait for; or nothing is said of waiting.
    for query in [
        "?after=1&wait=20",
        "?after=0",
        "?after=7",
        "?after=0-3&wait=20",
        "?wait=0",
        "?after=2&wait=0",
    ] {
        assert_eq!(
            get(&service, query, None).await.tag.as_deref(),
            Some("W/\"2\"")
        );
    }
    service.end(1).await;
    let ended = get(&service, "?after=3&wait=20", None).await;
    assert_eq!(ended.json()["state"], "failed");
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn without_a_change_the_answer_comes_in_time() {
    let service = Service::new();
    service.add(good()).await;
    let began = Instant::now();
    let waited = get(&service, "?wait=1", None).await;
    assert_eq!(waited.tag.as_deref(), Some("W/\"1\""));
    assert!(began.elapsed() >= Duration::from_secs(1));
    let same = get(&service, "?after=1&wait=1", Some("W/\"1\"")).await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""));
    assert_eq!(same.tag.as_deref(), Some("W/\"1\""));
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let service = Service::new();
    service.add(good()).await;
    assert_eq!(get(&service, "", Some("W/\"1\"")).await.status, 304);
    doing(&service, "Resolving the bundles").await;
    assert_eq!(get(&service, "", Some("W/\"1\"")).await.status, 200);
    assert_eq!(get(&service, "", Some("\"x\", W/\"2\"")).await.status, 304);
}

#[tokio::test]
async fn waits_that_are_none_are_refused_at_once() {
    let service = Service::new();
    service.add(good()).await;
    for wait in ["86400", "21", "-1", "1.5", "", "x"] {
        get(&service, &format!("?after=1&wait={wait}"), None).await.assert_error(
            400,
            &format!("\"wait\" is \"{wait}\", but has to be whole seconds up to 20: to wait longer, ask again"),
        );
    }
    for after in ["-1", "W/1", "", "18446744073709551616"] {
        get(&service, &format!("?after={after}&wait=1"), None).await.assert_error(
            400,
            &format!("\"after\" is \"{after}\", but has to be the version of the request that you know, a whole number: it stands in the ETag of each answer"),
        );
    }
    let unknown = service.get("/api/v1/builds/9?wait=20").await;
    unknown.assert_error(404, "The requested resource was not found");
}
