//! What a request overwrote is asked back.

use axum::body::Body;
use http::header;
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

async fn roll_back(service: &Service, id: u64, payload: &Value) -> Answer {
    let request = at("POST", &format!("/api/v1/builds/{id}/rollback"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(payload.to_string()));
    service.ask(request.unwrap()).await
}

#[tokio::test]
async fn there_has_to_be_something_to_put_back() {
    let service = Service::new();
    let none = json!({});
    let answer = roll_back(&service, 1, &none).await;
    answer.assert_error(404, "The requested resource was not found");
    service.add(good()).await;
    let answer = roll_back(&service, 1, &none).await;
    answer.assert_error(
        400,
        "The request 1 goes on: wait until it has ended, then roll it back",
    );
    service.complete(1).await;
    let answer = roll_back(&service, 1, &none).await;
    answer.assert_error(
        400,
        "The request 1 overwrote no index, so there is nothing to put back",
    );
    service.overwrites(1).await;
    let answer = roll_back(&service, 1, &json!({"force": true})).await;
    answer.assert_error(400, "The following parameters are invalid: force");
    assert_eq!(
        service.queue.waiting().len(),
        1,
        "nothing is stored of what is refused"
    );
}

#[tokio::test]
async fn nothing_has_to_be_said() {
    let service = Service::new();
    service.add(good()).await;
    service.overwrites(1).await;
    let bare = |body: &'static str| at("POST", "/api/v1/builds/1/rollback").body(body.into());
    let answer = service.ask(bare("force").unwrap()).await;
    assert_eq!(answer.status, 415, "{}", answer.text);
    // Any page may send that, wherever it is from.
    let mut foreign = bare("").unwrap();
    let origin = "https://evil.example".parse().unwrap();
    foreign.headers_mut().insert(header::ORIGIN, origin);
    let refused = service.ask(foreign).await;
    refused.assert_error(403, "A page of another site called: nothing was done");
    let answer = service.ask(bare("").unwrap()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn a_listing_finds_it() {
    let service = Service::new();
    service.add(good()).await;
    service.overwrites(1).await;
    assert_eq!(roll_back(&service, 1, &json!({})).await.status, 201);
    let listed = service.get("/api/v1/builds?request_type=rollback").await;
    let items = &listed.json()["items"];
    assert_eq!(items.as_array().map(Vec::len), Some(1));
    assert_eq!(items[0]["id"], 2);
}

#[tokio::test]
async fn its_path_takes_nothing_else() {
    let service = Service::new();
    let answer = service.get("/api/v1/builds/1/rollback").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.allow.as_deref(), Some("POST"));
    let answer = service.get("/api/v1/builds/x/rollback").await;
    assert_eq!(answer.status, 404);
}
