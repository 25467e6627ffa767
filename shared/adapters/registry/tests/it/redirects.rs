use axum::http::Method;
use iib_oci::Digest;
use iib_ports::{Registry as _, RegistryError};
use iib_registry::RegistryClient;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};

use crate::setup::{client, config, content, descriptor, read, repository};

fn to(place: &str) -> Answer {
    Answer::Reply(307, vec![("location", place.to_owned())], Vec::new())
}

fn elsewhere(store: &ScriptedRegistry, digest: &Digest) -> String {
    format!(
        "http://{}/v2/store/blobs/{digest}?X-Signature=s",
        store.host()
    )
}

#[tokio::test]
async fn a_blob_is_fetched_from_another_host_without_the_authorization() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let store = ScriptedRegistry::start().await;
    let bytes = content(10_000);
    let digest = store.put_blob("store", bytes.clone());
    registry.put_blob("a", bytes.clone());
    registry.on(
        Method::GET,
        "/blobs/",
        [Answer::Usual, to(&elsewhere(&store, &digest))],
    );
    let mut config = config(&registry.host());
    config.insecure_registries.insert(store.host());
    let client = RegistryClient::new(config).unwrap();
    let blob = client
        .blob(&repository(&registry.host(), "a"), &descriptor(&bytes))
        .await;
    assert_eq!(read(blob).await.unwrap(), bytes);
    let asked = registry.seen();
    assert!(
        asked
            .iter()
            .any(|seen| seen.header("authorization").is_some())
    );
    let fetched = store.seen();
    assert_eq!(fetched.len(), 1);
    assert_eq!(fetched[0].header("authorization"), None);
    assert!(fetched[0].target.ends_with("?X-Signature=s"));
}

#[tokio::test]
async fn a_redirect_to_plain_http_is_only_followed_to_hosts_that_are_named() {
    let registry = ScriptedRegistry::start().await;
    let store = ScriptedRegistry::start().await;
    let bytes = content(100);
    let digest = store.put_blob("store", bytes.clone());
    registry.on(Method::GET, "/blobs/", [to(&elsewhere(&store, &digest))]);
    let error = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &descriptor(&bytes))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, RegistryError::HostRefused { source, .. }
            if source.to_string().contains("IIB_INSECURE_REGISTRIES")
                && source.to_string().contains(&store.host())),
        "{error}"
    );
    assert!(store.seen().is_empty());
}

#[tokio::test]
async fn a_401_of_another_host_does_not_get_credentials() {
    let registry = ScriptedRegistry::start().await;
    let store = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let bytes = content(100);
    let digest = store.put_blob("store", bytes.clone());
    registry.on(Method::GET, "/blobs/", [to(&elsewhere(&store, &digest))]);
    let mut config = config(&registry.host());
    config.insecure_registries.insert(store.host());
    let error = RegistryClient::new(config)
        .unwrap()
        .blob(&repository(&registry.host(), "a"), &descriptor(&bytes))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, RegistryError::Denied { status: 401, .. }),
        "{error}"
    );
    assert_eq!(store.count(&Method::GET, "/token"), 0);
}

#[tokio::test]
async fn five_redirects_are_followed_and_a_sixth_is_not() {
    let registry = ScriptedRegistry::start().await;
    let bytes = content(100);
    let digest = registry.put_blob("a", bytes.clone());
    let again = || to(&format!("/v2/a/blobs/{digest}"));
    let client = client(&registry.host());
    let repository = repository(&registry.host(), "a");
    registry.on(
        Method::GET,
        "/blobs/",
        std::iter::repeat_with(again).take(5),
    );
    let blob = client.blob(&repository, &descriptor(&bytes)).await;
    assert_eq!(read(blob).await.unwrap(), bytes);
    registry.on(
        Method::GET,
        "/blobs/",
        std::iter::repeat_with(again).take(6),
    );
    let error = client
        .blob(&repository, &descriptor(&bytes))
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("more than five times"),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_without_a_place_breaks_the_protocol() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::GET, "/blobs/", [Answer::Status(307)]);
    let error = client(&registry.host())
        .blob(&repository(&registry.host(), "a"), &descriptor(b"x"))
        .await
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("Location header is missing"),
        "{error}"
    );
}
