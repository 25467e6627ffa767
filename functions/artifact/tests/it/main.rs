//! The handler with stores in memory, given the events of a bucket.

#![cfg(test)]

#[cfg(feature = "aws")]
mod binary;

use std::sync::Arc;

use futures::TryStreamExt;
use iib_artifact::EventFault;
use iib_oci::Digest;
use iib_pipeline::artifact::ArtifactDeps;
use iib_pipeline::intake::{IntakeDeps, submit};
use iib_ports::{ArtifactKey, Class, Classify, Requests as _};
use iib_request::{AddRequest, ApiSettings, BinaryImages, Request, RequestId, UploadKind};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

const DOCUMENT: &str = r#"{"bundles": ["r.example/lantern-bundle:v0.2.0"], "from_index": "r.example/index:v4.6", "binary_image": "r.example/opm:v4.6", "build_tags": ["nightly"]}
"#;
const FRAGMENT: &str = "schema: olm.package\nname: lantern\ndefaultChannel: stable\n";

struct Service {
    requests: Arc<MemoryRequests>,
    queue: Arc<MemoryQueue>,
    artifacts: Arc<MemoryArtifacts>,
    deps: ArtifactDeps,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let queue = Arc::new(MemoryQueue::default());
        let artifacts = Arc::new(MemoryArtifacts::default());
        let intake = IntakeDeps {
            results: None,
            requests: requests.clone(),
            operators: requests.clone(),
            queue: queue.clone(),
            lines: Arc::new(MemoryLines::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: artifacts.clone(),
            secrets: Arc::new(MemorySecrets::default()),
            clock: Arc::new(ManualClock::default()),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: Arc::new(iib_ports::NoFigures),
            traces: Arc::new(iib_ports::NoTraces),
            api: ApiSettings::default(),
            new: iib_request::RequestSettings::default(),
            binary_images: BinaryImages::new(),
            hosts: iib_oci::hosts::HostRules::default(),
        };
        let deps = ArtifactDeps {
            intake,
            max_bundle_bytes: 1 << 20,
        };
        Self {
            requests,
            queue,
            artifacts,
            deps,
        }
    }

    async fn put(&self, key: &str, content: &'static str) {
        let content = Box::pin(futures::stream::iter([Ok(content.into())]));
        let key = key.parse().unwrap();
        self.deps.intake.artifacts.put(&key, content).await.unwrap();
    }

    async fn read(&self, key: &str) -> Value {
        let key = key.parse().unwrap();
        let content = self.deps.intake.artifacts.get(&key).await.unwrap();
        let pieces: Vec<_> = content.try_collect().await.unwrap();
        serde_json::from_slice(&pieces.concat()).unwrap()
    }

    async fn run(&self, event: Value) -> Result<(), EventFault> {
        let event = LambdaEvent::new(event, Context::default());
        iib_artifact::handle(&self.deps, event).await
    }
}

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn request_event() -> Value {
    event(include_str!("../../../../events/s3-request.json"))
}

fn upload_event() -> Value {
    event(include_str!("../../../../events/s3-upload.json"))
}

#[tokio::test]
async fn a_document_in_the_inbox_becomes_a_request() {
    let service = Service::new();
    service.put("inbox/team a/lantern.json", DOCUMENT).await;
    for _ in 0..2 {
        service.run(request_event()).await.unwrap();
    }
    let record = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    assert_eq!(record.user.as_deref(), Some("AWS:AIDAIENQZJOLO23YVJ4VO"));
    let Request::Add(add) = record.request else {
        panic!("{:?}", record.request)
    };
    assert_eq!(add.build_tags, ["nightly"]);
    assert!(service.requests.get(RequestId(2)).await.unwrap().is_none());
    let result = service.read("results/team a/lantern.json").await;
    assert_eq!(result["id"], 1);
    assert_eq!(service.artifacts.keys().len(), 1);
}

#[tokio::test]
async fn an_upload_is_registered() {
    let service = Service::new();
    submit(&service.deps.intake, None, AddRequest::default())
        .await
        .unwrap();
    service
        .put("uploads/1/fragments/catalog.yaml", FRAGMENT)
        .await;
    service.run(upload_event()).await.unwrap();
    let digest = Digest::of(FRAGMENT.as_bytes());
    let kind = UploadKind::Fragment;
    let registered = ArtifactKey::upload(RequestId(1), kind, &digest, "catalog.yaml");
    assert_eq!(service.artifacts.keys(), [registered]);
}

#[tokio::test]
async fn an_event_fails_for_what_may_pass_and_for_nothing_else() {
    let service = Service::new();
    service.put("inbox/team a/lantern.json", DOCUMENT).await;
    service
        .put("uploads/1/fragments/catalog.yaml", FRAGMENT)
        .await;
    // Both in one event; the first one fails, and the second one is handled all the same.
    let mut both = request_event();
    let upload = upload_event()["Records"][0].take();
    both["Records"].as_array_mut().unwrap().push(upload);
    service.queue.refuse_next(1);
    let fault = service.run(both.clone()).await.unwrap_err();
    assert_eq!(fault.class(), Class::Retry);
    let upload: ArtifactKey = "uploads/1/fragments/catalog.yaml".parse().unwrap();
    assert!(!service.artifacts.keys().contains(&upload));
    service.run(both).await.unwrap();
    let result = service.read("results/team a/lantern.json").await;
    assert_eq!(result["state"], "failed");

    let test = event(include_str!("../../../../events/s3-test.json"));
    service.run(test).await.unwrap();
    let fault = service.run(json!({"Records": [{}]})).await.unwrap_err();
    assert_eq!(fault.class(), Class::Bug);
}
