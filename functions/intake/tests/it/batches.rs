//! Several requests in one call, and documents of requests.

use axum::body::Body;
use http::{Request, header};
use iib_ports::ArtifactKey;
use iib_request::RequestId;
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

fn post(path: &str, body: &Value) -> Request<Body> {
    at("POST", path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .unwrap()
}

async fn batch(service: &Service, name: &str, body: &Value) -> Answer {
    service
        .ask(post(&format!("/api/v1/builds/{name}"), body))
        .await
}

fn rm() -> Value {
    json!({
        "operators": ["lantern"], "from_index": "r.example/index:v4.6",
        "binary_image": "r.example/base:v4.6",
    })
}

#[tokio::test]
async fn a_batch_is_shown_request_by_request_with_its_notes() {
    let service = Service::new();
    let body = json!({"build_requests": [good(), rm()], "annotations": {"release": 7}});
    let answer = batch(&service, "add-rm-batch", &body).await;
    assert_eq!(answer.status, 201);
    let shown = answer.json();
    let members = |name: &str| -> Vec<Value> {
        shown
            .as_array()
            .unwrap()
            .iter()
            .map(|request| request[name].clone())
            .collect()
    };
    assert_eq!(members("id"), [1, 2]);
    assert_eq!(members("batch"), [1, 1]);
    assert_eq!(members("request_type"), ["add", "rm"]);
    assert_eq!(members("batch_annotations")[1], json!({"release": 7}));
    let listed = service.get("/api/v1/builds?batch=1&verbose=1").await.json();
    assert_eq!(listed["items"], json!([shown[1], shown[0]]));
    assert_eq!(service.queue.waiting().len(), 2);
}

#[tokio::test]
async fn one_that_is_refused_keeps_the_whole_batch_out() {
    let service = Service::new();
    let body = json!({"build_requests": [good(), {"operators": ["a"]}]});
    batch(&service, "add-rm-batch", &body).await.assert_error(
        400,
        "Missing required parameter(s): from_index. This occurred on the build request in index 1.",
    );
    let list = json!([good()]);
    batch(&service, "regenerate-bundle-batch", &list).await.assert_error(
        400,
        "The input data must be a JSON object and the \"build_requests\" value must be a non-empty array",
    );
    assert_eq!(
        service.get("/api/v1/builds").await.json()["meta"]["total"],
        0
    );
    service.queue.refuse_after(1);
    let body = json!({"build_requests": [good(), good(), rm()]});
    batch(&service, "add-rm-batch", &body).await.assert_error(
        500,
        "The scheduling of the build requests with IDs 2, 3 failed",
    );
}

#[tokio::test]
async fn a_secret_of_a_call_is_kept_and_shown_nowhere() {
    let service = Service::new();
    let auths = json!({"auths": {"r.example": {"auth": "aHVudGVyMg=="}}});
    let body = json!({"from_bundle_image": "r.example/b:1", "registry_auths": auths});
    let answer = service
        .ask(post("/api/v1/builds/regenerate-bundle", &body))
        .await;
    assert_eq!(answer.status, 201);
    let shown = service.get("/api/v1/builds/1").await.text;
    for text in [answer.text, shown] {
        assert!(!text.contains("aHVudGVyMg"), "{text}");
    }
    assert_eq!(service.secrets.count(), 1);
}

#[tokio::test]
async fn documents_are_there_for_requests_of_their_kind_that_have_ended() {
    let service = Service::new();
    let regenerate = json!({"from_bundle_image": "r.example/b:1"});
    service
        .ask(post("/api/v1/builds/regenerate-bundle", &regenerate))
        .await;
    let related = json!({"parent_bundle_image": "r.example/b:1"});
    service
        .ask(post("/api/v1/builds/recursive-related-bundles", &related))
        .await;
    let schema = "{\"b\":1, \"a\":[]}\n";
    let deprecations = json!({
        "operator_package": "lantern", "deprecation_schema": schema,
        "from_index": "r.example/index:v4.6", "binary_image": "r.example/base:v4.6",
    });
    service
        .ask(post("/api/v1/builds/add-deprecations", &deprecations))
        .await;
    // This one is there from the beginning, as it was sent.
    let answer = service.get("/api/v1/builds/3/deprecation-schema").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, schema)
    );
    for (path, what) in [
        ("1/related_bundles", "related_bundles"),
        ("2/nested-bundles", "nested_bundles"),
    ] {
        let id = &path[..1];
        service.get(&format!("/api/v1/builds/{path}")).await.assert_error(
            400,
            &format!("The request {id} is not complete yet. {what} will be available once the request is complete."),
        );
    }
    service.get("/api/v1/builds/2/related_bundles").await.assert_error(
        400,
        "The request 2 is of type recursive-related-bundles. This endpoint is only valid for requests of type regenerate-bundle.",
    );
    service.complete(1).await;
    service.complete(2).await;
    let missing = service.get("/api/v1/builds/1/related_bundles").await;
    missing.assert_error(404, "The requested resource was not found");
    service
        .store(&ArtifactKey::related_bundles(RequestId(1)), "[\"a:1\"]")
        .await;
    service
        .store(&ArtifactKey::nested_bundles(RequestId(2)), "[]")
        .await;
    for (path, text) in [
        ("1/related_bundles", "[\"a:1\"]"),
        ("2/nested-bundles", "[]"),
        ("2/nested_bundles", "[]"),
    ] {
        let answer = service.get(&format!("/api/v1/builds/{path}")).await;
        assert_eq!(
            (answer.media_type.as_str(), answer.text.as_str()),
            ("application/json", text)
        );
    }
}
