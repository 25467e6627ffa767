use axum::http::Method;
use iib_ports::Registry as _;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};

use crate::setup::{client, repository};

#[tokio::test]
async fn a_mount_asks_for_a_token_for_both_repositories() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let digest = registry.put_blob("source/app", "content");
    let mounted = client(&registry.host())
        .mount_blob(
            &repository(&registry.host(), "target/app"),
            &repository(&registry.host(), "source/app"),
            &digest,
        )
        .await;
    assert!(mounted.unwrap());
    assert_eq!(registry.blob_size("target/app", &digest), Some(7));
    let seen = registry.seen();
    let asked = seen.iter().find(|seen| seen.target.starts_with("/token"));
    let asked = asked
        .unwrap()
        .target
        .replace("%3A", ":")
        .replace("%2F", "/")
        .replace("%2C", ",");
    assert!(
        asked.contains("scope=repository:source/app:pull&"),
        "{asked}"
    );
    assert!(
        asked.ends_with("scope=repository:target/app:pull,push"),
        "{asked}"
    );
}

#[tokio::test]
async fn an_upload_opened_instead_of_a_mount_is_cancelled() {
    let registry = ScriptedRegistry::start().await;
    let digest = iib_oci::Digest::of(b"not there");
    let mounted = client(&registry.host())
        .mount_blob(
            &repository(&registry.host(), "b"),
            &repository(&registry.host(), "a"),
            &digest,
        )
        .await;
    assert!(!mounted.unwrap());
    assert_eq!(registry.count(&Method::DELETE, "/blobs/uploads/"), 1);
    assert_eq!(registry.open_uploads(), 0);
}

#[tokio::test]
async fn a_registry_that_declines_a_mount_leaves_it_to_an_upload() {
    for status in [401, 403, 404, 405] {
        let registry = ScriptedRegistry::start().await;
        let digest = registry.put_blob("a", "content");
        registry.on(Method::POST, "mount=", [Answer::Status(status)]);
        let mounted = client(&registry.host())
            .mount_blob(
                &repository(&registry.host(), "b"),
                &repository(&registry.host(), "a"),
                &digest,
            )
            .await;
        assert!(!mounted.unwrap(), "{status}");
    }
}

#[tokio::test]
async fn a_source_we_may_not_read_leaves_it_to_an_upload() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let digest = registry.put_blob("secret", "content");
    registry.grant_nothing_for("secret");
    let mounted = client(&registry.host())
        .mount_blob(
            &repository(&registry.host(), "b"),
            &repository(&registry.host(), "secret"),
            &digest,
        )
        .await;
    assert!(!mounted.unwrap());
    assert_eq!(registry.blob_size("b", &digest), None);
}

#[tokio::test]
async fn nothing_is_asked_about_a_blob_of_another_registry() {
    let registry = ScriptedRegistry::start().await;
    let digest = registry.put_blob("a", "content");
    let mounted = client(&registry.host())
        .mount_blob(
            &repository(&registry.host(), "b"),
            &repository("other.example", "a"),
            &digest,
        )
        .await;
    assert!(!mounted.unwrap());
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn a_mount_that_fails_for_another_reason_is_tried_once_and_left_to_an_upload() {
    for answer in [400, 416, 429, 500, 501, 503].map(Answer::Status) {
        declined_once(answer).await;
    }
    declined_once(Answer::Disconnect).await;
}

async fn declined_once(answer: Answer) {
    let registry = ScriptedRegistry::start().await;
    let digest = registry.put_blob("a", "content");
    registry.on(Method::POST, "mount=", [answer.clone()]);
    let mounted = client(&registry.host())
        .mount_blob(
            &repository(&registry.host(), "b"),
            &repository(&registry.host(), "a"),
            &digest,
        )
        .await;
    assert!(matches!(mounted, Ok(false)), "{answer:?}: {mounted:?}");
    assert_eq!(registry.count(&Method::POST, "mount="), 1, "{answer:?}");
    assert_eq!(registry.open_uploads(), 0);
}
