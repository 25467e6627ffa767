//! Manifests, lists and tags.

use http::{Method, StatusCode};
use iib_oci::{Digest, MediaType};
use serde_json::json;

use super::{Registry, image, refusal};

#[tokio::test]
async fn a_manifest_comes_back_as_it_was_pushed_by_tag_and_by_digest() {
    let registry = Registry::open();
    let config = registry.push_blob("a/b", b"{}").await;
    let layer = registry.push_blob("a/b", b"layer").await;
    let document = image(&config, &layer);
    let bytes = serde_json::to_vec(&document).unwrap();
    let digest = Digest::of(&bytes);
    let pushed = registry
        .push_manifest(
            "/v2/a/b/manifests/v1",
            MediaType::DOCKER_MANIFEST,
            &document,
        )
        .await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    assert_eq!(
        pushed.header("location"),
        format!("/v2/a/b/manifests/{digest}")
    );
    for reference in ["v1", digest.as_str()] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let answer = registry.get(&path).await;
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &bytes[..])
        );
        assert_eq!(answer.header("content-type"), MediaType::DOCKER_MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        let head = registry.call(Method::HEAD, &path, "").await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.header("content-length"), bytes.len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.as_str());
    }
    for path in ["/v2/a/b/manifests/v2", "/v2/a/c/manifests/v1"] {
        let missing = registry.get(path).await;
        assert_eq!(
            missing.refusal(),
            refusal(404, "MANIFEST_UNKNOWN"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_manifest_is_refused_while_a_blob_is_missing_in_its_repository() {
    let registry = Registry::open();
    let config = registry.push_blob("a", b"{}").await;
    // In another repository, which does not count.
    let layer = registry.push_blob("b", b"layer").await;
    let document = image(&config, &layer);
    let path = "/v2/a/manifests/v1";
    let refused = registry
        .push_manifest(path, MediaType::DOCKER_MANIFEST, &document)
        .await;
    assert_eq!(refused.refusal(), refusal(400, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(
        refused.json()["errors"][0]["detail"]["digest"],
        layer.as_str()
    );
    assert_eq!(refused.json()["errors"].as_array().unwrap().len(), 1);
    assert_eq!(registry.get(path).await.status, StatusCode::NOT_FOUND);
    registry.push_blob("a", b"layer").await;
    let pushed = registry
        .push_manifest(path, MediaType::DOCKER_MANIFEST, &document)
        .await;
    assert_eq!(pushed.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_list_needs_its_images_in_its_repository() {
    let registry = Registry::open();
    let elsewhere = registry.push_image("b", "v1", b"layer").await;
    let list = |digest: &Digest| {
        json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": MediaType::DOCKER_MANIFEST, "size": 1, "digest": digest,
                "platform": {"architecture": "amd64", "os": "linux"},
            }],
        })
    };
    let (path, media_type) = ("/v2/a/manifests/v1", MediaType::OCI_INDEX);
    let refused = registry
        .push_manifest(path, media_type, &list(&elsewhere))
        .await;
    assert_eq!(refused.refusal(), refusal(400, "MANIFEST_BLOB_UNKNOWN"));
    let here = registry.push_image("a", "amd64", b"layer").await;
    let pushed = registry.push_manifest(path, media_type, &list(&here)).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    assert_eq!(registry.get(path).await.header("content-type"), media_type);
}

#[tokio::test]
async fn a_tag_moves_and_what_it_named_stays_by_digest() {
    let registry = Registry::open();
    let old = registry.push_image("a", "v1", b"old").await;
    let new = registry.push_image("a", "v1", b"new").await;
    assert_ne!(old, new);
    let by_tag = registry.get("/v2/a/manifests/v1").await;
    assert_eq!(by_tag.header("docker-content-digest"), new.as_str());
    let by_digest = registry.get(&format!("/v2/a/manifests/{old}")).await;
    assert_eq!(by_digest.status, StatusCode::OK);
    // The same image again, under the tag it has.
    assert_eq!(registry.push_image("a", "v1", b"new").await, new);
    let by_tag = registry.get("/v2/a/manifests/v1").await;
    assert_eq!(by_tag.header("docker-content-digest"), new.as_str());
}

#[tokio::test]
async fn removing_a_manifest_takes_its_tags_and_removing_a_tag_takes_nothing_else() {
    let registry = Registry::open();
    let image = registry.push_image("a", "v1", b"layer").await;
    registry.push_image("a", "v2", b"layer").await;
    registry.push_image("a", "other", b"other").await;
    let delete = async |reference: &str| {
        let path = format!("/v2/a/manifests/{reference}");
        registry.call(Method::DELETE, &path, "").await
    };
    assert_eq!(delete("v1").await.status, StatusCode::ACCEPTED);
    assert_eq!(
        delete("v1").await.refusal(),
        refusal(404, "MANIFEST_UNKNOWN")
    );
    assert_eq!(
        registry.get("/v2/a/manifests/v2").await.status,
        StatusCode::OK
    );
    assert_eq!(delete(image.as_str()).await.status, StatusCode::ACCEPTED);
    assert_eq!(delete(image.as_str()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        registry.get("/v2/a/manifests/v2").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        registry.get("/v2/a/tags/list").await.json()["tags"],
        json!(["other"])
    );
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let registry = Registry::open();
    let config = registry.push_blob("a", b"{}").await;
    let document = image(&config, &config);
    let path = "/v2/a/manifests/v1";
    for media_type in [MediaType::DOCKER_LIST, "application/json", "text/html", ";"] {
        let refused = registry.push_manifest(path, media_type, &document).await;
        assert_eq!(
            refused.refusal(),
            refusal(400, "MANIFEST_INVALID"),
            "{media_type}"
        );
    }
    let refused = registry
        .push_manifest(path, MediaType::OCI_INDEX, &json!("text"))
        .await;
    assert_eq!(refused.refusal(), refusal(400, "MANIFEST_INVALID"));
    let other = format!("/v2/a/manifests/{}", Digest::of(b"other"));
    let refused = registry
        .push_manifest(&other, MediaType::DOCKER_MANIFEST, &document)
        .await;
    assert_eq!(refused.refusal(), refusal(400, "DIGEST_INVALID"));
    let huge = json!("x".repeat(4 * 1024 * 1024));
    let refused = registry
        .push_manifest(path, MediaType::DOCKER_MANIFEST, &huge)
        .await;
    assert_eq!(refused.refusal(), refusal(413, "SIZE_INVALID"));
}

#[tokio::test]
async fn lists_of_tags_and_repositories_come_sorted_and_by_pages() {
    let registry = Registry::open();
    for name in ["b", "a/x", "a"] {
        registry.push_image(name, "v1", b"layer").await;
    }
    for tag in ["v10", "V2", "v2"] {
        registry.push_image("a", tag, b"layer").await;
    }
    registry.push_blob("only-a-blob", b"layer").await;
    let all = registry.get("/v2/a/tags/list").await;
    assert_eq!(
        all.json(),
        json!({"name": "a", "tags": ["V2", "v1", "v10", "v2"]})
    );
    assert_eq!(all.header("link"), "");
    for (path, key) in [
        ("/v2/a/tags/list", "tags"),
        ("/v2/_catalog", "repositories"),
    ] {
        let whole = registry.get(path).await.json()[key].clone();
        let mut gathered = Vec::new();
        let mut next = format!("{path}?n=1");
        loop {
            let page = registry.get(&next).await;
            let entries = page.json()[key].as_array().unwrap().clone();
            assert_eq!(entries.len(), 1, "{next}");
            gathered.extend(entries);
            let Some(link) = page.header("link").strip_prefix('<') else {
                break;
            };
            next = link.split_once(">; rel=\"next\"").unwrap().0.to_owned();
        }
        assert_eq!(json!(gathered), whole, "{path}");
    }
    let catalog = registry.get("/v2/_catalog").await.json();
    assert_eq!(catalog, json!({"repositories": ["a", "a/x", "b"]}));
    let unknown = registry.get("/v2/nobody/tags/list").await;
    assert_eq!(unknown.refusal(), refusal(404, "NAME_UNKNOWN"));
    let bad = registry.get("/v2/_catalog?n=many").await;
    assert_eq!(bad.refusal(), refusal(400, "PAGINATION_NUMBER_INVALID"));
    let none = registry.get("/v2/_catalog?n=0").await;
    assert_eq!(none.json(), json!({"repositories": []}));
}
