//! Calls that ask only what a request would do.

use axum::body::Body;
use http::{Request, header};
use iib_ports::Requests as _;
use iib_request::RequestId;
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

fn call(path: &str, body: &Value) -> Request<Body> {
    at("POST", &format!("/api/v1/builds/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

async fn ids(service: &Service, query: &str) -> Vec<u64> {
    let answer = service.get(&format!("/api/v1/builds?{query}")).await;
    let document = answer.json();
    let items = document["items"].as_array().unwrap();
    assert_eq!(document["meta"]["total"], items.len(), "{document}");
    let ids = items.iter().map(|item| item["id"].as_u64().unwrap());
    ids.collect()
}

#[tokio::test]
async fn it_says_that_it_is_one_and_stands_in_a_list_of_its_own() {
    let service = Service::new();
    let real = service.ask(call("add", &good())).await;
    assert_eq!(real.json().get("dry_run"), None);
    let dry = service.ask(call("add?dry_run=true", &good())).await;
    assert_eq!(dry.status, 201);
    let shown = dry.json();
    assert_eq!(shown["dry_run"], true);
    assert_eq!(shown["index_image"], Value::Null);
    for document in ["plan", "diff"] {
        let url = shown[document]["url"].as_str().unwrap();
        assert!(
            url.ends_with(&format!("/api/v1/builds/2/{document}")),
            "{url}"
        );
    }
    let batch = json!({"build_requests": [good(), good()]});
    let several = service.ask(call("add-rm-batch?dry_run=true", &batch)).await;
    assert_eq!(several.json()[1]["dry_run"], true);
    let no_dry_run = service.ask(call("add?dry_run=false", &good())).await;
    assert_eq!(no_dry_run.json().get("dry_run"), None);

    assert_eq!(ids(&service, "").await, [5, 1]);
    assert_eq!(ids(&service, "dry_run=false").await, [5, 1]);
    assert_eq!(ids(&service, "dry_run=true").await, [4, 3, 2]);
    assert!(ids(&service, "batch=3").await.is_empty());
    assert_eq!(ids(&service, "batch=3&dry_run=true").await, [4, 3]);
    let page = service.get("/api/v1/builds?dry_run=true&per_page=1").await;
    let next = page.json()["meta"]["next"].clone();
    assert!(
        next.as_str()
            .unwrap()
            .ends_with("page=2&per_page=1&dry_run=true")
    );
    // A listing of them is for nobody else, and all are worked on.
    assert_eq!(service.queue.waiting().len(), 5);
    let stored = service.requests.get(RequestId(4)).await.unwrap();
    assert!(stored.unwrap().is_dry_run);
}

#[tokio::test]
async fn what_is_neither_yes_nor_no_is_refused_and_nothing_is_made() {
    let service = Service::new();
    let said = "\"dry_run\" is \"true\" for a request that is only to show what it would do, or \"false\": it has to be given so, and once";
    for query in [
        "dry_run=",
        "dry_run",
        "dry_run=1",
        "dry_run=TRUE",
        "dry-run=true",
        "dryrun=true",
        "dry_run=true&dry_run=false",
    ] {
        for path in ["add", "add-rm-batch", "1/rollback"] {
            let answer = service.ask(call(&format!("{path}?{query}"), &good())).await;
            answer.assert_error(400, said);
        }
        service
            .get(&format!("/api/v1/builds?{query}"))
            .await
            .assert_error(400, said);
    }
    assert!(ids(&service, "").await.is_empty());
}

#[tokio::test]
async fn the_key_of_a_dry_run_is_not_that_of_the_request() {
    let service = Service::new();
    let ask = async |path: &str| -> Answer {
        let mut call = call(path, &good());
        let key = header::HeaderValue::from_static("k");
        call.headers_mut().insert("Idempotency-Key", key);
        service.ask(call).await
    };
    assert_eq!(ask("add?dry_run=true").await.status, 201);
    assert_eq!(
        ask("add?dry_run=true").await.replayed.as_deref(),
        Some("true")
    );
    assert_eq!(ask("add").await.status, 422);
}

#[tokio::test]
async fn there_is_no_plan_before_there_is_one() {
    let service = Service::new();
    service.ask(call("add?dry_run=true", &good())).await;
    service.get("/api/v1/builds/1/plan").await.assert_error(
        400,
        "The request 1 has no plan yet: it has one once its images are resolved",
    );
    service.end(1).await;
    service.get("/api/v1/builds/1/plan").await.assert_error(
        404,
        "The request 1 failed and made nothing, so it has no plan: its logs say why",
    );
    let unknown = service.get("/api/v1/builds/9/plan").await;
    unknown.assert_error(404, "The requested resource was not found");
}

#[tokio::test]
async fn users_have_no_more_of_both_under_way_than_the_settings_say() {
    let mut service = Service::new();
    service.deps.api.max_live_requests = 1;
    let as_ann = async |path: &str| {
        let mut call = call(path, &good());
        let ann = iib_intake::User("ann".to_owned());
        call.extensions_mut().insert(ann);
        service.ask(call).await
    };
    assert_eq!(as_ann("add?dry_run=true").await.status, 201);
    assert_eq!(as_ann("add?dry_run=true").await.status, 429);
    assert_eq!(as_ann("add").await.status, 429);
}
