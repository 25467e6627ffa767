//! Under which names a service answers, and which it gives in its answers.

use axum::body::Body;
use http::{HeaderName, Request, StatusCode, header};
use iib_intake::on_loopback;
use iib_request::ApiSettings;
use serde_json::json;
use tower::ServiceExt as _;

use crate::service::{Service, good};

async fn called_as(host: Option<&str>, api: &ApiSettings) -> StatusCode {
    called_with(host.map(|host| (header::HOST, host)), api).await
}

async fn called_with(
    headers: impl IntoIterator<Item = (HeaderName, &str)>,
    api: &ApiSettings,
) -> StatusCode {
    let service = Service::new();
    let router = on_loopback(service.router(), api);
    let mut request = Request::get("/api/v1/builds");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    router.oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_foreign_name_that_leads_to_loopback_is_refused() {
    let plain = ApiSettings::default();
    for host in [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1:8080",
        "127.1.2.3",
        "[::1]:8080",
        "[::1]",
        "localhost.",
    ] {
        assert_eq!(called_as(Some(host), &plain).await, 200, "{host}");
    }
    assert_eq!(called_as(None, &plain).await, 200);
    let foreign = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[fd00::1]:8080",
        "",
    ];
    for host in foreign {
        assert_eq!(called_as(Some(host), &plain).await, 421, "{host}");
    }
    let named = ApiSettings {
        public_url: Some("https://iib.example:443/prod".parse().unwrap()),
        hosts: ["devbox", "other.example:81", "whole.example."]
            .map(Into::into)
            .into(),
        ..plain
    };
    for (host, status) in [
        ("iib.example", 200),
        ("IIB.example:8080", 200),
        ("devbox:8080", 200),
        ("whole.example", 200),
        ("devbox.", 200),
        ("other.example:81", 200),
        ("other.example:82", 421),
        ("evil.example", 421),
    ] {
        assert_eq!(called_as(Some(host), &named).await, status, "{host}");
    }
}

#[tokio::test]
async fn a_foreign_page_is_refused_whatever_name_it_calls() {
    let api = ApiSettings {
        public_url: Some("https://iib.example".parse().unwrap()),
        ..ApiSettings::default()
    };
    for (page, status) in [
        ("http://localhost:3000", 200),
        ("https://iib.example", 200),
        ("https://evil.example", 421),
        ("http://localhost.evil.example", 421),
        ("null", 421),
        ("", 421),
    ] {
        let headers = [(header::HOST, "localhost"), (header::ORIGIN, page)];
        assert_eq!(called_with(headers, &api).await, status, "{page}");
    }
}

#[tokio::test]
async fn answers_name_the_public_address_whatever_was_called() {
    let mut service = Service::new();
    service.deps.api.public_url = Some("https://iib.example/prod/".parse().unwrap());
    let shown = service.add(good()).await.json();
    let builds = "https://iib.example/prod/api/v1/builds";
    assert_eq!(shown["logs"]["url"], format!("{builds}/1/logs"));
    let page = service.get("/api/v1/builds").await.json();
    let first = json!(format!("{builds}?page=1&per_page=20"));
    assert_eq!(page["meta"]["first"], first);
}
