//! A service to ask.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use iib_intake::{Api, User, router};
use iib_oci::Digest;
use iib_pipeline::intake::IntakeDeps;
use iib_ports::{ArtifactKey, Clock, Listing, Requests, Tokens};
use iib_request::{
    ApiSettings, BinaryImages, Facts, Overwritten, RequestId, Stage, State, Unknown, Update,
};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::described;

/// A router and the stores behind it.
pub(crate) struct Service {
    pub(crate) requests: Arc<MemoryRequests>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) logs: Arc<MemoryLogs>,
    pub(crate) secrets: Arc<MemorySecrets>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) deps: IntakeDeps,
    pub(crate) listing: Arc<dyn Listing>,
    pub(crate) tokens: Option<Arc<dyn Tokens>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) media_type: String,
    pub(crate) allow: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) tag: Option<String>,
    /// Whether it says that the call was answered before.
    pub(crate) replayed: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.media_type, "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// Asserts that the answer is an error object with nothing else in it.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, text: &str) {
        let got = (self.status.as_u16(), self.json());
        assert_eq!(got, (status, json!({ "error": text })));
    }
}

impl Service {
    pub(crate) fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let queue = Arc::new(MemoryQueue::default());
        let logs = Arc::new(MemoryLogs::default());
        let secrets = Arc::new(MemorySecrets::default());
        let clock = Arc::new(ManualClock::default());
        let deps = IntakeDeps {
            results: None,
            requests: requests.clone(),
            operators: requests.clone(),
            queue: queue.clone(),
            lines: Arc::new(MemoryLines::default()),
            logs: logs.clone(),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: secrets.clone(),
            clock: clock.clone(),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: Arc::new(iib_ports::NoFigures),
            traces: Arc::new(iib_ports::NoTraces),
            api: ApiSettings::default(),
            new: iib_request::RequestSettings::default(),
            binary_images: BinaryImages::new(),
            hosts: iib_oci::hosts::HostRules::default(),
        };
        Self {
            listing: requests.clone(),
            requests,
            queue,
            logs,
            secrets,
            clock,
            deps,
            tokens: None,
        }
    }

    pub(crate) fn router(&self) -> Router {
        router(self.api())
    }

    pub(crate) fn api(&self) -> Api {
        Api {
            intake: Arc::new(self.deps.clone()),
            listing: self.listing.clone(),
            watch: self.requests.clone(),
            tokens: self.tokens.clone(),
        }
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let asked = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router().oneshot(request).await.unwrap();
        let header = |name| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let status = response.status();
        let media_type = header(header::CONTENT_TYPE).unwrap_or_default();
        let allow = header(header::ALLOW);
        let location = header(header::LOCATION);
        let policy = header(header::CONTENT_SECURITY_POLICY);
        let retry_after = header(header::RETRY_AFTER);
        let challenge = header(header::WWW_AUTHENTICATE);
        let tag = header(header::ETAG);
        let replayed = header(http::HeaderName::from_static("idempotency-replayed"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        described::check(&asked.0, &asked.1, status, &media_type, &text);
        Answer {
            status,
            media_type,
            allow,
            location,
            policy,
            retry_after,
            challenge,
            tag,
            replayed,
            text,
        }
    }

    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        self.ask(at(method, path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).await
    }

    pub(crate) async fn add(&self, payload: Value) -> Answer {
        self.ask(add(&payload)).await
    }

    pub(crate) async fn add_as(&self, user: &str, payload: Value) -> Answer {
        let mut request = add(&payload);
        request.extensions_mut().insert(User(user.to_owned()));
        self.ask(request).await
    }

    /// Completes a request, as the last stage would.
    pub(crate) async fn complete(&self, id: u64) {
        self.complete_with(id, Facts::default()).await;
    }

    /// The same with this result.
    pub(crate) async fn complete_with(&self, id: u64, result: Facts) {
        let stored = self.requests.get(RequestId(id)).await.unwrap();
        let mut record = stored.unwrap();
        let update = Update::state(State::Complete, "done").with(result);
        record.apply(&update, self.clock.now());
        record.work.stage = Stage::Done;
        self.requests.replace(record).await.unwrap();
    }

    /// Completes a request that overwrote its index.
    pub(crate) async fn overwrites(&self, id: u64) {
        let stored = self.requests.get(RequestId(id)).await.unwrap();
        let mut record = stored.unwrap();
        record.overwritten = Some(Overwritten {
            index: "r.example/index:v4.6".to_owned(),
            replaced: Digest::of(b"before"),
            result: Digest::of(b"after"),
            unknown: Unknown::default(),
        });
        self.requests.replace(record).await.unwrap();
        self.complete(id).await;
    }

    /// Stores an artifact.
    pub(crate) async fn store(&self, key: &ArtifactKey, content: impl Into<Bytes>) {
        let content = Box::pin(futures::stream::iter([Ok(content.into())]));
        self.deps.artifacts.put(key, content).await.unwrap();
    }

    /// Fails a request, as a stage would.
    pub(crate) async fn end(&self, id: u64) {
        let stored = self.requests.get(RequestId(id)).await.unwrap();
        let mut record = stored.unwrap();
        record.fail("no such bundle", self.clock.now());
        self.requests.replace(record).await.unwrap();
    }
}

pub(crate) fn at(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "iib.example:8080")
}

pub(crate) fn add(payload: &Value) -> Request<Body> {
    at("POST", "/api/v1/builds/add")
        .header(header::CONTENT_TYPE, "application/json")
        .body(payload.to_string().into())
        .unwrap()
}

/// A payload nothing is wrong with.
pub(crate) fn good() -> Value {
    json!({
        "bundles": ["r.example/op:1"],
        "from_index": "r.example/index:v4.6",
        "binary_image": "r.example/base:v4.6",
    })
}
