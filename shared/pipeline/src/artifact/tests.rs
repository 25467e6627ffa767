use std::sync::Arc;

use futures::TryStreamExt;
use iib_oci::Digest;
use iib_ports::Requests as _;
use iib_request::{ApiSettings, BinaryImages, RequestId, State, UploadKind};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use serde_json::json;

use super::*;
use crate::intake::submit;

struct Service {
    deps: ArtifactDeps,
    requests: Arc<MemoryRequests>,
    queue: Arc<MemoryQueue>,
    artifacts: Arc<MemoryArtifacts>,
    secrets: Arc<MemorySecrets>,
    /// Who writes, as the store says.
    principal: Option<String>,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let artifacts = Arc::new(MemoryArtifacts::default());
        let (queue, secrets) = (Arc::default(), Arc::default());
        let intake = IntakeDeps {
            results: None,
            requests: requests.clone(),
            operators: requests.clone(),
            queue: Arc::clone(&queue) as _,
            lines: Arc::new(MemoryLines::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: artifacts.clone(),
            secrets: Arc::clone(&secrets) as _,
            clock: Arc::new(ManualClock::default()),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: Arc::new(iib_ports::NoFigures),
            traces: Arc::new(iib_ports::NoTraces),
            new: iib_request::RequestSettings::default(),
            api: ApiSettings {
                // Writing to the store is the authentication.
                login_disabled: false,
                ..ApiSettings::default()
            },
            binary_images: BinaryImages::new(),
            hosts: iib_oci::hosts::HostRules::default(),
        };
        Self {
            deps: ArtifactDeps {
                intake,
                max_bundle_bytes: 1 << 20,
            },
            requests,
            queue,
            artifacts,
            secrets,
            principal: None,
        }
    }

    async fn with_request() -> Self {
        let service = Self::new();
        let request = iib_request::AddRequest::default();
        submit(&service.deps.intake, None, request).await.unwrap();
        service
    }

    async fn put(&self, key: &str, content: &[u8]) {
        let content = Bytes::copy_from_slice(content);
        let content = stream::iter([Ok(content)]).boxed();
        let key = key.parse().unwrap();
        self.deps.intake.artifacts.put(&key, content).await.unwrap();
    }

    async fn appears(&self, key: &str, content: &[u8]) {
        self.put(key, content).await;
        self.event(key, content.len() as u64).await.unwrap();
    }

    async fn event(&self, key: &str, size: u64) -> Result<(), ArtifactFault> {
        let created = ObjectCreated {
            bucket: "b".to_owned(),
            key: key.to_owned(),
            size: Some(size),
            version: "0055AED6DCD90281E5".to_owned(),
            principal: self.principal.clone(),
        };
        run(&self.deps, &created).await
    }

    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        let content = self.deps.intake.artifacts.get(&key.parse().unwrap()).await;
        let pieces: Vec<Bytes> = content.ok()?.try_collect().await.unwrap();
        Some(pieces.concat())
    }

    async fn result(&self, name: &str) -> Value {
        let bytes = self.read(&format!("results/{name}")).await;
        serde_json::from_slice(&bytes.expect(name)).unwrap()
    }

    async fn error(&self, name: &str) -> String {
        let result = self.result(name).await;
        assert_eq!(result.as_object().unwrap().len(), 1, "{result}");
        result["error"].as_str().expect("an error").to_owned()
    }

    fn keys(&self) -> Vec<String> {
        let keys = self.artifacts.keys().into_iter();
        keys.map(|key| key.to_string()).collect()
    }
}

fn document() -> Value {
    json!({
        "bundles": ["r.example/op:1"],
        "from_index": "r.example/index:v4.6",
        "binary_image": "r.example/base:v4.6",
    })
}

#[tokio::test]
async fn a_document_is_of_whoever_wrote_it() {
    let mut service = Service::new();
    service.principal = Some("AWS:AROAEXAMPLE:lea".to_owned());
    service.deps.intake.api.inbox_overwrites = true;
    let queues = json!({"AWS:AROAEXAMPLE:lea": "team"});
    service.deps.intake.api.user_to_queue = serde_json::from_value(queues).unwrap();
    let mut document = document();
    // Whoever calls by a login has to send a token with it.
    document["overwrite_from_index"] = json!(true);
    let text = document.to_string();
    service.appears("inbox/one.json", text.as_bytes()).await;
    assert_eq!(
        service.result("one.json").await["user"],
        "AWS:AROAEXAMPLE:lea"
    );
    let record = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    assert_eq!(record.user.as_deref(), Some("AWS:AROAEXAMPLE:lea"));
    assert_eq!(record.queue.as_deref(), Some("team"));
}

#[tokio::test]
async fn a_document_makes_a_request_once() {
    let service = Service::new();
    let mut document = document();
    document["request_type"] = json!("add");
    let text = document.to_string();
    service
        .appears("inbox/team/one.json", text.as_bytes())
        .await;
    let result = service.result("team/one.json").await;
    assert_eq!(
        (&result["id"], &result["state"]),
        (&json!(1), &json!("in_progress"))
    );
    assert_eq!(service.keys(), ["results/team/one.json"]);
    let record = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    assert_eq!(record.user, None);
    assert_eq!(service.queue.waiting().len(), 1);

    // The event comes again: after all was done, and after a crash before the document went.
    let size = text.len() as u64;
    service.event("inbox/team/one.json", size).await.unwrap();
    service
        .appears("inbox/team/one.json", text.as_bytes())
        .await;
    assert_eq!(service.result("team/one.json").await["id"], 1);
    assert!(service.requests.get(RequestId(2)).await.unwrap().is_none());
    assert_eq!(service.keys(), ["results/team/one.json"]);
}

#[tokio::test]
async fn a_document_that_makes_no_request_is_told_why() {
    let service = Service::new();
    let large = format!("{{\"organization\": \"{}\"}}", "x".repeat(1 << 20));
    for (name, content, expected) in [
        ("broken.json", "{", "the document is not JSON: "),
        ("list.json", "[]", "the document must be a JSON object"),
        (
            "large.json",
            &large,
            "the document is larger than 1048576 bytes",
        ),
        (
            "name.txt",
            "{}",
            "the name of a request document ends with .json",
        ),
        (
            "rm.json",
            r#"{"request_type": "rebuild", "operators": ["a"]}"#,
            "\"request_type\" is \"rebuild\", and this version takes documents for: add, rm, regenerate-bundle, merge-index-image, create-empty-index, recursive-related-bundles, fbc-operations, add-deprecations",
        ),
        (
            "overwrite.json",
            r#"{"from_index": "r.example/i:1", "overwrite_from_index": true}"#,
            "\"overwrite_from_index\" cannot be asked for in a document",
        ),
        (
            "token.json",
            r#"{"from_index": "r.example/i:1", "overwrite_from_index_token": ""}"#,
            "\"overwrite_from_index_token\" cannot be asked for in a document",
        ),
        (
            "empty.json",
            "{}",
            "\"from_index\" must be specified if no bundles are specified",
        ),
    ] {
        service
            .appears(&format!("inbox/{name}"), content.as_bytes())
            .await;
        let error = service.error(name).await;
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(service.requests.get(RequestId(1)).await.unwrap().is_none());
    assert!(service.keys().iter().all(|key| key.starts_with("results/")));
}

#[tokio::test]
async fn a_request_that_cannot_be_handed_over_is_told_at_the_next_delivery() {
    let service = Service::new();
    let text = document().to_string();
    service.put("inbox/a.json", text.as_bytes()).await;
    service.queue.refuse_next(1);
    let fault = service.event("inbox/a.json", 1).await.unwrap_err();
    assert_eq!(fault.class(), Class::Retry);
    assert_eq!(service.keys(), ["inbox/a.json"]);
    service.event("inbox/a.json", 1).await.unwrap();
    assert_eq!(service.result("a.json").await["state"], "failed");
}

#[tokio::test]
async fn a_document_may_say_that_nothing_is_to_be_overwritten() {
    let service = Service::new();
    let mut document = document();
    document["overwrite_from_index"] = json!(false);
    document["overwrite_from_index_token"] = json!(null);
    service
        .appears("inbox/a.json", document.to_string().as_bytes())
        .await;
    assert_eq!(service.result("a.json").await["state"], "in_progress");
}

#[tokio::test]
async fn a_token_in_a_document_is_kept_as_a_secret() {
    let mut service = Service::new();
    service.deps.intake.api.inbox_overwrites = true;
    let mut document = document();
    document["overwrite_from_index"] = json!(true);
    document["overwrite_from_index_token"] = json!("ann:hunter2");
    service
        .appears("inbox/a.json", document.to_string().as_bytes())
        .await;
    assert_eq!(service.secrets.count(), 1);
    let result = service.result("a.json").await.to_string();
    assert!(!result.contains("hunter2"), "{result}");
    document["overwrite_from_index_token"] = json!("x".repeat(5000));
    service
        .appears("inbox/b.json", document.to_string().as_bytes())
        .await;
    let error = service.error("b.json").await;
    assert!(error.contains("at most 4096 are kept"), "{error}");
}

fn registered(kind: UploadKind, content: &[u8], name: &str) -> String {
    ArtifactKey::upload(RequestId(1), kind, &Digest::of(content), name).to_string()
}

#[tokio::test]
async fn a_good_upload_is_registered_under_its_digest() {
    let service = Service::with_request().await;
    let fragment = b"schema: olm.package\nname: lantern\n---\nschema: olm.channel\n";
    for (kind, content) in [
        (UploadKind::Log, "žluťoučký\n".as_bytes()),
        (UploadKind::Fragment, &fragment[..]),
        (UploadKind::RelatedBundles, br#"["r.example/a:1"]"#),
    ] {
        let upload = format!("uploads/1/{kind}/a b.txt");
        let expected = registered(kind, content, "a b.txt");
        for _ in 0..2 {
            service.appears(&upload, content).await;
            assert_eq!(service.read(&expected).await.unwrap(), content);
            assert_eq!(service.read(&upload).await, None);
        }
        service.event(&upload, 1).await.unwrap();
    }
    assert_eq!(service.keys().len(), 3);
}

#[tokio::test]
async fn a_bad_upload_is_told_why_and_a_better_one_takes_that_back() {
    let service = Service::with_request().await;
    let upload = "uploads/1/fragments/catalog.yaml";
    let result = "uploads/1/fragments/catalog.yaml.json";
    service
        .appears(upload, b"name: a\n---\nschema: b\npackage: 1\n")
        .await;
    assert_eq!(
        service.error(result).await,
        "document 1: it has no `schema`; document 2: its `package` is no text"
    );
    assert_eq!(service.keys(), [format!("results/{result}")]);
    service.appears(upload, b"schema: b\n").await;
    let kept = registered(UploadKind::Fragment, b"schema: b\n", "catalog.yaml");
    assert_eq!(service.keys(), [kept]);
}

#[tokio::test]
async fn uploads_that_cannot_be_used_are_refused_for_what_is_wrong() {
    let service = Service::with_request().await;
    let large = vec![b'a'; (1 << 20) + 1];
    for (key, content, expected) in [
        (
            "uploads/1/other/a",
            &b"x"[..],
            "uploads are named uploads/<request>/",
        ),
        (
            "uploads/1/logs/a/b",
            b"x",
            "uploads are named uploads/<request>/",
        ),
        ("uploads/2/logs/a", b"x", "there is no request 2"),
        (
            "uploads/1/logs/a",
            b"a\xff",
            "the log is not UTF-8 text (byte 1)",
        ),
        (
            "uploads/1/related_bundles/a",
            b"{}",
            "the file is not a JSON list",
        ),
        (
            "uploads/1/related_bundles/b",
            &large,
            "the file is larger than 1048576 bytes, the most that is taken of related_bundles",
        ),
        (
            "uploads/1/bundles/a.tar",
            b"not an archive",
            "the file is no archive of a bundle's files: ",
        ),
        (
            "uploads/1/bundles/b.tar",
            &[0; 1024],
            "the archive holds no usable bundle: ",
        ),
    ] {
        service.appears(key, content).await;
        let error = service.error(&format!("{key}.json")).await;
        assert!(error.starts_with(expected), "{key}: {error}");
        // Also where the event does not say how large it is.
        service.put(key, content).await;
        let created = ObjectCreated {
            bucket: String::new(),
            key: key.to_owned(),
            size: None,
            version: String::new(),
            principal: None,
        };
        run(&service.deps, &created).await.unwrap();
        assert_eq!(service.error(&format!("{key}.json")).await, error);
    }
    assert!(service.keys().iter().all(|key| key.starts_with("results/")));
}

#[tokio::test]
async fn an_upload_that_is_not_as_large_as_announced_is_refused() {
    let service = Service::with_request().await;
    for (told, content) in [(9, &b"first"[..]), (3, b"second")] {
        service.put("uploads/1/logs/a", content).await;
        service.event("uploads/1/logs/a", told).await.unwrap();
        let expected = format!(
            "the file has {} bytes where {told} were announced: upload it again",
            content.len()
        );
        assert_eq!(service.error("uploads/1/logs/a.json").await, expected);
        assert_eq!(service.read("uploads/1/logs/a").await, None);
    }
}

#[tokio::test]
async fn uploads_for_a_request_whose_data_is_gone_are_refused() {
    let service = Service::with_request().await;
    let mut record = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    record.fail("no such bundle", service.deps.intake.clock.now());
    assert_eq!(record.state(), State::Failed);
    record.data_removed = true;
    service.requests.replace(record).await.unwrap();
    service.appears("uploads/1/logs/a", b"x").await;
    let error = service.error("uploads/1/logs/a.json").await;
    assert!(error.contains("was removed"), "{error}");
    assert_eq!(service.keys(), ["results/uploads/1/logs/a.json"]);
}

#[tokio::test]
async fn what_is_none_of_ours_is_left_alone() {
    let service = Service::with_request().await;
    service.put("results/a.json", b"{}").await;
    service.put("kept/1/build.log", b"a").await;
    for key in [
        "results/a.json",
        "kept/1/build.log",
        "other/a",
        "inbox/../a",
        "",
    ] {
        service.event(key, 1).await.unwrap();
    }
    assert_eq!(service.keys().len(), 2);
}
