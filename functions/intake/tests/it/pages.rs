//! Pages for people, as they come: what they look like in a browser is looked at by `infra/pages/test`.

use axum::body::Body;
use iib_ports::Logs;
use iib_request::{Facts, RequestId};
use serde_json::json;

use crate::changes::service_with_alpha;
use crate::service::{Answer, Service, at, good};

/// Names that want to be more than names.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

#[track_caller]
fn assert_harmless(answer: &Answer) {
    assert_eq!(answer.media_type, "text/html; charset=utf-8");
    let policy = answer.policy.as_deref().unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for bad in ["<script>", "<img src=x", "onerror=alert(1)>"] {
        assert!(!answer.text.contains(bad), "{bad} in {}", answer.text);
    }
    // What the policy would keep from working.
    assert!(!answer.text.contains(" style=") && !answer.text.contains("<style"));
}

#[tokio::test]
async fn requests_are_listed_piece_by_piece_with_what_is_asked_for() {
    let service = Service::new();
    for _ in 0..21 {
        service.add_as("ann", good()).await;
    }
    service.add_as("bob", good()).await;
    service.complete(3).await;
    let newest = service.get("/").await;
    assert_harmless(&newest);
    assert!(
        newest.text.contains("href=\"/requests/22\"") && !newest.text.contains("/requests/2\"")
    );
    assert!(
        newest.text.contains("href=\"/?cursor=3\""),
        "{}",
        newest.text
    );
    let older = service.get("/?cursor=3").await.text;
    assert!(
        older.contains("/requests/2\"") && older.contains("The newest") && !older.contains("Older")
    );
    let anns = service.get("/?user=ann&state=&request_type=add").await.text;
    assert!(anns.contains("/requests/21\"") && !anns.contains("/requests/22\""));
    assert!(anns.contains("<option selected>add</option>") && anns.contains("value=\"ann\""));
    assert!(
        anns.contains("href=\"/?cursor=2&#38;request_type=add&#38;user=ann\""),
        "{anns}"
    );
    let complete = service.get("/?state=complete").await.text;
    assert!(complete.contains("/requests/3\"") && !complete.contains("/requests/4\""));
    let none = service.get("/?dry_run=true").await.text;
    assert!(none.contains("There are none") && none.contains("checked"));
}

#[tokio::test]
async fn what_is_wrong_with_a_filter_is_told_in_the_page() {
    let service = Service::new();
    for (query, told) in [
        ("state=odd", "odd is not a valid build request state"),
        (
            "from_index_startswith=r.example/nobody",
            "Can&#39;t find any from_index",
        ),
        ("cursor=x", "which is none"),
        ("dry_run=perhaps", "has to be given so"),
    ] {
        let answer = service.get(&format!("/?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_harmless(&answer);
        assert!(
            answer.text.contains("role=\"alert\"") && answer.text.contains(told),
            "{}",
            answer.text
        );
    }
    let hostile = service
        .get("/?state=%3Cscript%3Ealert(1)%3C/script%3E&user=%22%3E%3Cscript%3E")
        .await;
    assert_harmless(&hostile);
}

#[tokio::test]
async fn a_list_is_small_whatever_names_are_in_it() {
    let service = Service::new();
    let long = "<>&'".repeat(200);
    let bundle = format!("r.example/{long}:1");
    let call = json!({
        "bundles": [&bundle, format!("{bundle}2"), format!("{bundle}3")],
        "from_index": format!("r.example/{long}:1"),
        "binary_image": "r.example/base:v4.6",
    });
    for _ in 0..20 {
        let answer = service.add_as(&"u<".repeat(200), call.clone()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let list = service.get("/").await;
    assert_harmless(&list);
    assert!(list.text.len() <= 30 * 1024, "{}", list.text.len());
}

#[tokio::test]
async fn a_request_that_goes_on_is_followed_and_its_names_do_no_harm() {
    let service = Service::new();
    let mut call = good();
    call["organization"] = json!(HOSTILE);
    service.add_as(HOSTILE, call).await;
    service
        .logs
        .append(RequestId(1), &[HOSTILE.to_owned()])
        .await
        .unwrap();
    let page = service.get("/requests/1").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_harmless(&page);
    assert!(
        page.text
            .contains("data-url=\"/api/v1/builds/1\" data-version=\"1\""),
        "{}",
        page.text
    );
    assert!(
        page.text
            .contains("<script src=\"/assets/follow.js\" defer></script>")
    );
    assert!(page.text.contains("iib cancel 1") && page.text.contains("&#60;script&#62;"));
    let script = service.get("/assets/follow.js").await;
    assert_eq!(script.media_type, "text/javascript; charset=utf-8");
    assert!(script.text.contains("?after="));
}

#[tokio::test]
async fn a_complete_request_shows_what_came_of_it_and_how_to_ask_again() {
    let service = service_with_alpha().await;
    let page = service.get("/requests/1").await;
    assert_harmless(&page);
    for part in [
        "+ bundle alpha/alpha.v1.0.0",
        "<img src=\"/api/v1/builds/1/graph?package=alpha\" alt=\"Upgrade graph of alpha.",
        "href=\"/indexes?index=r.example%2Findex%3Av4.6\"",
        "&#34;$IIB_URL/api/v1/builds/add&#34; \\\n",
        "&#34;from_index&#34;: &#34;r.example/index:v4.6&#34;",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("follow.js") && !page.text.contains("data-version"));
    assert!(!page.text.contains("What to do"));
}

#[tokio::test]
async fn a_page_is_bounded_whatever_was_asked_for() {
    let service = Service::new();
    let mut call = good();
    call["organization"] = json!("'<".repeat(250_000));
    let answer = service.add(call).await;
    assert_eq!(answer.status, 201);
    let page = service.get("/requests/1").await;
    assert_harmless(&page);
    assert!(page.text.len() < 100_000, "{}", page.text.len());
    assert!(page.text.contains("The call is too long to be shown"));
}

#[tokio::test]
async fn the_call_that_is_shown_has_nothing_that_a_terminal_would_hide() {
    let service = Service::new();
    let mut call = good();
    call["organization"] = json!("a'b\u{7f}\u{202e}$(c)");
    call["overwrite_from_index"] = json!(true);
    service.add(call).await;
    let page = service.get("/requests/1").await.text;
    assert!(
        page.contains("a&#39;\\&#39;&#39;b\\u007f\\u202e$(c)"),
        "{page}"
    );
    assert!(page.contains("The index names the result then"));
    assert!(page.contains("<code>overwrite_from_index_token</code>"));
}

#[tokio::test]
async fn a_failed_request_says_what_to_do() {
    let service = Service::new();
    service.add(good()).await;
    service.end(1).await;
    let page = service.get("/requests/1").await.text;
    assert!(
        page.contains("What to do") && page.contains("the end of the log"),
        "{page}"
    );
    let service = Service::new();
    service.add(good()).await;
    let answer = service.call("POST", "/api/v1/builds/1/cancel").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = service.get("/requests/1").await.text;
    assert!(
        page.contains("cancelled") && page.contains("Somebody stopped it"),
        "{page}"
    );
}

#[tokio::test]
async fn an_index_shows_which_request_made_what_of_which() {
    let service = Service::new();
    service.add(good()).await;
    let result = Facts {
        index_image: Some("r.example/iib:1".to_owned()),
        index_image_resolved: Some("r.example/iib@sha256:0123456789abcdef".to_owned()),
        ..Facts::default()
    };
    service.complete_with(1, result).await;
    let all = service.get("/indexes").await;
    assert_harmless(&all);
    assert!(all.text.contains("r.example/index:v4.6"), "{}", all.text);
    let page = service.get("/indexes?index=r.example/iib:1").await.text;
    assert!(page.contains("sha256:0123456789ab<"), "{page}");
    assert!(
        page.contains("Requests that made it") && page.contains("/requests/1\""),
        "{page}"
    );
    let page = service
        .get("/indexes?index=r.example/index:v4.6")
        .await
        .text;
    assert!(page.contains("Requests that started from it"), "{page}");
    let none = service.get("/indexes?index=%3Cscript%3E").await;
    assert_eq!(none.status, 200);
    assert_harmless(&none);
    assert!(none.text.contains("No request that is listed"));
}

#[tokio::test]
async fn what_is_not_there_is_told_in_a_page_and_programs_are_told_as_ever() {
    let service = Service::new();
    for path in ["/requests/9", "/requests/x", "/problems/none"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_harmless(&answer);
        assert!(
            answer.text.contains("There is no such thing"),
            "{}",
            answer.text
        );
    }
    let elsewhere = service.get("/requests").await;
    assert_eq!(elsewhere.status, 308);
    assert_eq!(elsewhere.location.as_deref(), Some("/"));
    let browser = async |path| {
        let call = at("GET", path).header("accept", "text/html,*/*;q=0.8");
        service.ask(call.body(Body::empty()).unwrap()).await
    };
    let nowhere = browser("/docs/nowhere").await;
    assert_eq!(nowhere.status, 404);
    assert_harmless(&nowhere);
    for answer in [
        service.get("/api/v1/builds/9").await,
        service.get("/docs/nowhere").await,
        browser("/api/v1/nowhere").await,
    ] {
        answer.assert_error(404, "The requested resource was not found");
    }
}

#[tokio::test]
async fn behind_a_path_all_links_lead_there() {
    let service = Service::new();
    service.add(good()).await;
    for path in [
        "/",
        "/requests/1",
        "/indexes",
        "/docs",
        "/problems",
        "/requests/9",
    ] {
        let call = at("GET", path).header("x-forwarded-prefix", "/stage");
        let text = service.ask(call.body(Body::empty()).unwrap()).await.text;
        for rest in text
            .split("href=\"/")
            .skip(1)
            .chain(text.split("src=\"/").skip(1))
        {
            assert!(rest.starts_with("stage/"), "{path}: {}", &rest[..40]);
        }
        assert!(text.contains("/stage/assets/style.css"));
    }
}
