//! Calls that stop requests, and those for requests that follow others.

use axum::body::Body;
use http::{Request, header};
use iib_intake::User;
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

#[tokio::test]
async fn a_cancel_takes_no_parameters() {
    let service = Service::new();
    service.add(good()).await;
    for body in ["garbage", "[]", "null", "{\"state_reason\": \"bad\"}"] {
        let call = at("POST", "/api/v1/builds/1/cancel").body(Body::from(body));
        let refused = service.ask(call.unwrap()).await;
        refused.assert_error(400, "A cancel takes no parameters: send it without a body");
    }
    let call = at("POST", "/api/v1/builds/1/cancel").body(Body::from(" {} "));
    assert_eq!(service.ask(call.unwrap()).await.status, 200);
}

async fn cancel(service: &Service, id: u64, user: Option<&str>) -> Answer {
    let mut call: Request<Body> = at("POST", &format!("/api/v1/builds/{id}/cancel"))
        .body(Body::empty())
        .unwrap();
    if let Some(user) = user {
        call.extensions_mut().insert(User(user.to_owned()));
    }
    service.ask(call).await
}

#[tokio::test]
async fn whoever_made_a_request_cancels_it_and_nobody_else_does() {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    service.deps.api.worker_usernames = vec!["worker".to_owned()];
    for _ in 0..2 {
        service.add_as("ann", good()).await;
    }
    cancel(&service, 1, Some("bob")).await.assert_error(
        403,
        "The request 1 is somebody else's: whoever made it may cancel it, and users who may change requests",
    );
    assert_eq!(cancel(&service, 1, None).await.status, 401);
    let cancelled = cancel(&service, 1, Some("ann")).await;
    assert_eq!(cancelled.status, 200);
    let shown = cancelled.json();
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["state_reason"], "The request was cancelled by ann");
    assert_eq!(cancel(&service, 1, Some("ann")).await.json(), shown);
    assert_eq!(cancel(&service, 2, Some("worker")).await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_and_dry_runs_stop_nothing() {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    service.add_as("ann", good()).await;
    let ask = async |path: &str, origin: &str| {
        let mut call: Request<Body> = at("POST", path).body(Body::empty()).unwrap();
        call.headers_mut()
            .insert(header::ORIGIN, origin.parse().unwrap());
        call.extensions_mut().insert(User("ann".to_owned()));
        service.ask(call).await
    };
    let cancel = "/api/v1/builds/1/cancel";
    for origin in ["https://evil.example", "null", "iib.example", ""] {
        let refused = ask(cancel, origin).await;
        refused.assert_error(403, "A page of another site called: nothing was done");
    }
    let dry = ask(&format!("{cancel}?dry_run=true"), "http://iib.example:8080").await;
    assert_eq!(dry.status, 400, "{}", dry.text);
    let shown = service.get("/api/v1/builds/1").await.json();
    assert_eq!(shown["state"], "in_progress");
    assert_eq!(ask(cancel, "http://iib.example:8080").await.status, 200);
}

#[tokio::test]
async fn what_has_ended_or_is_not_there_is_told() {
    let service = Service::new();
    service.add(good()).await;
    service.end(1).await;
    cancel(&service, 1, None).await.assert_error(
        409,
        "The request 1 cannot be cancelled: it is failed already",
    );
    let unknown = cancel(&service, 9, None).await;
    unknown.assert_error(404, "The requested resource was not found");
    let get = service.get("/api/v1/builds/1/cancel").await;
    assert_eq!(get.status, 405);
}

async fn post(service: &Service, path: &str, body: &Value) -> Answer {
    let call = at("POST", &format!("/api/v1/builds/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    service.ask(call).await
}

#[tokio::test]
async fn a_request_may_start_from_the_result_of_another_one() {
    let service = Service::new();
    service.add(good()).await;
    let rm = |from: &str| json!({"operators": ["a"], "from_index": from, "binary_image": "r.example/base:v4.6"});
    let follows = post(&service, "rm", &rm("request:1")).await;
    assert_eq!(follows.status, 201, "{}", follows.text);
    assert_eq!(follows.json()["from_index"], "request:1");
    post(&service, "rm", &rm("request:9")).await.assert_error(
        400,
        "The index \"request:9\" is the result of the request 9, and there is no such request: name a request that makes an index, or an index itself",
    );
    let mut overwrites = rm("request:1");
    overwrites["overwrite_from_index"] = json!(true);
    post(&service, "rm", &overwrites).await.assert_error(
        400,
        "\"request:1\" is the result of a request and has no tag to overwrite: name the index itself, or do not ask to overwrite it",
    );
    for odd in [
        "request:",
        "request:v1",
        "Request:1",
        "request:01",
        "request:1@sha256:aa",
    ] {
        let refused = post(&service, "rm", &rm(odd)).await;
        assert_eq!(refused.status, 400, "{odd}");
        assert!(
            refused.text.contains("request:<number>"),
            "{}",
            refused.text
        );
    }
    let batch = json!({"build_requests": [rm("request:1"), rm("request:77")]});
    assert_eq!(post(&service, "add-rm-batch", &batch).await.status, 400);
    service.end(1).await;
    let ended = post(&service, "rm", &rm("request:1")).await;
    assert_eq!(ended.status, 400);
    assert!(ended.text.contains("that has failed"), "{}", ended.text);
    assert_eq!(service.queue.waiting().len(), 2);
}
