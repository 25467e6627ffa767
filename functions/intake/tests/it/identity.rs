//! Who calls, and what they may.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, header};
use iib_intake::User;
use serde_json::{Value, json};

use crate::service::{Answer, Service, add, at, good};

const UNAUTHORIZED: &str = "The server could not verify that you are authorized to access the URL requested. You either supplied the wrong credentials (e.g. a bad password), or your browser doesn't understand how to supply the credentials required.";

fn login_demanded() -> Service {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    service
}

#[tokio::test]
async fn changing_anything_needs_a_user_where_login_is_demanded() {
    let service = login_demanded();
    service.add(good()).await.assert_error(401, UNAUTHORIZED);
    service
        .add_as("", good())
        .await
        .assert_error(401, UNAUTHORIZED);
    assert_eq!(service.get("/api/v1/builds").await.status, 200);
    assert_eq!(service.add_as("ann", good()).await.json()["user"], "ann");
}

#[tokio::test]
async fn reading_needs_a_user_too_where_the_settings_say_so() {
    let mut service = login_demanded();
    service.deps.api.reads_need_login = true;
    assert_eq!(service.add_as("ann", good()).await.status, 201);
    for path in [
        "/api/v1/builds",
        "/api/v1/builds?cursor=",
        "/api/v1/builds/1",
        "/api/v1/builds/1/logs",
        "/api/v1/builds/1/plan",
        "/api/v1/builds/1/uploads",
        // Whether there is one is nobody's business.
        "/api/v1/builds/999",
    ] {
        service.get(path).await.assert_error(401, UNAUTHORIZED);
        let call = at("GET", path).extension(User("ann".to_owned()));
        let call = call.body(Body::empty()).unwrap();
        assert_ne!(service.ask(call).await.status, 401, "{path}");
    }
    for path in ["/", "/requests/1", "/indexes"] {
        let page = service.get(path).await;
        assert_eq!(page.status, 401, "{path}");
        assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
        assert!(!page.text.contains("ann"), "{}", page.text);
    }
    for path in [
        "/api/v1/healthcheck",
        "/readyz",
        "/api/v1/openapi.json",
        "/docs",
        "/problems",
        "/assets/style.css",
    ] {
        assert_eq!(service.get(path).await.status, 200, "{path}");
    }
    // Path and method come first.
    let nowhere = service.get("/api/v1/builds/1/nothing").await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(service.get("/api/v1/builds/add").await.status, 405);
    let head = service.call("HEAD", "/api/v1/builds").await;
    assert_eq!(head.status, 401);
}

#[tokio::test]
async fn login_comes_before_the_body_and_after_path_and_method() {
    let service = login_demanded();
    let bad_body = service.call("POST", "/api/v1/builds/add").await;
    bad_body.assert_error(401, UNAUTHORIZED);
    let method = service.get("/api/v1/builds/add").await;
    method.assert_error(405, "The method is not allowed for the requested URL.");
    let path = service.call("POST", "/api/v1/builds/nothing").await;
    path.assert_error(404, "The requested resource was not found");
}

#[tokio::test]
async fn a_user_counts_also_where_none_is_demanded() {
    let service = Service::new();
    let mut overwrite = good();
    overwrite["overwrite_from_index"] = json!(true);
    let answer = service.add_as("ann", overwrite.clone()).await;
    answer.assert_error(
        403,
        "You must set \"overwrite_from_index_token\" to use \"overwrite_from_index\"",
    );
    assert_eq!(service.add(overwrite).await.status, 201);
    assert_eq!(service.add_as("ann", good()).await.json()["user"], "ann");
}

#[tokio::test]
async fn the_binary_image_is_optional_where_the_settings_have_some() {
    let mut service = Service::new();
    service
        .deps
        .binary_images
        .insert("prod".to_owned(), [].into());
    let mut payload = good();
    payload["binary_image"] = json!(null);
    let answer = service.add(payload).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["binary_image"]),
        (201, &json!(null))
    );
}

const HEADER: &str = "X-Remote-User";

fn behind_a_proxy(login_disabled: bool) -> Service {
    let mut service = Service::new();
    let api = &mut service.deps.api;
    api.login_disabled = login_disabled;
    api.trusted_user_header = Some(HEADER.to_owned());
    api.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "10.2.0.0/24".parse().unwrap()];
    service
}

/// A call from an address, with these values of the header.
async fn from(service: &Service, peer: Option<&str>, names: &[&[u8]]) -> Answer {
    let mut call: Request<Body> = add(&good());
    if let Some(peer) = peer {
        let peer: SocketAddr = peer.parse().unwrap();
        call.extensions_mut().insert(ConnectInfo(peer));
    }
    for name in names {
        call.headers_mut()
            .append(HEADER, (*name).try_into().unwrap());
    }
    service.ask(call).await
}

#[tokio::test]
async fn the_header_of_a_trusted_proxy_names_the_user() {
    let service = behind_a_proxy(false);
    for peer in ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "10.2.0.7:1"] {
        let answer = from(&service, Some(peer), &[b"ann@EXAMPLE.TEST"]).await;
        assert_eq!(answer.json()["user"], "ann@EXAMPLE.TEST", "{peer}");
    }
    let spelled = "j\u{f6}rg".as_bytes();
    let answer = from(&service, Some("127.0.0.1:1"), &[spelled]).await;
    assert_eq!(answer.json()["user"], "j\u{f6}rg");
}

#[tokio::test]
async fn the_header_from_anywhere_else_says_nothing() {
    for peer in [
        None,
        Some("127.0.0.2:1"),
        Some("10.2.1.0:1"),
        Some("[::1]:1"),
    ] {
        let answer = from(&behind_a_proxy(false), peer, &[b"ann"]).await;
        answer.assert_error(401, UNAUTHORIZED);
        let answer = from(&behind_a_proxy(true), peer, &[b"ann"]).await;
        assert_eq!(answer.json()["user"], Value::Null, "{peer:?}");
    }
    // Without the setting it says nothing either.
    let answer = from(&Service::new(), Some("127.0.0.1:1"), &[b"ann"]).await;
    assert_eq!(answer.json()["user"], Value::Null);
}

#[tokio::test]
async fn a_header_that_may_be_the_client_s_own_is_not_believed() {
    let service = behind_a_proxy(true);
    let long = [b'a'; 513];
    let cases: [&[&[u8]]; 4] = [&[b"ann", b"bob"], &[b"ann", b""], &[b"\xff"], &[&long]];
    for names in cases {
        let answer = from(&service, Some("127.0.0.1:1"), names).await;
        answer.assert_error(401, UNAUTHORIZED);
    }
    // An empty one is a call without a login.
    for (service, status) in [(behind_a_proxy(true), 201), (behind_a_proxy(false), 401)] {
        let answer = from(&service, Some("127.0.0.1:1"), &[b""]).await;
        assert_eq!(answer.status, status);
    }
}

async fn change(service: &Service, user: Option<&str>, body: &str, id: u64) -> Answer {
    let call = at("PATCH", &format!("/api/v1/builds/{id}"));
    let call = call.header(header::CONTENT_TYPE, "application/json");
    let mut call = call.body(Body::from(body.to_owned())).unwrap();
    call.extensions_mut().extend(
        user.map(|user| {
            let mut extensions = http::Extensions::new();
            extensions.insert(User(user.to_owned()));
            extensions
        })
        .unwrap_or_default(),
    );
    service.ask(call).await
}

#[tokio::test]
async fn only_workers_change_requests_from_outside() {
    const RESTRICTED: &str = "This API endpoint is restricted to IIB workers";
    let mut service = login_demanded();
    service.deps.api.worker_usernames = vec!["worker@A".to_owned()];
    service.add_as("ann", good()).await;
    let body = r#"{"arches": ["amd64"]}"#;
    change(&service, None, body, 1)
        .await
        .assert_error(401, UNAUTHORIZED);
    for user in ["ann", "worker@a", "worker"] {
        // Before the body is read, and before it is looked for the request.
        for id in [1, 9] {
            change(&service, Some(user), "{", id)
                .await
                .assert_error(403, RESTRICTED);
        }
    }
    let changed = change(&service, Some("worker@A"), body, 1).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["arches"]),
        (200, &json!(["amd64"]))
    );
    // Without login, who gives no name may; who gives one has to be a worker.
    service.deps.api.login_disabled = true;
    assert_eq!(change(&service, None, body, 1).await.status, 200);
    change(&service, Some("ann"), body, 1)
        .await
        .assert_error(403, RESTRICTED);
}

#[tokio::test]
async fn a_change_is_an_object_with_something_in_it() {
    let service = Service::new();
    service.add(good()).await;
    for (body, text) in [
        (
            "{",
            "The browser (or proxy) sent a request that this server could not understand.",
        ),
        (
            "",
            "The browser (or proxy) sent a request that this server could not understand.",
        ),
        ("[]", "The input data must be a JSON object"),
        (
            "{}",
            "At least one key must be specified to update the request",
        ),
    ] {
        change(&service, None, body, 1)
            .await
            .assert_error(400, text);
    }
    let deep = format!("{{\"arches\": {}{}}}", "[".repeat(200), "]".repeat(200));
    let answer = change(&service, None, &deep, 1).await;
    assert_eq!(answer.status, 400);
    let missing = change(&service, None, r#"{"arches": []}"#, 2).await;
    missing.assert_error(404, "The requested resource was not found");
}

#[tokio::test]
async fn who_has_as_many_requests_as_may_go_on_waits_until_some_have_ended() {
    let mut service = Service::new();
    service.deps.api.max_live_requests = 2;
    for _ in 0..2 {
        assert_eq!(service.add_as("ann", good()).await.status, 201);
    }
    let answer = service.add_as("ann", good()).await;
    answer.assert_error(
        429,
        "The user ann has 2 requests that go on, and at most 2 may at once: wait until some have ended",
    );
    assert_eq!(answer.retry_after.as_deref(), Some("30"));
    // Others may, and so may those whom nobody knows.
    assert_eq!(service.add_as("bob", good()).await.status, 201);
    assert_eq!(service.add(good()).await.status, 201);
    service.end(1).await;
    assert_eq!(service.add_as("ann", good()).await.status, 201);
    // A batch counts as what is in it.
    let mut batch = at("POST", "/api/v1/builds/add-rm-batch")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(
            json!({"build_requests": [good(), good()]}).to_string(),
        ))
        .unwrap();
    batch.extensions_mut().insert(User("bob".to_owned()));
    assert_eq!(service.ask(batch).await.status, 429);
}
