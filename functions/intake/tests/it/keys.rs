//! Calls that are repeated under an `Idempotency-Key`.

use axum::body::Body;
use http::{Request, header};
use iib_intake::User;
use iib_request::RequestId;
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

fn call(path: &str, key: &str, user: &str, body: &Value) -> Request<Body> {
    let mut request = at("POST", &format!("/api/v1/builds/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    request.extensions_mut().insert(User(user.to_owned()));
    request
}

impl Service {
    async fn ask_with(&self, path: &str, key: &str, user: &str, body: &Value) -> Answer {
        self.ask(call(path, key, user, body)).await
    }
}

fn number(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["id"].as_u64().unwrap()
}

#[tokio::test]
async fn the_same_call_under_the_same_key_is_the_same_request() {
    let service = Service::new();
    let first = service.ask_with("add", "k", "ann", &good()).await;
    assert_eq!((number(&first), first.replayed.as_deref()), (1, None));
    service.end(1).await;
    let again = service.ask_with("add", "\"k\"", "ann", &good()).await;
    assert_eq!(
        (number(&again), again.replayed.as_deref()),
        (1, Some("true"))
    );
    // It is shown as it stands.
    assert_eq!(again.json()["state"], "failed");
    // Other users and keys are others, and without a key every call is one of its own.
    assert_eq!(
        number(&service.ask_with("add", "k", "bob", &good()).await),
        2
    );
    assert_eq!(
        number(&service.ask_with("add", "l", "ann", &good()).await),
        3
    );
    assert_eq!(number(&service.add_as("ann", good()).await), 4);
    assert_eq!(service.queue.waiting().len(), 4);
}

#[tokio::test]
async fn another_call_under_the_same_key_is_refused() {
    let service = Service::new();
    number(&service.ask_with("add", "k", "ann", &good()).await);
    let other = json!({"from_index": "r.example/index:v4.6", "operators": ["a"], "binary_image": "r.example/base:v4.6"});
    let mut changed = good();
    changed["build_tags"] = json!(["new"]);
    for (path, body) in [
        ("rm", &other),
        ("add", &changed),
        ("add", &json!({})),
        ("1/rollback", &json!({})),
        ("add-rm-batch", &json!({"build_requests": [good()]})),
    ] {
        let answer = service.ask_with(path, "k", "ann", body).await;
        answer.assert_error(
            422,
            "The Idempotency-Key was sent before, with another call that made the request 1: send the same again, or another key",
        );
    }
    assert_eq!(service.queue.waiting().len(), 1);
}

#[tokio::test]
async fn of_calls_at_the_same_moment_one_makes_a_request() {
    let service = Service::new();
    let body = good();
    let calls = (0..20).map(|_| service.ask_with("add", "k", "ann", &body));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| number(answer) == 1));
    // The first of them may have ended before it sent its message, so the others do.
    let waiting = service.queue.waiting();
    assert!(waiting.iter().all(|task| task.request_id == RequestId(1)));
}

#[tokio::test]
async fn a_batch_and_a_rollback_are_repeated_as_a_whole() {
    let service = Service::new();
    let batch = json!({"build_requests": [good(), good()]});
    let ids = |answer: Answer| -> Vec<u64> {
        let items = answer.json();
        let ids = items.as_array().unwrap().iter();
        ids.map(|item| item["id"].as_u64().unwrap()).collect()
    };
    for _ in 0..2 {
        let answer = service.ask_with("add-rm-batch", "k", "ann", &batch).await;
        assert_eq!(ids(answer), [1, 2]);
    }
    service.overwrites(1).await;
    for token in ["ann:first", "ann:second"] {
        let body = json!({"overwrite_from_index_token": token});
        let answer = service.ask_with("1/rollback", "r", "ann", &body).await;
        assert_eq!(number(&answer), 3);
    }
}

#[tokio::test]
async fn what_was_taken_once_is_not_refused_later() {
    let mut service = Service::new();
    service.deps.api.max_live_requests = 1;
    number(&service.ask_with("add", "k", "ann", &good()).await);
    assert_eq!(
        service.ask_with("add", "l", "ann", &good()).await.status,
        429
    );
    assert_eq!(
        number(&service.ask_with("add", "k", "ann", &good()).await),
        1
    );
}

#[tokio::test]
async fn a_login_may_be_a_new_one_and_is_kept_once() {
    let service = Service::new();
    let with_token = |token: &str| {
        let mut body = good();
        body["overwrite_from_index"] = json!(true);
        body["overwrite_from_index_token"] = json!(token);
        body
    };
    for token in ["ann:first", "ann:second"] {
        let answer = service
            .ask_with("add", "k", "ann", &with_token(token))
            .await;
        assert_eq!(number(&answer), 1);
    }
    assert_eq!(service.secrets.count(), 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let service = Service::new();
    let long = "k".repeat(10 * 1024);
    let answer = service.ask_with("add", &long, "ann", &good()).await;
    answer.assert_error(
        400,
        "The Idempotency-Key has 10240 characters, and at most 255 are taken: send a shorter one, such as a UUID",
    );
    for key in ["", "\"", "a\\b"] {
        let answer = service.ask_with("add", key, "ann", &good()).await;
        assert_eq!(answer.status, 400, "{key:?}");
    }
    let mut twice = call("add", "k", "ann", &good());
    twice
        .headers_mut()
        .append("idempotency-key", "l".parse().unwrap());
    service
        .ask(twice)
        .await
        .assert_error(400, "There are several Idempotency-Keys: send one");
    assert_eq!(service.queue.waiting().len(), 0);
}
