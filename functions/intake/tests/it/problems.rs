//! Errors for clients that take problem documents, and the pages of their kinds.

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::service::{Answer, Service, at, good};

const PROBLEM: &str = "application/problem+json";

fn call(method: &str, path: &str, accept: &str, body: Option<&Value>) -> Request<Body> {
    let call = at(method, path).header(header::ACCEPT, accept);
    let call = call.header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    call.body(body).unwrap()
}

fn problem(answer: &Answer) -> Value {
    assert_eq!(answer.media_type, PROBLEM, "{}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

#[tokio::test]
async fn whoever_takes_problem_documents_gets_them_and_others_what_they_know() {
    let service = Service::new();
    service.add(good()).await;
    let mut bad = good();
    bad["from_index"] = json!("no-tag");
    let cases = [
        ("GET", "/api/v1/builds/9", None, "not-found", 404),
        ("GET", "/nowhere", None, "not-found", 404),
        (
            "DELETE",
            "/api/v1/builds/1",
            None,
            "method-not-allowed",
            405,
        ),
        ("GET", "/api/v1/builds/1/diff", None, "not-finished", 400),
        (
            "GET",
            "/api/v1/builds/1?wait=99",
            None,
            "bad-parameter",
            400,
        ),
        ("GET", "/api/v1/builds?state=odd", None, "not-a-choice", 400),
        ("GET", "/api/v1/builds?page=77", None, "no-such-page", 404),
        ("POST", "/api/v1/builds/add", Some(&bad), "image", 400),
        (
            "POST",
            "/api/v1/builds/rm",
            Some(&json!([])),
            "no-object",
            400,
        ),
    ];
    for (method, path, body, name, status) in cases {
        let plain = service.ask(call(method, path, "*/*", body)).await;
        assert_eq!(plain.status, status, "{path}: {}", plain.text);
        let plain = plain.json();
        let error = plain["error"].as_str().unwrap();
        assert_eq!(plain, json!({"error": error}));
        let accept = format!("application/json, {PROBLEM}");
        let told = service.ask(call(method, path, &accept, body)).await;
        assert_eq!(told.status, status);
        let told = problem(&told);
        assert_eq!(told["type"], format!("/problems/{name}"), "{path}");
        assert_eq!(
            (&told["status"], &told["detail"]),
            (&json!(status), &json!(error))
        );
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!(told["instance"], path);

        let page = service.get(told["type"].as_str().unwrap()).await;
        assert_eq!(
            (page.status.as_u16(), &*page.media_type),
            (200, "text/html; charset=utf-8")
        );
        let title = told["title"].as_str().unwrap();
        assert!(
            page.text.contains(&format!("<h1>{title}</h1>")),
            "{}",
            page.text
        );
        assert!(page.policy.unwrap().contains("default-src 'none'"));
    }
    // What is no error is as ever.
    let shown = service
        .ask(call("GET", "/api/v1/builds/1", PROBLEM, None))
        .await;
    assert_eq!(shown.json()["id"], 1);
}

#[tokio::test]
async fn the_parameter_is_named_and_every_kind_has_a_page() {
    let service = Service::new();
    let call = call(
        "POST",
        "/api/v1/builds/rm",
        PROBLEM,
        Some(&json!({"operators": ["a"], "from_index": 5, "binary_image": "r.example/b:1"})),
    );
    assert_eq!(problem(&service.ask(call).await)["field"], "from_index");
    let list = service.get("/problems").await.text;
    let links = list.split("href=\"").skip(1);
    let links: Vec<&str> = links.filter_map(|rest| rest.split('"').next()).collect();
    assert!(links.len() > 30, "{list}");
    for link in links.into_iter().filter(|link| !link.starts_with('#')) {
        assert_eq!(service.get(link).await.status, 200, "{link}");
    }
}
