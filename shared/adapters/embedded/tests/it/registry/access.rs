//! Who gets in, and what no path gets at.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use iib_embedded::EmbeddedError;
use iib_embedded::registry::{Auth, RegistryStore};
use iib_oci::Digest;
use iib_ports::Secret;

use super::{Registry, refusal};

#[tokio::test]
async fn without_the_password_everything_is_refused_with_a_challenge() {
    let registry = Registry::new(Auth::Basic {
        user: "me".to_owned(),
        password: Secret::new("secret"),
    });
    let digest = Digest::of(b"x");
    for (method, path) in [
        (Method::GET, "/v2/".to_owned()),
        (Method::GET, "/v2/_catalog".to_owned()),
        (Method::GET, format!("/v2/a/blobs/{digest}")),
        (Method::POST, "/v2/a/blobs/uploads/".to_owned()),
        (Method::PUT, "/v2/a/manifests/v1".to_owned()),
    ] {
        let answer = registry.call(method.clone(), &path, "").await;
        assert_eq!(
            answer.refusal(),
            refusal(401, "UNAUTHORIZED"),
            "{method} {path}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .starts_with("Basic realm=")
        );
    }
    for (password, status) in [
        ("secret", StatusCode::OK),
        ("other", StatusCode::UNAUTHORIZED),
    ] {
        let value = format!("Basic {}", STANDARD.encode(format!("me:{password}")));
        let request = Request::get("/v2/").header("authorization", value);
        let answer = registry.send(request.body("".into()).unwrap()).await;
        assert_eq!(answer.status, status, "{password}");
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            "registry/2.0"
        );
    }
}

#[tokio::test]
async fn no_path_leaves_the_registry() {
    let registry = Registry::open();
    fs::write(registry.place.path().join("secret"), "hidden words").unwrap();
    let digest = Digest::of(b"x");
    for name in [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e%2fx",
        "a/../../b",
        "a%2f..%2f..%2fb",
        "a%00",
        "A",
        "_uploads",
        "a%5c..",
    ] {
        for (method, path) in [
            (
                Method::POST,
                format!("/v2/{name}/blobs/uploads/?digest={digest}"),
            ),
            (Method::GET, format!("/v2/{name}/blobs/{digest}")),
            (Method::GET, format!("/v2/{name}/manifests/v1")),
            (Method::GET, format!("/v2/{name}/tags/list")),
            (
                Method::POST,
                format!("/v2/a/blobs/uploads/?mount={digest}&from={name}"),
            ),
        ] {
            let answer = registry.call(method.clone(), &path, "x").await;
            assert_eq!(
                answer.refusal(),
                refusal(400, "NAME_INVALID"),
                "{method} {path}"
            );
        }
    }
    for path in [
        "/v2/a/manifests/..%2f..%2f..%2fsecret",
        "/v2/a/blobs/..%2f..%2f..%2fsecret",
        "/v2/a/blobs/uploads/..%2f..%2fregistry.db",
        "/v2/a/blobs/sha256:..%2f..%2f..%2fsecret",
    ] {
        let answer = registry.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
        assert!(
            !answer.body.windows(12).any(|it| it == b"hidden words"),
            "{path}"
        );
    }
    let mut left: Vec<_> = fs::read_dir(registry.place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["registry", "secret"]);
}

#[test]
fn one_process_owns_a_registry() {
    let place = tempfile::tempdir().unwrap();
    let first = RegistryStore::open(place.path()).unwrap();
    let refused = RegistryStore::open(place.path());
    assert!(
        matches!(refused, Err(EmbeddedError::Owned { .. })),
        "{refused:?}"
    );
    drop(first);
    RegistryStore::open(place.path()).unwrap();
}
