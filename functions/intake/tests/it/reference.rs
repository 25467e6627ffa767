//! The description of the API: what is checked in, what is served, and the page.

use axum::body::Body;
use http::StatusCode;
use iib_intake::openapi_document;
use iib_request::{BATCHES, KINDS};
use serde_json::json;

use crate::described::conforms;
use crate::service::{Service, at, good};

const CHECKED_IN: &str = include_str!("../../../../docs/openapi.json");

#[test]
fn the_description_that_is_checked_in_is_that_of_the_code() {
    let now = serde_json::to_string_pretty(openapi_document()).unwrap();
    assert!(
        now.trim() == CHECKED_IN.trim(),
        "docs/openapi.json is another: run `cargo run -p iib-intake --example openapi`"
    );
}

#[test]
fn users_are_told_nothing_that_only_developers_understand() {
    for word in ["spec rest-api", "§", "[`", "reference has", "Ours"] {
        assert!(!CHECKED_IN.contains(word), "{word}");
    }
}

#[tokio::test]
async fn the_description_has_the_address_that_was_called() {
    let service = Service::new();
    for (prefix, url) in [
        (None, "http://iib.example:8080/api/v1"),
        (Some("/stage"), "http://iib.example:8080/stage/api/v1"),
    ] {
        let mut call = at("GET", "/api/v1/openapi.json");
        if let Some(prefix) = prefix {
            call = call.header("x-forwarded-prefix", prefix);
        }
        let answer = service.ask(call.body(Body::empty()).unwrap()).await;
        let mut document = answer.json();
        assert_eq!(document["servers"], json!([{"url": url}]));
        document["servers"] = openapi_document()["servers"].clone();
        assert_eq!(&document, openapi_document());
    }
}

#[tokio::test]
async fn bodies_that_are_taken_are_those_that_are_described() {
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let mut bad = good();
    conforms(&schema("AddCall"), &bad, "add");
    bad["binary_imag"] = json!("r.example/b:1");
    let refused = std::panic::catch_unwind(|| conforms(&schema("AddCall"), &bad, "add"));
    assert!(refused.is_err());
    let calls = KINDS
        .map(|kind| kind.name)
        .into_iter()
        .chain(BATCHES.map(|batch| batch.name));
    for name in calls {
        let path = format!("/builds/{name}");
        let said = &openapi_document()["paths"][path]["post"]["requestBody"];
        let reference = &said["content"]["application/json"]["schema"]["$ref"];
        let reference = reference.as_str().unwrap().trim_start_matches('#');
        let schema = openapi_document().pointer(reference);
        conforms(
            &said["content"]["application/json"]["schema"],
            &said["content"]["application/json"]["example"],
            name,
        );
        assert!(
            schema.is_some_and(|schema| schema["properties"].is_object()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_page_has_every_call_and_every_document() {
    let service = Service::new();
    let answer = service
        .ask(at("GET", "/docs").body(Body::empty()).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let paths = openapi_document()["paths"].as_object().unwrap();
    for said in paths
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values())
    {
        let id = said["operationId"].as_str().unwrap();
        assert!(answer.text.contains(&format!("id=\"{id}\"")), "{id}");
        assert!(answer.text.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    let schemas = openapi_document()["components"]["schemas"]
        .as_object()
        .unwrap();
    for name in schemas.keys() {
        assert!(
            answer.text.contains(&format!("<h3 id=\"{name}\">")),
            "{name}"
        );
    }
    assert!(answer.policy.unwrap().contains("default-src 'none'"));
    let style = service
        .ask(at("GET", "/assets/style.css").body(Body::empty()).unwrap())
        .await;
    assert_eq!(
        (style.status.as_u16(), &*style.media_type),
        (200, "text/css; charset=utf-8")
    );
}

#[test]
fn ids_of_calls_are_names_and_each_is_one() {
    let paths = openapi_document()["paths"].as_object().unwrap();
    let said = paths
        .values()
        .flat_map(|methods| methods.as_object().unwrap().values());
    let mut ids: Vec<&str> = said
        .map(|said| said["operationId"].as_str().unwrap())
        .collect();
    let plain = |id: &&str| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    assert!(ids.iter().all(plain), "{ids:?}");
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}
