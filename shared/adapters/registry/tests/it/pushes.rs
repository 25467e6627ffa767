use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use axum::http::Method;
use futures::{StreamExt as _, stream};
use iib_ports::{BlobSource, BlobStream, Class, Classify as _, Registry as _, RegistryError};
use iib_registry::RegistryClient;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};

use crate::setup::{Content, client, config, content, descriptor, impatient_client, repository};

async fn push(
    registry: &ScriptedRegistry,
    client: &RegistryClient,
    source: &Content,
) -> Result<(), RegistryError> {
    let repository = repository(&registry.host(), "team/app");
    client
        .push_blob(&repository, &descriptor(&source.bytes), source)
        .await
}

#[tokio::test]
async fn a_blob_is_sent_with_one_put_of_known_length() {
    let registry = ScriptedRegistry::start().await;
    let source = Content::new(content(100_000));
    push(&registry, &client(&registry.host()), &source)
        .await
        .unwrap();
    let digest = descriptor(&source.bytes).digest;
    assert_eq!(registry.blob_size("team/app", &digest), Some(100_000));
    assert_eq!(registry.open_uploads(), 0);
    let seen = registry.seen();
    let methods: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PUT"]);
    assert_eq!(seen[0].header("content-length"), Some("0"));
    assert_eq!(seen[1].header("content-length"), Some("100000"));
    assert_eq!(seen[1].header("transfer-encoding"), None);
    assert_eq!(source.opened(), 1);
}

#[tokio::test]
async fn an_empty_blob_can_be_pushed() {
    let registry = ScriptedRegistry::start().await;
    let source = Content::new("");
    push(&registry, &client(&registry.host()), &source)
        .await
        .unwrap();
    let digest = descriptor(b"").digest;
    assert_eq!(registry.blob_size("team/app", &digest), Some(0));
}

#[tokio::test]
async fn passing_faults_start_the_upload_anew() {
    for fault in [Answer::Status(503), Answer::Status(429), Answer::Disconnect] {
        for method in [Method::POST, Method::PUT] {
            let registry = ScriptedRegistry::start().await;
            registry.on(method.clone(), "/uploads/", [fault.clone()]);
            let source = Content::new(content(50_000));
            let pushed = push(&registry, &client(&registry.host()), &source).await;
            pushed.unwrap_or_else(|error| panic!("{fault:?} at {method}: {error}"));
            let digest = descriptor(&source.bytes).digest;
            assert_eq!(registry.blob_size("team/app", &digest), Some(50_000));
            assert_eq!(source.opened(), if method == Method::PUT { 2 } else { 1 });
        }
    }
}

#[tokio::test]
async fn an_upload_that_nobody_reads_is_started_anew() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::PUT, "/uploads/", [Answer::Silence]);
    // More than the buffers between the two take.
    let source = Content::new(vec![7; 12_000_000]);
    let client = impatient_client(&registry.host());
    push(&registry, &client, &source).await.unwrap();
    let digest = descriptor(&source.bytes).digest;
    assert_eq!(registry.blob_size("team/app", &digest), Some(12_000_000));
    assert_eq!(registry.count(&Method::PUT, "/uploads/"), 2);
}

#[tokio::test]
async fn a_refused_upload_says_why() {
    let registry = ScriptedRegistry::start().await;
    let document = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"create the repository"}]}"#;
    let unknown = Answer::Reply(404, Vec::new(), document.into());
    registry.on(Method::POST, "/uploads/", [unknown]);
    let source = Content::new("x");
    let error = push(&registry, &client(&registry.host()), &source)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("(status 404): NAME_UNKNOWN: create the repository"),
        "{text}"
    );
    assert_eq!(error.class(), Class::Reject);
}

#[tokio::test]
async fn an_upload_without_a_place_breaks_the_protocol() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::POST, "/uploads/", [Answer::Without("location")]);
    let source = Content::new("x");
    let error = push(&registry, &client(&registry.host()), &source)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    assert!(
        error.to_string().contains("Location header is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn an_upload_place_on_another_host_gets_no_authorization() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let store = ScriptedRegistry::start().await;
    let session = format!(
        "http://{}/v2/x/blobs/uploads/1?_state=a%2Fb%3D",
        store.host()
    );
    // The first POST gets the challenge.
    let elsewhere = Answer::With("location", session);
    registry.on(Method::POST, "/uploads/", [Answer::Usual, elsewhere]);
    store.on(Method::PUT, "/uploads/", [Answer::Status(201)]);
    let mut config = config(&registry.host());
    config.insecure_registries.insert(store.host());
    let source = Content::new("x");
    let client = RegistryClient::new(config).unwrap();
    push(&registry, &client, &source).await.unwrap();
    let seen = store.seen();
    assert!(
        seen[0].target.contains("_state=a%2Fb%3D&digest=sha256"),
        "{}",
        seen[0].target
    );
    assert_eq!(seen[0].header("authorization"), None);
    assert!(
        registry
            .seen()
            .iter()
            .any(|seen| seen.header("authorization").is_some())
    );
}

#[tokio::test]
async fn content_that_is_not_what_it_should_be_is_not_sent() {
    let registry = ScriptedRegistry::start().await;
    let client = client(&registry.host());
    let repository = repository(&registry.host(), "a");
    let right = content(4_500);
    for (wrong, got) in [
        (content(4_499), "4499 bytes"),
        (content(4_501), "4501 bytes"),
        (right.iter().map(|b| b ^ 1).collect(), "sha256:"),
    ] {
        let source = Content {
            bytes: wrong,
            opened: AtomicUsize::new(0),
        };
        let error = client
            .push_blob(&repository, &descriptor(&right), &source)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Mismatch { .. }),
            "{got}: {error}"
        );
        assert!(error.to_string().contains(got), "{error}");
        assert_eq!(source.opened(), 1);
    }
    assert_eq!(registry.blob_size("a", &descriptor(&right).digest), None);
    assert_eq!(registry.open_uploads(), 0);
}

struct Unreadable;

#[async_trait]
impl BlobSource for Unreadable {
    async fn open(&self) -> Result<BlobStream, RegistryError> {
        let failed = Err(RegistryError::Source {
            what: "the layer".to_owned(),
            source: "disk on fire".into(),
        });
        Ok(stream::iter([failed]).boxed())
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_told_from_a_broken_connection() {
    let registry = ScriptedRegistry::start().await;
    let error = client(&registry.host())
        .push_blob(
            &repository(&registry.host(), "a"),
            &descriptor(b"x"),
            &Unreadable,
        )
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Source { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_that_ends_between_post_and_put_is_replaced() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let challenge = format!(
        r#"Bearer realm="http://{}/token",service="scripted""#,
        registry.host()
    );
    let ended = Answer::Reply(401, vec![("www-authenticate", challenge)], Vec::new());
    registry.on(Method::PUT, "/uploads/", [ended]);
    let source = Content::new("x");
    push(&registry, &client(&registry.host()), &source)
        .await
        .unwrap();
    assert_eq!(registry.count(&Method::PUT, "/uploads/"), 2);
    assert_eq!(registry.count(&Method::GET, "/token"), 2);
}

#[tokio::test]
async fn an_upload_that_the_registry_does_not_know_is_begun_anew() {
    for (status, code) in [
        (404, "BLOB_UPLOAD_UNKNOWN"),
        (404, "BLOB_UPLOAD_INVALID"),
        (400, "BLOB_UPLOAD_INVALID"),
        (416, "RANGE_INVALID"),
        (416, ""),
        (404, ""),
    ] {
        let registry = ScriptedRegistry::start().await;
        let document = format!(r#"{{"errors":[{{"code":"{code}","message":"unknown"}}]}}"#);
        let refused = Answer::Reply(status, Vec::new(), document.into());
        registry.on(Method::PUT, "/uploads/", vec![refused; 2]);
        let source = Content::new(content(5_000));
        let pushed = push(&registry, &client(&registry.host()), &source).await;
        pushed.unwrap_or_else(|error| panic!("{status} {code}: {error}"));
        assert_eq!(
            registry.count(&Method::POST, "/uploads/"),
            3,
            "{status} {code}"
        );
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_for_another_reason_is_not_repeated() {
    for (status, code) in [
        (400, "NAME_INVALID"),
        (403, "DENIED"),
        (413, "SIZE_INVALID"),
    ] {
        let registry = ScriptedRegistry::start().await;
        let document = format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#);
        let refused = Answer::Reply(status, Vec::new(), document.into());
        registry.on(Method::PUT, "/uploads/", [refused]);
        let source = Content::new(content(5_000));
        let pushed = push(&registry, &client(&registry.host()), &source).await;
        assert_eq!(pushed.unwrap_err().class(), Class::Reject, "{code}");
        assert_eq!(registry.count(&Method::POST, "/uploads/"), 1, "{code}");
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_while_it_is_opened_is_opened_again() {
    for (status, code, passes) in [
        (404, "BLOB_UPLOAD_UNKNOWN", true),
        (400, "BLOB_UPLOAD_INVALID", true),
        (416, "", true),
        (404, "NAME_UNKNOWN", false),
        (404, "", false),
    ] {
        let registry = ScriptedRegistry::start().await;
        let document = format!(r#"{{"errors":[{{"code":"{code}","message":"unknown"}}]}}"#);
        let refused = Answer::Reply(status, Vec::new(), document.into());
        registry.on(Method::POST, "/uploads/", [refused]);
        let source = Content::new(content(5_000));
        let pushed = push(&registry, &client(&registry.host()), &source).await;
        assert_eq!(pushed.is_ok(), passes, "{status} {code}: {pushed:?}");
    }
}
