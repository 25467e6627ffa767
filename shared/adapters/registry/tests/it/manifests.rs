use axum::http::Method;
use iib_oci::{Digest, MediaType, RawManifest, Reference};
use iib_ports::{Class, Classify as _, Registry as _, RegistryError};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::{Answer, ScriptedRegistry};

use crate::setup::{client, image, manifest, repository};

#[tokio::test]
async fn manifests_and_lists_of_both_families_come_back_as_they_were_pushed() {
    let registry = ScriptedRegistry::start().await;
    let client = client(&registry.host());
    let repository = repository(&registry.host(), "team/app");
    for media_type in MediaType::MANIFESTS {
        let pushed = RawManifest {
            media_type: MediaType::new(media_type),
            bytes: format!("{{ \"mediaType\": \"{media_type}\",\n\t\"odd\" : 1.0 }}\n").into(),
        };
        let by_tag = Reference::Tag("v1".to_owned());
        let by_digest = Reference::Digest(pushed.digest());
        for reference in [by_tag, by_digest] {
            client
                .push_manifest(&repository, &reference, &pushed)
                .await
                .unwrap();
        }
        for rest in [
            "team/app:v1".to_owned(),
            format!("team/app@{}", pushed.digest()),
        ] {
            let pulled = client.pull(&image(&registry.host(), &rest)).await;
            assert_eq!(pulled.unwrap(), pushed, "{rest}");
        }
    }
}

#[tokio::test]
async fn every_manifest_type_is_asked_for() {
    let registry = ScriptedRegistry::start().await;
    registry.put_manifest("a", "v1", &manifest());
    let client = client(&registry.host());
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    let seen = registry.seen();
    let accepted: Vec<_> = seen[0].headers.get_all("accept").iter().collect();
    assert_eq!(accepted, MediaType::MANIFESTS);
}

#[tokio::test]
async fn a_manifest_that_does_not_have_the_digest_it_was_asked_by_is_refused() {
    let registry = ScriptedRegistry::start().await;
    registry.put_manifest("a", "v1", &manifest());
    registry.on(Method::GET, "/manifests/", [Answer::Altered]);
    let client = client(&registry.host());
    let spec = image(&registry.host(), &format!("a@{}", manifest().digest()));
    let error = client.pull(&spec).await.unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains(spec.as_str()), "{error}");
}

#[tokio::test]
async fn what_a_registry_does_not_have_is_not_found_by_its_pull_spec() {
    let registry = ScriptedRegistry::start().await;
    let client = client(&registry.host());
    let spec = image(&registry.host(), "no/such:v1");
    let error = client.pull(&spec).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{spec} does not exist"));
    assert_eq!(error.class(), Class::Reject);
}

#[tokio::test]
async fn a_push_by_digest_needs_no_location_in_the_answer() {
    let registry = ScriptedRegistry::start().await;
    registry.on(
        Method::PUT,
        "/manifests/",
        [Answer::Reply(201, Vec::new(), Vec::new())],
    );
    let client = client(&registry.host());
    let raw = manifest();
    client
        .push_manifest(
            &repository(&registry.host(), "a"),
            &Reference::Digest(raw.digest()),
            &raw,
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_push_under_another_digest_is_refused_before_it_is_sent() {
    let registry = ScriptedRegistry::start().await;
    let client = client(&registry.host());
    let other = Reference::Digest(Digest::of(b"other"));
    let error = client
        .push_manifest(&repository(&registry.host(), "a"), &other, &manifest())
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn a_registry_that_stores_other_bytes_is_noticed() {
    let registry = ScriptedRegistry::start().await;
    let other = Digest::of(b"rewritten").to_string();
    registry.on(
        Method::PUT,
        "/manifests/",
        [Answer::With("docker-content-digest", other.clone())],
    );
    let error = client(&registry.host())
        .push_manifest(
            &repository(&registry.host(), "a"),
            &Reference::Tag("v1".to_owned()),
            &manifest(),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RegistryError::Mismatch { got, .. } if *got == other),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_push_says_what_the_registry_said() {
    let registry = ScriptedRegistry::start().await;
    registry.on(
        Method::PUT,
        "/manifests/",
        [refusal(400, "MANIFEST_INVALID")],
    );
    let error = client(&registry.host())
        .push_manifest(
            &repository(&registry.host(), "a"),
            &Reference::Tag("v1".to_owned()),
            &manifest(),
        )
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("/a:v1 (status 400): MANIFEST_INVALID: so it is"),
        "{text}"
    );
}

fn refusal(status: u16, code: &str) -> Answer {
    let document = format!(r#"{{"errors":[{{"code":"{code}","message":"so it is"}}]}}"#);
    Answer::Reply(status, Vec::new(), document.into())
}

async fn push(registry: &ScriptedRegistry, tag: &str) -> Result<(), RegistryError> {
    let here = repository(&registry.host(), "a");
    let tag = Reference::Tag(tag.to_owned());
    client(&registry.host())
        .push_manifest(&here, &tag, &manifest())
        .await
}

#[tokio::test]
async fn a_replica_that_lacks_what_was_pushed_is_asked_again() {
    for (status, code) in [
        (404, "MANIFEST_BLOB_UNKNOWN"),
        (400, "MANIFEST_BLOB_UNKNOWN"),
        (404, "BLOB_UNKNOWN"),
        (404, "MANIFEST_UNKNOWN"),
    ] {
        let registry = ScriptedRegistry::start().await;
        for blob in ["{}", "layer"] {
            registry.put_blob("a", blob);
        }
        registry.on(Method::PUT, "/manifests/", vec![refusal(status, code); 2]);
        push(&registry, "v1").await.unwrap();
        assert_eq!(registry.count(&Method::PUT, "/manifests/"), 3, "{code}");
        // What lasts ends, and may be tried later.
        registry.on(Method::PUT, "/manifests/", vec![refusal(status, code); 3]);
        let error = push(&registry, "v2").await.unwrap_err();
        assert_eq!(error.class(), Class::Retry, "{error}");
    }
}

#[tokio::test]
async fn a_refused_tag_that_names_our_own_image_is_done() {
    for refused in [
        refusal(400, "TAG_INVALID"),
        refusal(409, "CONFLICT"),
        refusal(412, "PRECONDITION"),
    ] {
        let registry = ScriptedRegistry::start().await;
        registry.put_manifest("a", "v1", &manifest());
        registry.on(Method::PUT, "/manifests/", [refused]);
        push(&registry, "v1").await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_tag_that_names_another_image_is_a_refusal_and_stays() {
    let registry = ScriptedRegistry::start().await;
    let mut other = manifest();
    other.bytes.push(b' ');
    registry.put_manifest("a", "v1", &other);
    // Even a registry that does not tell the digest at once is understood.
    registry.on(
        Method::HEAD,
        "/manifests/",
        [Answer::Without("docker-content-digest")],
    );
    registry.on(Method::PUT, "/manifests/", [refusal(409, "CONFLICT")]);
    let error = push(&registry, "v1").await.unwrap_err();
    assert_eq!(error.class(), Class::Reject);
    let text = error.to_string();
    assert!(text.contains(other.digest().as_str()), "{text}");
    assert_eq!(registry.manifest("a", "v1"), Some(other));
}
