use std::error::Error as _;
use std::time::Duration;

use axum::http::Method;
use iib_oci::{Digest, Reference};
use iib_ports::{Class, Classify as _, Registry as _, RegistryError};
use iib_registry::{RegistryClient, RegistryConfig, RegistryInitError};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::{Answer, ScriptedRegistry};

use crate::setup::{client, config, image, impatient_client, manifest, repository};

#[tokio::test]
async fn passing_faults_are_tried_again() {
    let throttled = || {
        let retry_after = vec![("retry-after", "1".to_owned())];
        Answer::Reply(429, retry_after, Vec::new())
    };
    for fault in [
        Answer::Status(408),
        throttled(),
        Answer::Status(500),
        Answer::Status(502),
        Answer::Status(503),
        Answer::Disconnect,
        Answer::CutAfter(5),
    ] {
        let registry = ScriptedRegistry::start().await;
        registry.put_manifest("a", "v1", &manifest());
        registry.on(Method::GET, "/manifests/", [fault.clone(), throttled()]);
        let pulled = client(&registry.host())
            .pull(&image(&registry.host(), "a:v1"))
            .await;
        assert_eq!(pulled.unwrap(), manifest(), "{fault:?}");
        assert_eq!(registry.count(&Method::GET, "/manifests/"), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_registry_that_falls_silent_is_tried_again() {
    for fault in [Answer::Silence, Answer::StallAfter(5)] {
        let registry = ScriptedRegistry::start().await;
        registry.put_manifest("a", "v1", &manifest());
        registry.on(Method::GET, "/manifests/", [fault.clone()]);
        let pulled = impatient_client(&registry.host())
            .pull(&image(&registry.host(), "a:v1"))
            .await;
        assert_eq!(pulled.unwrap(), manifest(), "{fault:?}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for status in [400, 401, 403, 404, 410, 501] {
        let registry = ScriptedRegistry::start().await;
        registry.on(Method::GET, "/manifests/", [Answer::Status(status)]);
        let pulled = client(&registry.host())
            .pull(&image(&registry.host(), "a:v1"))
            .await;
        assert_eq!(pulled.unwrap_err().class(), Class::Reject, "{status}");
        assert_eq!(registry.seen().len(), 1, "{status}");
    }
}

/// Distribution says so when it reads a layer's link that another push is writing.
#[tokio::test]
async fn a_manifest_whose_digest_is_doubted_is_pushed_again() {
    let answer = |code: &str| {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"so it says"}}]}}"#);
        Answer::Reply(400, Vec::new(), body.into_bytes())
    };
    let tag = Reference::Tag("v1".to_owned());
    for (code, pushes) in [("DIGEST_INVALID", 2), ("MANIFEST_INVALID", 1)] {
        let registry = ScriptedRegistry::start().await;
        registry.on(Method::PUT, "/manifests/", [answer(code)]);
        let client = client(&registry.host());
        let repository = repository(&registry.host(), "a");
        let pushed = client.push_manifest(&repository, &tag, &manifest()).await;
        assert_eq!(pushed.is_ok(), pushes == 2, "{code}: {pushed:?}");
        assert_eq!(
            registry.count(&Method::PUT, "/manifests/"),
            pushes,
            "{code}"
        );
    }
}

#[tokio::test]
async fn the_last_fault_is_told_after_as_many_tries_as_are_set() {
    let registry = ScriptedRegistry::start().await;
    let faults = [500, 502, 503].map(Answer::Status);
    registry.on(Method::GET, "/manifests/", faults);
    let error = client(&registry.host())
        .pull(&image(&registry.host(), "a:v1"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    assert!(
        error.to_string().ends_with("/a:v1 after 3 attempts"),
        "{error}"
    );
    let source = error.source().unwrap().to_string();
    assert!(
        source.contains("status 503: SCRIPTED: as the test wants it"),
        "{source}"
    );
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable() {
    let host = {
        let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        registry.local_addr().unwrap().to_string()
    };
    let error = client(&host).pull(&image(&host, "a:v1")).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unavailable { attempts: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn has_blob_tells_yes_from_no_from_trouble() {
    let registry = ScriptedRegistry::start().await;
    let there = registry.put_blob("a", "content");
    let client = client(&registry.host());
    let repository = repository(&registry.host(), "a");
    assert!(client.has_blob(&repository, &there).await.unwrap());
    assert!(
        !client
            .has_blob(&repository, &Digest::of(b""))
            .await
            .unwrap()
    );
    registry.on(Method::HEAD, "/blobs/", [429, 503].map(Answer::Status));
    // Two passing faults, and the answer.
    assert!(client.has_blob(&repository, &there).await.unwrap());
    registry.on(Method::HEAD, "/blobs/", [Answer::Status(403)]);
    let denied = client.has_blob(&repository, &there).await;
    assert!(
        matches!(denied, Err(RegistryError::Denied { status: 403, .. })),
        "{denied:?}"
    );
    registry.on(Method::HEAD, "/blobs/", [500; 3].map(Answer::Status));
    let broken = client.has_blob(&repository, &there).await;
    assert!(
        matches!(broken, Err(RegistryError::Unavailable { .. })),
        "{broken:?}"
    );
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_refused() {
    let none = RegistryConfig {
        attempts: 0,
        ..RegistryConfig::default()
    };
    let error = RegistryClient::new(none).unwrap_err();
    assert!(matches!(error, RegistryInitError::NoAttempts));
    let error = RegistryClient::new(config("http://r.example")).unwrap_err();
    assert!(matches!(error, RegistryInitError::HostName(_)));
}

#[tokio::test]
async fn a_registry_that_is_not_named_as_insecure_is_spoken_to_over_tls() {
    let registry = ScriptedRegistry::start().await;
    let named = config(&registry.host());
    let client = RegistryClient::new(RegistryConfig {
        insecure_registries: ["other.example:5000".to_owned()].into(),
        attempts: 1,
        connect_timeout: Duration::from_secs(5),
        ..named
    })
    .unwrap();
    let spec = image(&registry.host(), "a:v1");
    let error = client.pull(&spec).await.unwrap_err();
    assert_eq!(error.class(), Class::Reject);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("IIB_INSECURE_REGISTRIES"), "{source}");
    assert!(registry.seen().is_empty());
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_not_tried_again() {
    let client = RegistryClient::new(RegistryConfig {
        // So that a second try would be noticed.
        backoff_base: Duration::from_secs(3600),
        backoff_cap: Duration::from_secs(3600),
        ..config("127.0.0.1:1")
    })
    .unwrap();
    let error = client.pull(&image("no-such-host.invalid", "a:v1")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
    let source = error.source().unwrap().to_string();
    assert!(source.contains("no-such-host.invalid"), "{source}");
}

#[tokio::test]
async fn a_registry_that_stays_silent_is_given_up_when_the_patience_ends() {
    let registry = ScriptedRegistry::start().await;
    registry.on(Method::GET, "/manifests/", vec![Answer::Silence; 10]);
    let client = RegistryClient::new(RegistryConfig {
        patience: Duration::from_millis(1_500),
        attempts: 10,
        ..config(&registry.host())
    })
    .unwrap();
    let error = client.pull(&image(&registry.host(), "a:v1")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unavailable { attempts: 1, .. }),
        "{error}"
    );
    let shown = format!("{error}: {}", error.source().unwrap());
    assert!(
        shown.contains("in 1 s") && shown.contains("1.5 seconds"),
        "{shown}"
    );
    assert!(shown.contains(&registry.host()), "{shown}");
}
