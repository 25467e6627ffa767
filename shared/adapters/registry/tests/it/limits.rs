use axum::http::Method;
use iib_oci::{MANIFEST_LIMIT, MediaType, RawManifest};
use iib_ports::RegistryError;
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};

use crate::setup::{client, image, manifest};

fn filled(size: usize) -> RawManifest {
    RawManifest {
        media_type: MediaType::new(MediaType::OCI_MANIFEST),
        bytes: vec![b' '; size],
    }
}

#[tokio::test]
async fn a_manifest_may_be_as_large_as_the_limit_and_no_larger() {
    let registry = ScriptedRegistry::start().await;
    registry.put_manifest("a", "most", &filled(MANIFEST_LIMIT));
    registry.put_manifest("a", "more", &filled(MANIFEST_LIMIT + 1));
    let client = client(&registry.host());
    let most = client.pull(&image(&registry.host(), "a:most")).await;
    assert_eq!(most.unwrap().bytes.len(), MANIFEST_LIMIT);
    let more = client.pull(&image(&registry.host(), "a:more")).await;
    assert!(matches!(more, Err(RegistryError::TooLarge { limit, .. }) if limit == 4_194_304));
}

#[tokio::test]
async fn a_manifest_without_length_is_read_no_further_than_the_limit() {
    let registry = ScriptedRegistry::start().await;
    registry.put_manifest("a", "v1", &filled(MANIFEST_LIMIT));
    registry.on(Method::GET, "/a/manifests/", [Answer::Longer]);
    registry.on(Method::GET, "/endless/manifests/", [Answer::Endless(200)]);
    let client = client(&registry.host());
    for rest in ["a:v1", "endless:v1"] {
        let read = client.pull(&image(&registry.host(), rest)).await;
        assert!(
            matches!(read, Err(RegistryError::TooLarge { .. })),
            "{rest}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_manifest_shorter_than_its_length_says_is_not_taken() {
    let registry = ScriptedRegistry::start().await;
    registry.put_manifest("a", "v1", &manifest());
    let cut = || Answer::CutAfter(10);
    registry.on(Method::GET, "/manifests/", [cut(), cut(), cut()]);
    let read = client(&registry.host())
        .pull(&image(&registry.host(), "a:v1"))
        .await;
    assert!(
        matches!(read, Err(RegistryError::Unavailable { attempts: 3, .. })),
        "{read:?}"
    );
}

#[tokio::test]
async fn an_endless_error_document_is_cut_off() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::GET, "/manifests/", [Answer::Endless(418)]);
    let read = client(&registry.host())
        .pull(&image(&registry.host(), "a:v1"))
        .await;
    let error = read.unwrap_err();
    assert!(
        matches!(error, RegistryError::Refused { status: 418, .. }),
        "{error}"
    );
    assert!(error.to_string().len() < 1_000);
}

#[tokio::test]
async fn an_endless_answer_of_a_token_server_is_refused() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    registry.on(Method::GET, "/token", [Answer::Endless(200)]);
    let read = client(&registry.host())
        .pull(&image(&registry.host(), "a:v1"))
        .await;
    let error = read.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("token server's answer is too large"),
        "{error}"
    );
}
