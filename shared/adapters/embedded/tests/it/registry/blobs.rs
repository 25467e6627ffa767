//! Blobs: read, seen by repository, mounted.

use http::{Method, Request, StatusCode};
use iib_oci::Digest;

use super::{Registry, refusal};

#[tokio::test]
async fn a_pushed_blob_is_read_back_whole_and_in_part() {
    let registry = Registry::open();
    let digest = registry.push_blob("a/b", b"0123456789").await;
    let path = format!("/v2/a/b/blobs/{digest}");
    let whole = registry.get(&path).await;
    assert_eq!(
        (whole.status, &whole.body[..]),
        (StatusCode::OK, &b"0123456789"[..])
    );
    assert_eq!(whole.header("docker-content-digest"), digest.as_str());
    let head = registry.call(Method::HEAD, &path, "").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), "10");

    let request = Request::get(&path).header("range", "bytes=3-5");
    let part = registry.send(request.body("".into()).unwrap()).await;
    assert_eq!(
        (part.status, &part.body[..]),
        (StatusCode::PARTIAL_CONTENT, &b"345"[..])
    );
    assert_eq!(part.header("content-range"), "bytes 3-5/10");
    let request = Request::get(&path).header("range", "bytes=10-");
    let behind = registry.send(request.body("".into()).unwrap()).await;
    assert_eq!(behind.refusal(), refusal(416, "RANGE_INVALID"));
    assert_eq!(behind.header("content-range"), "bytes */10");
}

#[tokio::test]
async fn a_blob_is_seen_only_in_repositories_it_was_pushed_to_or_mounted_in() {
    let registry = Registry::open();
    let digest = registry.push_blob("a/b", b"layer").await;
    let there = format!("/v2/c/d/blobs/{digest}");
    let unseen = registry.get(&there).await;
    assert_eq!(unseen.refusal(), refusal(404, "BLOB_UNKNOWN"));

    // Mounting from where it is not begins an upload and shows nothing.
    let from_elsewhere = format!("/v2/c/d/blobs/uploads/?mount={digest}&from=e/f");
    let not_mounted = registry.call(Method::POST, &from_elsewhere, "").await;
    assert_eq!(not_mounted.status, StatusCode::ACCEPTED);
    assert!(
        not_mounted
            .header("location")
            .starts_with("/v2/c/d/blobs/uploads/")
    );
    assert_eq!(registry.get(&there).await.status, StatusCode::NOT_FOUND);

    let from_there = format!("/v2/c/d/blobs/uploads/?mount={digest}&from=a/b");
    let mounted = registry.call(Method::POST, &from_there, "").await;
    assert_eq!(mounted.status, StatusCode::CREATED);
    assert_eq!(mounted.header("location"), there);
    assert_eq!(mounted.header("docker-content-digest"), digest.as_str());
    assert_eq!(registry.get(&there).await.body, "layer");

    // A second push of the same bytes is one too.
    registry.push_blob("e/f", b"layer").await;
    assert_eq!(
        registry.get(&format!("/v2/e/f/blobs/{digest}")).await.body,
        "layer"
    );
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let registry = Registry::open();
    let digest = registry.push_blob("a", b"").await;
    let answer = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.header("content-length"), "0");
}

#[tokio::test]
async fn a_large_blob_comes_back_with_its_digest() {
    let registry = Registry::open();
    let content: &'static [u8] = vec![7; 3_000_001].leak();
    let digest = registry.push_blob("a", content).await;
    let answer = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(answer.body.len(), content.len());
    assert_eq!(Digest::of(&answer.body), digest);
}

#[tokio::test]
async fn calls_the_registry_does_not_have_are_unsupported() {
    let registry = Registry::open();
    let digest = registry.push_blob("a", b"x").await;
    for (method, path) in [
        (Method::DELETE, format!("/v2/a/blobs/{digest}")),
        (Method::PUT, "/v2/a/blobs/uploads/".to_owned()),
        (Method::POST, "/v2/a/manifests/latest".to_owned()),
        (Method::DELETE, "/v2/_catalog".to_owned()),
        (Method::POST, "/v2/".to_owned()),
    ] {
        let answer = registry.call(method.clone(), &path, "").await;
        assert_eq!(
            answer.refusal(),
            refusal(405, "UNSUPPORTED"),
            "{method} {path}"
        );
    }
}
