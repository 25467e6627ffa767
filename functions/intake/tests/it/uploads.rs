use std::sync::Arc;

use iib_oci::Digest;
use iib_ports::{ArtifactKey, Requests};
use iib_request::{RequestId, UploadKind};
use serde_json::json;

use crate::service::{Service, good};
use crate::store::Linking;

const UPLOADS: &str = "/api/v1/builds/1/uploads";

async fn register(service: &Service, kind: UploadKind, content: &'static str, name: &str) {
    let digest = Digest::of(content.as_bytes());
    let key = ArtifactKey::upload(RequestId(1), kind, &digest, name);
    service.store(&key, content).await;
}

#[tokio::test]
async fn uploads_are_listed_and_downloaded() {
    let service = Service::new();
    let answer = service.get(UPLOADS).await;
    answer.assert_error(404, "The requested resource was not found");
    service.add(good()).await;
    assert_eq!(service.get(UPLOADS).await.json(), json!([]));
    register(&service, UploadKind::Log, "a line\n", "a b?.log").await;
    register(&service, UploadKind::Fragment, "schema: a", "c.yaml").await;
    let listed = service.get(UPLOADS).await.json();
    let digest = Digest::of(b"a line\n");
    let url = format!(
        "http://iib.example:8080/api/v1/builds/1/uploads/logs/{}/a%20b%3F.log",
        digest.hex()
    );
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(
        listed[1],
        json!({
            "kind": "logs",
            "name": "a b?.log",
            "size": 7,
            "digest": digest,
            "uploaded": "1970-01-01T00:00:00Z",
            "url": url,
        })
    );
    let path = url.strip_prefix("http://iib.example:8080").unwrap();
    let answer = service.get(path).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, "a line\n"));
    assert_eq!(answer.media_type, "application/octet-stream");
}

#[tokio::test]
async fn what_is_no_upload_is_not_found() {
    let service = Service::new();
    service.add(good()).await;
    register(&service, UploadKind::Log, "x", "a").await;
    let hex = Digest::of(b"x").hex().to_owned();
    for path in [
        format!("logs/{hex}/b"),
        format!("fragments/{hex}/a"),
        format!("others/{hex}/a"),
        "logs/00/a".to_owned(),
        format!("logs/{hex}/..%2F..%2F..%2Fbuild.log"),
        format!("logs/{hex}/.."),
        format!("logs/{hex}/a%00"),
    ] {
        let answer = service.get(&format!("{UPLOADS}/{path}")).await;
        answer.assert_error(404, "The requested resource was not found");
    }
    let other = format!("/api/v1/builds/2/uploads/logs/{hex}/a");
    let answer = service.get(&other).await;
    answer.assert_error(404, "The requested resource was not found");
}

#[tokio::test]
async fn where_there_are_links_a_download_is_sent_there_and_after_expiry_nowhere() {
    let mut service = Service::new();
    service.deps.artifacts = Arc::new(Linking::default());
    service.add(good()).await;
    register(&service, UploadKind::Log, "x", "a").await;
    let path = format!("{UPLOADS}/logs/{}/a", Digest::of(b"x").hex());
    let answer = service.get(&path).await;
    assert_eq!(answer.status, 302);
    let location = answer.location.unwrap();
    assert!(location.starts_with("https://bucket.example/kept/1/logs/"));

    service.end(1).await;
    let record = service.requests.get(RequestId(1)).await.unwrap();
    let mut record = record.unwrap();
    record.data_removed = true;
    service.requests.replace(record).await.unwrap();
    for path in [UPLOADS, &path] {
        let answer = service.get(path).await;
        answer.assert_error(410, "The data for the build request 1 no longer exist");
    }
}
