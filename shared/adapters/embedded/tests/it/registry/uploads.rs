//! Uploads in several calls, and what becomes of those that are not finished.

use std::convert::Infallible;
use std::fs;

use axum::body::Body;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, stream};
use http::{Method, Request, StatusCode};
use iib_embedded::registry::{Auth, RegistryStore, router};
use iib_oci::Digest;

use super::{Answer, Registry, refusal};

impl Registry {
    async fn begin(&self, name: &str) -> String {
        let answer = self
            .call(Method::POST, &format!("/v2/{name}/blobs/uploads/"), "")
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(answer.header("range"), "0-0");
        answer.header("location").to_owned()
    }

    async fn patch(&self, location: &str, range: &str, body: impl Into<Body>) -> Answer {
        let request = Request::patch(location).header("content-range", range);
        self.send(request.body(body.into()).unwrap()).await
    }

    fn unfinished(&self) -> usize {
        fs::read_dir(self.place.path().join("registry/uploads"))
            .unwrap()
            .count()
    }
}

#[tokio::test]
async fn an_upload_in_pieces_becomes_a_blob() {
    let registry = Registry::open();
    let digest = Digest::of(b"one two three");
    let location = registry.begin("a").await;
    let first = registry.patch(&location, "0-3", "one ").await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.header("range"), "0-3");
    let second = registry
        .call(Method::PATCH, first.header("location"), "two ")
        .await;
    assert_eq!(second.header("range"), "0-7");
    let state = registry.get(second.header("location")).await;
    assert_eq!(
        (state.status, state.header("range")),
        (StatusCode::NO_CONTENT, "0-7")
    );
    let finish = format!("{}?digest={digest}", state.header("location"));
    let finished = registry.call(Method::PUT, &finish, "three").await;
    assert_eq!(finished.status, StatusCode::CREATED);
    assert_eq!(finished.header("location"), format!("/v2/a/blobs/{digest}"));
    assert_eq!(
        registry.get(finished.header("location")).await.body,
        "one two three"
    );
    assert_eq!(
        registry.get(&location).await.refusal(),
        refusal(404, "BLOB_UPLOAD_UNKNOWN")
    );
    assert_eq!(registry.unfinished(), 0);
}

#[tokio::test]
async fn content_with_another_digest_is_refused_and_forgotten() {
    let registry = Registry::open();
    let digest = Digest::of(b"right");
    let location = registry.begin("a").await;
    let finish = format!("{location}?digest={digest}");
    let refused = registry.call(Method::PUT, &finish, "wrong").await;
    assert_eq!(refused.refusal(), refusal(400, "DIGEST_INVALID"));
    let at_once = format!("/v2/a/blobs/uploads/?digest={digest}");
    let refused = registry.call(Method::POST, &at_once, "wrong").await;
    assert_eq!(refused.refusal(), refusal(400, "DIGEST_INVALID"));
    for text in [
        "sha256:12",
        "md5:00",
        "",
        &format!("sha512:{}", "0".repeat(128)),
    ] {
        let location = registry.begin("b").await;
        let finish = format!("{location}?digest={text}");
        let refused = registry.call(Method::PUT, &finish, "x").await;
        assert_eq!(refused.refusal(), refusal(400, "DIGEST_INVALID"), "{text}");
        registry.call(Method::DELETE, &location, "").await;
    }
    let unseen = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(unseen.status, StatusCode::NOT_FOUND);
    assert_eq!(registry.get(&location).await.status, StatusCode::NOT_FOUND);
    assert_eq!(registry.unfinished(), 0);
}

#[tokio::test]
async fn a_piece_that_does_not_follow_is_refused_with_the_place_to_go_on() {
    let registry = Registry::open();
    let location = registry.begin("a").await;
    registry.patch(&location, "0-2", "abc").await;
    for range in ["0-2", "4-6", "3-1", "bytes 3-5/9", "-", "3-", "x-y"] {
        let refused = registry.patch(&location, range, "def").await;
        assert_eq!(refused.refusal(), refusal(416, "RANGE_INVALID"), "{range}");
        assert_eq!(refused.header("range"), "0-2");
        assert_eq!(refused.header("location"), location);
    }
    let request = Request::patch(&location)
        .header("content-range", "3-9")
        .header("content-length", "3");
    let refused = registry.send(request.body("ghi".into()).unwrap()).await;
    assert_eq!(refused.refusal(), refusal(416, "RANGE_INVALID"));
}

#[tokio::test]
async fn an_upload_that_is_cut_off_goes_on_where_it_ended() {
    let registry = Registry::open();
    let location = registry.begin("a").await;
    let cut = stream::iter([
        Ok(Bytes::from_static(b"first ")),
        Err(std::io::Error::other("connection reset")),
    ]);
    let answer = registry
        .call(Method::PATCH, &location, Body::from_stream(cut))
        .await;
    assert_eq!(answer.refusal(), refusal(400, "BLOB_UPLOAD_INVALID"));
    let state = registry.get(&location).await;
    assert_eq!(state.header("range"), "0-5");
    let digest = Digest::of(b"first second");
    registry.patch(&location, "6-11", "second").await;
    let finish = format!("{location}?digest={digest}");
    let finished = registry.call(Method::PUT, &finish, "").await;
    assert_eq!(finished.status, StatusCode::CREATED, "{finished:?}");

    // One that nobody could go on with leaves nothing.
    let cut = stream::iter([
        Ok(Bytes::from_static(b"first ")),
        Err(std::io::Error::other("connection reset")),
    ]);
    let at_once = format!("/v2/a/blobs/uploads/?digest={digest}");
    let answer = registry
        .call(Method::POST, &at_once, Body::from_stream(cut))
        .await;
    assert_eq!(answer.refusal(), refusal(400, "BLOB_UPLOAD_INVALID"));
    assert_eq!(registry.unfinished(), 0);
}

#[tokio::test]
async fn a_call_that_waited_for_an_upload_cannot_change_the_blob_it_became() {
    let registry = Registry::open();
    let digest = Digest::of(b"first last");
    let location = registry.begin("a").await;
    let (mut pieces, body) = mpsc::channel::<Result<Bytes, Infallible>>(0);
    let finish = format!("{location}?digest={digest}");
    let finishing = registry.call(Method::PUT, &finish, Body::from_stream(body));
    let late = registry.call(Method::PATCH, &location, "too late");
    let calls = async { tokio::join!(biased; finishing, late) };
    let sending = async {
        // Both calls have begun when the first piece is taken.
        pieces
            .send(Ok(Bytes::from_static(b"first ")))
            .await
            .unwrap();
        pieces.send(Ok(Bytes::from_static(b"last"))).await.unwrap();
        drop(pieces);
    };
    let ((finished, late), ()) = tokio::join!(biased; calls, sending);
    assert_eq!(finished.status, StatusCode::CREATED, "{finished:?}");
    assert_eq!(late.refusal(), refusal(404, "BLOB_UPLOAD_UNKNOWN"));
    let blob = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(blob.body, "first last");
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_can_be_given_up() {
    let registry = Registry::open();
    let location = registry.begin("a").await;
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        let answer = registry.call(method.clone(), &elsewhere, "x").await;
        assert_eq!(
            answer.refusal(),
            refusal(404, "BLOB_UPLOAD_UNKNOWN"),
            "{method}"
        );
    }
    let given_up = registry.call(Method::DELETE, &location, "").await;
    assert_eq!(given_up.status, StatusCode::NO_CONTENT);
    assert_eq!(registry.get(&location).await.status, StatusCode::NOT_FOUND);
    assert_eq!(registry.unfinished(), 0);
}

#[tokio::test]
async fn abandoned_uploads_make_room_for_new_ones() {
    let registry = Registry::open();
    let first = registry.begin("a").await;
    let mut last = String::new();
    for _ in 0..256 {
        last = registry.begin("a").await;
    }
    assert_eq!(registry.unfinished(), 256);
    assert_eq!(registry.get(&first).await.status, StatusCode::NOT_FOUND);
    assert_eq!(registry.get(&last).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn half_an_upload_is_gone_after_a_restart_and_whole_blobs_are_there() {
    let registry = Registry::open();
    let digest = registry.push_blob("a", b"whole").await;
    let location = registry.begin("a").await;
    registry.patch(&location, "0-3", "half").await;
    assert_eq!(registry.unfinished(), 1);
    let Registry { router: old, place } = registry;
    drop(old);
    let store = RegistryStore::open(place.path().join("registry")).unwrap();
    let router = router(store, Auth::None);
    let registry = Registry { router, place };
    assert_eq!(registry.unfinished(), 0);
    assert_eq!(registry.get(&location).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        registry.get(&format!("/v2/a/blobs/{digest}")).await.body,
        "whole"
    );
}
