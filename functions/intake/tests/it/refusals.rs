use axum::body::Body;
use http::header;
use iib_oci::hosts::{Addresses, HostRules, HostSettings};
use serde_json::json;

use crate::service::{Service, add, at, good};

const MALFORMED: &str =
    "The browser (or proxy) sent a request that this server could not understand.";
const NO_OBJECT: &str = "The input data must be a JSON object";
const MEDIA_TYPE: &str = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.";
const NOTHING_TO_BUILD: &str = "\"from_index\" must be specified if no bundles are specified";

fn post(media_type: Option<&str>, body: impl Into<Body>) -> http::Request<Body> {
    let request = at("POST", "/api/v1/builds/add");
    let request = match media_type {
        Some(media_type) => request.header(header::CONTENT_TYPE, media_type),
        None => request,
    };
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn images_where_the_service_does_not_go_are_refused_by_host_and_setting() {
    let mut service = Service::new();
    let settings = HostSettings {
        addresses: Addresses::OnlyOutside,
        ..HostSettings::default()
    };
    service.deps.hosts = HostRules::new(&settings).unwrap();
    // Addresses of the newer form are no part of a pull spec, which pin says.
    for host in [
        "127.0.0.1:5000",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0x7f.1",
        "localhost:5000",
    ] {
        for field in ["from_index", "binary_image"] {
            let mut payload = good();
            payload[field] = json!(format!("{host}/a/b:v1"));
            let answer = service.add(payload).await;
            let text = answer.json()["error"].as_str().unwrap().to_owned();
            assert_eq!(answer.status, 400, "{host}: {text}");
            for part in [&format!("\"{field}\""), host, "registries.allowed"] {
                assert!(text.contains(part), "no {part} in {text}");
            }
        }
    }
    assert_eq!(service.add(good()).await.status, 201);
}

#[tokio::test]
async fn a_body_has_to_be_a_json_object() {
    let json = Some("application/json");
    let cases = [
        (None, "{}", 415, MEDIA_TYPE),
        (Some(""), "{}", 415, MEDIA_TYPE),
        (Some("text/plain"), "{}", 415, MEDIA_TYPE),
        (Some("text/json"), "{}", 415, MEDIA_TYPE),
        (
            Some("application/x-www-form-urlencoded"),
            "a=1",
            415,
            MEDIA_TYPE,
        ),
        (Some("text/plain"), "{\"half", 415, MEDIA_TYPE),
        (json, "", 400, MALFORMED),
        (json, "{\"half", 400, MALFORMED),
        (json, "{'bundles': []}", 400, MALFORMED),
        (json, "null", 400, NO_OBJECT),
        (json, "\"text\"", 400, NO_OBJECT),
        (json, "17", 400, NO_OBJECT),
        (json, "[]", 400, NO_OBJECT),
        (json, "{}", 400, NOTHING_TO_BUILD),
        (
            Some("Application/JSON; charset=utf-8"),
            "{}",
            400,
            NOTHING_TO_BUILD,
        ),
        (
            Some("application/vnd.release+json"),
            "{}",
            400,
            NOTHING_TO_BUILD,
        ),
    ];
    let service = Service::new();
    for (media_type, body, status, text) in cases {
        let answer = service.ask(post(media_type, body)).await;
        answer.assert_error(status, text);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let service = Service::new();
    let mut payload = good();
    payload["organization"] = json!("x".repeat(1024 * 1024));
    service.ask(add(&payload)).await.assert_error(
        413,
        "The body is larger than 1048576 bytes, which is the most that is read: split it into several requests.",
    );
}

#[tokio::test]
async fn a_payload_is_refused_with_the_status_of_its_fault_and_nothing_is_left() {
    let service = Service::new();
    let mut unknown = good();
    unknown["operators"] = json!(["x"]);
    let answer = service.add(unknown).await;
    answer.assert_error(400, "The following parameters are invalid: operators");
    let mut mode = good();
    mode["graph_update_mode"] = json!("semver");
    let answer = service.add(mode).await;
    answer.assert_error(
        403,
        "\"graph_update_mode\" can only be used on the following index image: []",
    );
    assert_eq!(
        service.get("/api/v1/builds").await.json()["meta"]["total"],
        0
    );
    assert_eq!(service.queue.waiting(), []);
    // The id of a refused request is not used up.
    assert_eq!(service.add(good()).await.json()["id"], 1);
}

#[tokio::test]
async fn a_filter_finds_what_it_says_or_is_refused() {
    let service = Service::new();
    service.add(good()).await;
    service.add_as("ann", good()).await;
    service.end(2).await;
    let ids = async |query: &str| -> Vec<u64> {
        let answer = service.get(&format!("/api/v1/builds?{query}")).await.json();
        let items = answer["items"].as_array().unwrap().clone();
        assert_eq!(answer["meta"]["total"], items.len());
        items
            .iter()
            .map(|item| item["id"].as_u64().unwrap())
            .collect()
    };
    for (query, found) in [
        ("state=failed", vec![2]),
        ("state=in_progress&state=failed", vec![1]),
        ("user=ann", vec![2]),
        ("user=ann&state=in_progress", vec![]),
        ("batch=1", vec![1]),
        ("batch=1&state=in_progress", vec![1]),
        ("from_index=r.example/index:v4.6", vec![2, 1]),
        ("from_index_startswith=r.example/index", vec![2, 1]),
        ("request_type=rm", vec![]),
        ("color=red", vec![2, 1]),
    ] {
        assert_eq!(ids(query).await, found, "{query}");
    }
    for (query, status, text) in [
        (
            "state=done&page=0",
            400,
            "done is not a valid build request state. Valid states are: complete, failed, in_progress",
        ),
        ("batch=", 400, "The batch must be a positive integer"),
        (
            "index_image=r.example/x:1&page=0",
            400,
            "r.example/x:1 is not a valid index image",
        ),
        (
            "state=failed&page=2",
            404,
            "The requested resource was not found",
        ),
    ] {
        let answer = service.get(&format!("/api/v1/builds?{query}")).await;
        answer.assert_error(status, text);
    }
}
