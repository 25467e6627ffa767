//! Calls as the API Gateway hands them over: the documents of `events/`.

use iib_intake::gateway;
use iib_request::{BATCHES, KINDS};
use lambda_http::{Context, LambdaEvent};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::changes::service_with_alpha;
use crate::service::{Service, good};

const ADD: &str = include_str!("../../../../events/api-add.json");
const PATCH: &str = include_str!("../../../../events/api-patch.json");
const PAGE: &str = include_str!("../../../../events/api-page.json");
const GET: &str = include_str!("../../../../events/api-get.json");
const REST: &str = include_str!("../../../../events/api-rest-get.json");
const GRAPH: &str = include_str!("../../../../events/api-graph.json");
const LIST: &str = include_str!("../../../../events/api-list.json");

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Hands an event over and returns what the API Gateway gets.
async fn hand_over(service: &Service, event: &Value) -> Value {
    let payload = serde_json::from_str(&event.to_string()).unwrap();
    let call = LambdaEvent::new(payload, Context::default());
    let response = gateway(service.router()).oneshot(call).await.unwrap();
    serde_json::to_value(&response).unwrap()
}

fn body(response: &Value) -> Value {
    assert_eq!(
        response["headers"]["content-type"], "application/json",
        "{response}"
    );
    assert_eq!(response["isBase64Encoded"], false);
    serde_json::from_str(response["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_add_request_comes_in_with_its_user() {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    let response = hand_over(&service, &event(ADD)).await;
    assert_eq!(response["statusCode"], 201);
    let shown = body(&response);
    assert_eq!(shown["user"], "ann@example.com");
    assert_eq!(
        shown["logs"]["url"],
        "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/api/v1/builds/1/logs"
    );
    assert_eq!(
        shown["bundles"],
        json!(["registry.example.com/ops/alpha-bundle:1.0.0"])
    );
}

/// The document of a kind, or of a batch.
fn document_of(endpoint: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    let text = std::fs::read_to_string(format!("{folder}/api-{endpoint}.json"));
    event(&text.unwrap_or_else(|error| panic!("{endpoint}: {error}")))
}

#[tokio::test]
async fn a_request_of_each_kind_comes_in() {
    for kind in &KINDS {
        let response = hand_over(&Service::new(), &document_of(kind.name)).await;
        assert_eq!(response["statusCode"], 201, "{response}");
        let shown = body(&response);
        assert_eq!(
            (&shown["id"], &shown["request_type"]),
            (&json!(1), &json!(kind.name))
        );
        assert_eq!(shown["user"], "ann@example.com");
    }
}

#[tokio::test]
async fn a_request_is_stopped() {
    let service = Service::new();
    service.add_as("ann@example.com", good()).await;
    let response = hand_over(&service, &document_of("cancel")).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    let reason = "The request was cancelled by ann@example.com";
    assert_eq!(body(&response)["state_reason"], reason);
}

#[tokio::test]
async fn what_a_request_overwrote_is_asked_back() {
    let service = Service::new();
    service.add(good()).await;
    service.overwrites(1).await;
    let response = hand_over(&service, &document_of("rollback")).await;
    assert_eq!(response["statusCode"], 201, "{response}");
    let shown = body(&response);
    assert_eq!(
        (&shown["id"], &shown["request_type"], &shown["rolled_back"]),
        (&json!(2), &json!("rollback"), &json!(1))
    );
    assert_eq!(shown["from_index"], "r.example/index:v4.6");
    assert!(!response.to_string().contains("example-password"));
}

#[tokio::test]
async fn a_batch_of_each_endpoint_comes_in() {
    for batch in &BATCHES {
        let response = hand_over(&Service::new(), &document_of(batch.name)).await;
        assert_eq!(response["statusCode"], 201, "{response}");
        let shown = body(&response);
        let batches = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|request| &request["batch"]);
        assert_eq!(batches.collect::<Vec<_>>(), [1, 1]);
    }
}

#[tokio::test]
async fn a_worker_changes_a_request() {
    let mut service = Service::new();
    service.add(good()).await;
    let response = hand_over(&service, &event(PATCH)).await;
    assert_eq!(response["statusCode"], 403);
    service.deps.api.worker_usernames = vec!["worker@example.com".to_owned()];
    let response = hand_over(&service, &event(PATCH)).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    assert_eq!(body(&response)["arches"], json!(["amd64", "s390x"]));
}

#[tokio::test]
async fn a_request_is_shown_and_errors_are_too() {
    let service = Service::new();
    let missing = hand_over(&service, &event(GET)).await;
    assert_eq!(missing["statusCode"], 404);
    assert_eq!(
        body(&missing),
        json!({"error": "The requested resource was not found"})
    );
    service.add(good()).await;
    let found = body(&hand_over(&service, &event(GET)).await);
    assert_eq!(
        found["logs"]["url"],
        "https://iib.example.com/api/v1/builds/1/logs"
    );
}

#[tokio::test]
async fn a_graph_goes_out_as_a_text() {
    let service = service_with_alpha().await;
    let response = hand_over(&service, &event(GRAPH)).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    assert_eq!(response["headers"]["content-type"], "image/svg+xml");
    // In base64 a picture near the limit would be too large for the platform.
    assert_eq!(response["isBase64Encoded"], false);
    let svg = response["body"].as_str().unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("alpha.v1.0.0"),
        "{svg}"
    );
}

#[tokio::test]
async fn the_stage_is_part_of_urls_and_not_of_paths() {
    let service = Service::new();
    for _ in 0..2 {
        service.add(good()).await;
    }
    let page = body(&hand_over(&service, &event(LIST)).await);
    let builds = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/prod/api/v1/builds";
    assert_eq!(page["meta"]["first"], format!("{builds}?page=1&per_page=1"));
    assert_eq!(page["items"][0]["logs"]["url"], format!("{builds}/1/logs"));

    // Behind a custom domain the stage does not show.
    let mut mapped = event(LIST);
    mapped["rawPath"] = json!("/api/v1/builds");
    mapped["requestContext"]["domainName"] = json!("iib.example.com");
    // A client may not say where others are to go.
    mapped["headers"]["x-forwarded-prefix"] = json!("/elsewhere");
    let page = body(&hand_over(&service, &mapped).await);
    let first = &page["meta"]["first"];
    assert_eq!(
        first,
        "https://iib.example.com/api/v1/builds?page=1&per_page=1"
    );
}

#[tokio::test]
async fn odd_hosts_and_schemes_get_an_answer() {
    let service = Service::new();
    let hosts = [
        "x.execute-api.127.0.0.1",
        "",
        "a b",
        "[::1",
        "%zz",
        "iib.example.com:99999",
        "iib.example.com/../..",
        "user:pass@iib.example.com",
        "evil.example",
    ];
    for host in hosts {
        for domain in [json!("iib.example.com"), json!("x.127.0.0.1"), json!(null)] {
            let mut call = event(LIST);
            call["rawQueryString"] = json!("");
            call["headers"]["host"] = json!(host);
            call["headers"]["x-forwarded-proto"] = json!("odd scheme");
            call["requestContext"]["domainName"] = domain.clone();
            let response = hand_over(&service, &call).await;
            assert_eq!(response["statusCode"], 200, "{host} {domain}");
            let first = &body(&response)["meta"]["first"];
            let expected = match domain.as_str() {
                Some("iib.example.com") => "iib.example.com",
                _ if host == "evil.example" => host,
                _ => "localhost",
            };
            let url = format!("https://{expected}/prod/api/v1/builds?page=1&per_page=20");
            assert_eq!(first, &json!(url), "{host} {domain}");
        }
    }
}

#[tokio::test]
async fn the_port_of_an_emulator_is_kept() {
    let mut call = event(GET);
    call["rawPath"] = json!("/api/v1/builds");
    call["requestContext"]["domainName"] = json!("abc.execute-api.localhost");
    call["headers"]["host"] = json!("abc.execute-api.localhost:4566");
    call["headers"]["x-forwarded-proto"] = json!("http");
    let page = body(&hand_over(&Service::new(), &call).await);
    assert_eq!(
        page["meta"]["first"],
        "http://abc.execute-api.localhost:4566/api/v1/builds?page=1&per_page=20"
    );
}

#[tokio::test]
async fn a_browser_is_shown_a_page() {
    let service = Service::new();
    service.add(good()).await;
    let response = hand_over(&service, &event(PAGE)).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    assert_eq!(response["isBase64Encoded"], false);
    let page = response["body"].as_str().unwrap();
    assert!(page.contains("href=\"/requests/1\""), "{page}");
    assert!(page.contains("<option selected>add</option>"), "{page}");
}

#[tokio::test]
async fn pages_are_below_the_stage_with_all_that_they_load() {
    let service = Service::new();
    service.add(good()).await;
    for path in ["/prod", "/prod/"] {
        let mut call = event(LIST);
        call["rawPath"] = json!(path);
        call["rawQueryString"] = json!("");
        let response = hand_over(&service, &call).await;
        assert_eq!(response["statusCode"], 200, "{response}");
        assert_eq!(response["isBase64Encoded"], false);
        let page = response["body"].as_str().unwrap();
        assert!(page.contains("href=\"/prod/requests/1\""), "{page}");
        assert!(page.contains("href=\"/prod/assets/style.css\""), "{page}");
    }
    for (path, media_type) in [("style.css", "text/css"), ("follow.js", "text/javascript")] {
        let mut call = event(LIST);
        call["rawPath"] = json!(format!("/prod/assets/{path}"));
        let response = hand_over(&service, &call).await;
        let found = response["headers"]["content-type"].as_str().unwrap();
        assert!(found.starts_with(media_type), "{found}");
        assert_eq!(response["isBase64Encoded"], false);
    }
}

#[tokio::test]
async fn odd_paths_and_queries_get_an_answer() {
    let service = Service::new();
    let cases = [
        ("", "", 200),
        ("api/v1/builds", "", 200),
        ("/prod", "", 404),
        ("/api/v1/builds", "page= 1", 404),
        ("/api/v1/builds", "x={\"a\":\"<b>\"}|\\^`#žluť", 200),
        ("/api/v1/builds/žluť#?x", "", 404),
        ("/api/v1/builds/%zz", "%zz=%", 404),
    ];
    for (path, query, status) in cases {
        let mut call = event(GET);
        call["rawPath"] = json!(path);
        call["rawQueryString"] = json!(query);
        let response = hand_over(&service, &call).await;
        assert_eq!(response["statusCode"], status, "{path} {query}");
    }
}

#[tokio::test]
async fn a_binary_body_is_decoded() {
    let mut call = event(ADD);
    call["body"] = json!("e30=");
    call["isBase64Encoded"] = json!(true);
    let response = hand_over(&Service::new(), &call).await;
    let expected = json!({"error": "\"from_index\" must be specified if no bundles are specified"});
    assert_eq!(body(&response), expected);
}

#[tokio::test]
async fn the_user_is_whom_the_gateway_authorized() {
    let cases = [
        (
            json!({"jwt": {"claims": {"sub": "1", "username": "ann"}, "scopes": []}}),
            Some("ann"),
        ),
        (
            json!({"jwt": {"claims": {"sub": "1", "cognito:username": "bob"}}}),
            Some("bob"),
        ),
        (json!({"jwt": {"claims": {"sub": "1"}}}), Some("1")),
        (
            json!({"lambda": {"username": "ann", "principalId": "2"}}),
            Some("ann"),
        ),
        (json!({"lambda": {"principalId": "2"}}), Some("2")),
        (
            json!({"iam": {"userArn": "arn:aws:iam::123456789012:user/ann"}}),
            Some("arn:aws:iam::123456789012:user/ann"),
        ),
        (json!({"lambda": {"tenant": "x"}}), None),
        (json!(null), None),
    ];
    for (authorizer, user) in cases {
        let mut call = event(ADD);
        call["requestContext"]["authorizer"] = authorizer.clone();
        let shown = body(&hand_over(&Service::new(), &call).await);
        assert_eq!(shown["user"], json!(user), "{authorizer}");
    }
}

#[tokio::test]
async fn a_rest_api_may_be_in_front_too() {
    let mut service = Service::new();
    service.deps.api.login_disabled = false;
    let mut call = event(REST);
    call["httpMethod"] = "POST".into();
    call["path"] = "/api/v1/builds/add".into();
    call["requestContext"]["path"] = "/guarded/api/v1/builds/add".into();
    call["headers"]["Content-Type"] = "application/json".into();
    call["multiValueHeaders"]["Content-Type"] = json!(["application/json"]);
    call["body"] = good().to_string().into();
    let response = hand_over(&service, &call).await;
    assert_eq!(response["statusCode"], 201, "{response}");
    let shown: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
    // Who signed the call, and where the stage is.
    assert_eq!(
        shown["user"],
        "arn:aws:sts::123456789012:assumed-role/catalogs/ann"
    );
    let logs =
        "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/guarded/api/v1/builds/1/logs";
    assert_eq!(shown["logs"]["url"], logs);

    let response = hand_over(&service, &event(REST)).await;
    assert_eq!(response["statusCode"], 200, "{response}");
    let media_type = &response["multiValueHeaders"]["content-type"];
    assert_eq!(*media_type, json!(["application/json"]), "{response}");
}

#[tokio::test]
async fn a_domain_of_ones_own_leads_to_a_rest_api_without_its_stage() {
    let service = Service::new();
    hand_over(&service, &event(ADD)).await;
    let mut call = event(REST);
    let name = "iib.example.com";
    call["requestContext"]["path"] = call["path"].clone();
    call["requestContext"]["domainName"] = name.into();
    call["headers"]["Host"] = name.into();
    call["headers"]["X-Forwarded-Prefix"] = "/of/the/client".into();
    call["multiValueHeaders"]["Host"] = json!([name]);
    call["multiValueHeaders"]["X-Forwarded-Prefix"] = json!(["/of/the/client"]);
    let response = hand_over(&service, &call).await;
    let shown: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        shown["logs"]["url"],
        "https://iib.example.com/api/v1/builds/1/logs"
    );
}

/// The first page of a stage has no slash behind it.
#[tokio::test]
async fn what_a_rest_api_hands_over_is_mended() {
    for (path, whole) in [
        ("/", "/guarded"),
        ("/", "/guarded/"),
        ("/ä ö?x", "/guarded/ä ö?x"),
        ("", ""),
    ] {
        let mut call = event(REST);
        call["path"] = path.into();
        call["requestContext"]["path"] = whole.into();
        call["headers"]["Host"] = "no host".into();
        call["requestContext"]["domainName"] = Value::Null;
        let response = hand_over(&Service::new(), &call).await;
        let status = response["statusCode"].as_u64().unwrap();
        assert!(status < 500, "{path:?}: {response}");
    }
}
