use std::error::Error as _;
use std::path::PathBuf;

use axum::http::Method;
use iib_oci::Reference;
use iib_oci::hosts::HostRefusal;
use iib_ports::{
    Class, Classify as _, GivenLogin, Keyring, Login as PortLogin, Registries as _, Registry as _,
    RegistryError, Secret,
};
use iib_registry::{RegistryClient, RegistryConfig, RegistryInitError};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::{Answer, Login, ScriptedRegistry};
use tempfile::TempDir;

use crate::setup::{Content, client, config, descriptor, image, manifest, repository};

/// base64 of `ann:s3cret`.
const ANN: &str = "YW5uOnMzY3JldA==";

/// A client with one auth file, which holds `entry` for the registry.
fn client_with(host: &str, entry: &str) -> (RegistryClient, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{entry}}}}}"#)).unwrap();
    let config = RegistryConfig {
        auth_files: vec![path.clone()],
        ..config(host)
    };
    (RegistryClient::new(config).unwrap(), path, folder)
}

fn with_auth(auth: &str) -> String {
    format!(r#"{{"auth":"{auth}"}}"#)
}

fn password_tokens() -> Login {
    Login::Bearer {
        basic: Some(ANN.to_owned()),
        refresh: None,
        expires_in: Some(300),
    }
}

#[tokio::test]
async fn basic_credentials_are_shown_once_they_are_asked_for() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("a", "v1", &manifest());
    let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    for _ in 0..2 {
        client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    }
    let digest = registry.put_blob("a", "content");
    assert!(
        client
            .has_blob(&repository(&registry.host(), "a"), &digest)
            .await
            .unwrap()
    );
    let shown: Vec<_> = registry
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").is_some())
        .collect();
    // Asked once, then always shown.
    assert_eq!(shown, [false, true, true, true]);
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_denied_and_not_tried_again() {
    for (entry, requests) in [(with_auth("YW5uOndyb25n"), 2), ("{}".to_owned(), 1)] {
        let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
        let (client, _path, _folder) = client_with(&registry.host(), &entry);
        let error = client
            .pull(&image(&registry.host(), "a:v1"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Denied { status: 401, .. }),
            "{error}"
        );
        // The file is named, whether it has a login or none.
        let text = error.to_string();
        assert!(text.contains("auth.json"), "{text}");
        assert!(!text.contains("wrong"), "{text}");
        let seen = registry.seen();
        let asked = seen
            .iter()
            .filter(|seen| seen.target.contains("/manifests/"));
        assert_eq!(asked.count(), requests);
    }
}

#[tokio::test]
async fn an_image_hidden_from_strangers_is_asked_for_again_with_the_login_at_hand() {
    for status in [404, 403, 401] {
        let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
        registry.put_manifest("a", "v1", &manifest());
        // Without a challenge, which only `/v2/` gives.
        let hidden = Answer::Reply(status, Vec::new(), Vec::new());
        registry.on(Method::GET, "/manifests/", [hidden]);
        let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
        let spec = image(&registry.host(), "a:v1");
        assert_eq!(client.pull(&spec).await.unwrap(), manifest(), "{status}");
        let gone = client.pull(&image(&registry.host(), "a:gone")).await;
        assert!(
            matches!(gone, Err(RegistryError::NotFound { .. })),
            "{gone:?}"
        );
        let seen = registry.seen();
        let asked = seen.iter().filter(|seen| seen.target == "/v2/").count();
        assert_eq!(asked, 1, "{status}");
    }
}

#[tokio::test]
async fn a_registry_that_wants_no_login_is_asked_once_and_one_without_a_login_at_hand_never() {
    for (entry, times) in [(with_auth(ANN), 1), ("{}".to_owned(), 0)] {
        let registry = ScriptedRegistry::start().await;
        let (client, _path, _folder) = client_with(&registry.host(), &entry);
        for _ in 0..3 {
            let gone = client.pull(&image(&registry.host(), "a:v1")).await;
            assert!(
                matches!(gone, Err(RegistryError::NotFound { .. })),
                "{gone:?}"
            );
        }
        let seen = registry.seen();
        let asked = seen.iter().filter(|seen| seen.target == "/v2/");
        assert_eq!(asked.count(), times);
    }
}

#[tokio::test]
async fn whatever_belongs_to_a_push_asks_for_the_rights_to_push() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    let client = client(&registry.host());
    let a = repository(&registry.host(), "a");
    assert!(
        !client
            .has_blob(&a, &descriptor(b"{}").digest)
            .await
            .unwrap()
    );
    assert_eq!(client.tagged(&a, "v1").await.unwrap(), None);
    for blob in ["{}", "layer"] {
        let source = Content::new(blob);
        let descriptor = descriptor(blob.as_bytes());
        client.push_blob(&a, &descriptor, &source).await.unwrap();
    }
    let tag = Reference::Tag("v1".to_owned());
    client.push_manifest(&a, &tag, &manifest()).await.unwrap();
    let seen = registry.seen();
    let asked = seen.iter().filter(|seen| seen.target.starts_with("/token"));
    let scopes: Vec<_> = asked.map(|seen| seen.target.as_str()).collect();
    assert_eq!(
        scopes,
        ["/token?service=scripted&scope=repository%3Aa%3Apull%2Cpush"]
    );
}

#[tokio::test]
async fn a_token_server_that_moved_is_followed_without_the_password() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    // A place of its own that leads back to the one which gives tokens.
    let front = ScriptedRegistry::start().await;
    registry.set_realm(&format!("http://{}/login", front.host()));
    let place = format!(
        "http://{}/token?service=scripted&scope=repository:a:pull",
        registry.host()
    );
    let leads = Answer::Reply(302, vec![("location", place)], Vec::new());
    front.on(Method::GET, "/login", [leads]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let auths = format!(
        r#"{{"auths":{{"{}":{}}}}}"#,
        registry.host(),
        with_auth(ANN)
    );
    std::fs::write(&path, auths).unwrap();
    let mut config = config(&registry.host());
    config.insecure_registries.insert(front.host());
    config.auth_files = vec![path];
    let client = RegistryClient::new(config).unwrap();
    let pulled = client.pull(&image(&registry.host(), "a:v1")).await;
    assert_eq!(pulled.unwrap(), manifest());
    let shown = |registry: &ScriptedRegistry, at: &str| {
        let seen = registry.seen();
        let call = seen
            .iter()
            .find(|seen| seen.target.starts_with(at))
            .unwrap();
        call.header("authorization").map(str::to_owned)
    };
    assert_eq!(shown(&front, "/login"), Some(format!("Basic {ANN}")));
    assert_eq!(shown(&registry, "/token"), None);
}

#[tokio::test]
async fn a_token_is_fetched_once_per_repository_and_right() {
    let registry = ScriptedRegistry::with_login(password_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    for _ in 0..3 {
        client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    }
    assert_eq!(registry.count(&Method::GET, "/token"), 1);
    let digest = registry.put_blob("a", "content");
    let a = repository(&registry.host(), "a");
    // A look at what is written to shows the rights for that.
    assert!(client.has_blob(&a, &digest).await.unwrap());
    assert_eq!(registry.count(&Method::GET, "/token"), 2);
    let source = Content::new("new");
    client
        .push_blob(&a, &descriptor(b"new"), &source)
        .await
        .unwrap();
    assert_eq!(registry.count(&Method::GET, "/token"), 2);
    // The challenge is known by now, so nothing is sent in vain.
    assert_eq!(registry.count(&Method::POST, "/uploads/"), 1);
}

#[tokio::test]
async fn has_blob_gets_its_own_token_when_it_comes_first() {
    let registry = ScriptedRegistry::with_login(password_tokens()).await;
    let digest = registry.put_blob("a", "content");
    let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    let a = repository(&registry.host(), "a");
    assert!(client.has_blob(&a, &digest).await.unwrap());
    registry.revoke_tokens();
    assert!(client.has_blob(&a, &digest).await.unwrap());
}

#[tokio::test]
async fn a_token_without_a_lifetime_is_kept_and_a_spent_one_replaced() {
    for (expires_in, fetched) in [(None, 1), (Some(0), 2)] {
        let registry = ScriptedRegistry::with_login(Login::Bearer {
            basic: None,
            refresh: None,
            expires_in,
        })
        .await;
        registry.put_manifest("a", "v1", &manifest());
        let client = client(&registry.host());
        for _ in 0..2 {
            client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
        }
        assert_eq!(
            registry.count(&Method::GET, "/token"),
            fetched,
            "{expires_in:?}"
        );
    }
}

#[tokio::test]
async fn a_revoked_token_is_replaced() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    let client = client(&registry.host());
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    registry.revoke_tokens();
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    assert_eq!(registry.count(&Method::GET, "/token"), 2);
}

#[tokio::test]
async fn a_401_after_a_fresh_token_is_denied() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    registry.grant_nothing_for("a");
    let error = client(&registry.host())
        .pull(&image(&registry.host(), "a:v1"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::Denied { status: 401, .. }),
        "{error}"
    );
    assert_eq!(registry.count(&Method::GET, "/manifests/"), 2);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_and_not_shown_to_the_registry() {
    let registry = ScriptedRegistry::with_login(Login::Bearer {
        basic: Some("nobody".to_owned()),
        refresh: Some("id/token=".to_owned()),
        expires_in: None,
    })
    .await;
    registry.put_manifest("a", "v1", &manifest());
    let entry = format!(r#"{{"auth":"{ANN}","identitytoken":"id/token="}}"#);
    let (client, _path, _folder) = client_with(&registry.host(), &entry);
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    assert_eq!(registry.count(&Method::POST, "/token"), 1);
    let (wrong, _path, _folder) = client_with(&registry.host(), r#"{"identitytoken":"old"}"#);
    let error = wrong
        .pull(&image(&registry.host(), "a:v1"))
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn a_token_server_that_stumbles_is_tried_again() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    registry.on(
        Method::GET,
        "/token",
        [Answer::Status(503), Answer::Disconnect],
    );
    let client = client(&registry.host());
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    assert_eq!(registry.count(&Method::GET, "/token"), 3);
}

#[tokio::test]
async fn a_token_server_that_is_not_there_does_not_mean_a_missing_image() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    for status in [404, 410] {
        registry.on(Method::GET, "/token", [Answer::Status(status)]);
        let error = client(&registry.host())
            .pull(&image(&registry.host(), "a:v1"))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RegistryError::Refused { status: got, .. } if *got == status),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_token_breaks_the_protocol() {
    let registry = ScriptedRegistry::with_login(Login::anonymous_tokens()).await;
    for body in ["{}", "<html>", r#"{"token":"a\r\nb"}"#] {
        let answer = Answer::Reply(200, Vec::new(), body.into());
        registry.on(Method::GET, "/token", [answer]);
        let error = client(&registry.host())
            .pull(&image(&registry.host(), "a:v1"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::Protocol { .. }),
            "{body}: {error}"
        );
    }
}

#[tokio::test]
async fn credentials_do_not_go_to_a_plain_token_server_that_is_not_named() {
    let registry = ScriptedRegistry::with_login(password_tokens()).await;
    let thief = ScriptedRegistry::start().await;
    registry.set_realm(&format!("http://{}/token", thief.host()));
    let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    let error = client
        .pull(&image(&registry.host(), "a:v1"))
        .await
        .unwrap_err();
    let RegistryError::HostRefused { source, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(source, &HostRefusal::PlainHttp { host: thief.host() });
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn the_entry_of_the_repository_wins_over_that_of_the_registry() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("team/app", "v1", &manifest());
    let host = registry.host();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    let file = format!(
        r#"{{"auths":{{"{host}":{{"auth":"eDp4"}},"{host}/team/app":{{"auth":"{ANN}"}}}}}}"#
    );
    std::fs::write(&path, file).unwrap();
    let client = RegistryClient::new(RegistryConfig {
        auth_files: vec![folder.path().join("missing.json"), path],
        ..config(&host)
    })
    .unwrap();
    client.pull(&image(&host, "team/app:v1")).await.unwrap();
}

#[tokio::test]
async fn a_new_password_in_the_file_counts_at_the_next_401() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("a", "v1", &manifest());
    let (client, path, _folder) = client_with(&registry.host(), &with_auth("eDp4"));
    let spec = image(&registry.host(), "a:v1");
    client.pull(&spec).await.unwrap_err();
    let file = format!(
        r#"{{"auths":{{"{}":{}}}}}"#,
        registry.host(),
        with_auth(ANN)
    );
    std::fs::write(path, file).unwrap();
    client.pull(&spec).await.unwrap();
}

#[tokio::test]
async fn a_broken_auth_file_is_named_at_the_start_and_later() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    let (client, path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    std::fs::write(&path, "{").unwrap();
    let later = client
        .pull(&image(&registry.host(), "a:v1"))
        .await
        .unwrap_err();
    assert!(
        matches!(&later, RegistryError::Credentials { registry: named, .. } if *named == registry.host()),
        "{later:?}"
    );
    assert_eq!(later.class(), Class::Bug);
    let named = later.source().unwrap().to_string();
    assert!(named.contains(path.to_str().unwrap()), "{named}");
    let started = RegistryClient::new(RegistryConfig {
        auth_files: vec![path.clone()],
        ..RegistryConfig::default()
    });
    let Err(RegistryInitError::AuthFile(error)) = started else {
        panic!("{started:?}");
    };
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_does_not_show_secrets() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("a", "v1", &manifest());
    let (client, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    client.pull(&image(&registry.host(), "a:v1")).await.unwrap();
    let shown = format!("{client:?}");
    assert!(shown.contains("Sensitive"), "{shown}");
    assert!(!shown.contains("s3cret") && !shown.contains(ANN), "{shown}");
}

fn ann_at(host: &str) -> Keyring {
    Keyring::Given(vec![GivenLogin {
        scope: host.to_owned(),
        login: PortLogin {
            user: "ann".to_owned(),
            password: Secret::new("s3cret"),
        },
    }])
}

#[tokio::test]
async fn what_a_registry_asks_for_is_shared_and_what_it_grants_is_not() {
    let registry = ScriptedRegistry::with_login(password_tokens()).await;
    registry.put_manifest("a", "v1", &manifest());
    let client = client(&registry.host());
    let image = image(&registry.host(), "a:v1");
    for rings in 1..=3 {
        let ring = client.with(ann_at(&registry.host()));
        for _ in 0..2 {
            ring.pull(&image).await.unwrap();
        }
        assert_eq!(registry.count(&Method::GET, "/token"), rings);
    }
    // Only the very first call had to be told.
    let asked = registry.seen();
    let strangers = asked
        .iter()
        .filter(|seen| seen.header("authorization").is_none());
    assert_eq!(strangers.count(), 1);
}

#[tokio::test]
async fn logins_of_a_request_go_before_the_services_own_which_are_shown_elsewhere() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("a", "v1", &manifest());
    let image = image(&registry.host(), "a:v1");
    let (wrong, _path, _folder) = client_with(&registry.host(), &with_auth("YW5uOndyb25n"));
    let given = wrong.with(ann_at(&registry.host()));
    given.pull(&image).await.unwrap();
    assert!(wrong.pull(&image).await.is_err());

    let (right, _path, _folder) = client_with(&registry.host(), &with_auth(ANN));
    let elsewhere = right.with(ann_at("elsewhere.example"));
    elsewhere.pull(&image).await.unwrap();
}

#[tokio::test]
async fn a_refused_access_says_that_the_login_was_the_requests() {
    let registry = ScriptedRegistry::with_login(Login::Basic("eDp4".to_owned())).await;
    let client = client(&registry.host()).with(ann_at(&registry.host()));
    let error = client.pull(&image(&registry.host(), "a:v1")).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("given with the request was shown"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn what_a_registry_repeats_of_the_login_is_masked() {
    let registry = ScriptedRegistry::with_login(Login::Basic(ANN.to_owned())).await;
    registry.put_manifest("a", "v1", &manifest());
    let image = image(&registry.host(), "a:v1");
    let client = client(&registry.host()).with(ann_at(&registry.host()));
    client.pull(&image).await.unwrap();
    let repeats = format!("`Authorization: Basic {ANN}` is for ann:s3cret");
    for status in [400, 503] {
        let answer = Answer::Reply(status, Vec::new(), repeats.clone().into_bytes());
        registry.on(Method::GET, "/manifests/", vec![answer; 10]);
        let error = client.pull(&image).await.unwrap_err();
        let told = iib_ports::chain(&error);
        assert!(
            told.contains("`Authorization: Basic ***` is for ann:***"),
            "{told}"
        );
        let debug = format!("{error:?}");
        assert!(!debug.contains("s3cret") && !debug.contains(ANN), "{debug}");
    }
}
