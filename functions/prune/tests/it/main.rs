//! The handler with stores in memory, given the schedule's event.

#![cfg(test)]

#[cfg(feature = "aws")]
mod binary;

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use iib_pipeline::intake::{IntakeDeps, submit};
use iib_pipeline::prune::PruneDeps;
use iib_ports::{ArtifactKey, Clock as _, Requests as _};
use iib_request::{AddRequest, ApiSettings, BinaryImages, WorkSettings};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRegistry, MemoryRequests,
    MemorySecrets, RecordingFigures, RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tower::ServiceExt;

struct Service {
    requests: Arc<MemoryRequests>,
    clock: Arc<ManualClock>,
    figures: Arc<RecordingFigures>,
    intake: IntakeDeps,
    prune: PruneDeps,
}

fn service() -> Service {
    let requests = Arc::new(MemoryRequests::default());
    let clock = Arc::new(ManualClock::default());
    let figures = Arc::new(RecordingFigures::default());
    let intake = IntakeDeps {
        results: None,
        requests: requests.clone(),
        operators: requests.clone(),
        queue: Arc::new(MemoryQueue::default()),
        lines: Arc::new(MemoryLines::default()),
        logs: Arc::new(MemoryLogs::default()),
        artifacts: Arc::new(MemoryArtifacts::with_clock(clock.clone())),
        secrets: Arc::new(MemorySecrets::default()),
        clock: clock.clone(),
        notifier: Arc::new(RecordingNotifier::default()),
        figures: Arc::new(iib_ports::NoFigures),
        traces: Arc::new(iib_ports::NoTraces),
        api: ApiSettings::default(),
        new: iib_request::RequestSettings::default(),
        binary_images: BinaryImages::new(),
        hosts: Default::default(),
    };
    let prune = PruneDeps {
        requests: requests.clone(),
        sweeps: requests.clone(),
        queue: intake.queue.clone(),
        logs: intake.logs.clone(),
        artifacts: intake.artifacts.clone(),
        secrets: intake.secrets.clone(),
        tags: Arc::new(MemoryRegistry::default()),
        figures: figures.clone(),
        clock: clock.clone(),
        api: ApiSettings::default(),
        work: WorkSettings::default(),
    };
    Service {
        requests,
        clock,
        figures,
        intake,
        prune,
    }
}

async fn run(service: &Service) -> Value {
    let event = serde_json::from_str(include_str!("../../../../events/schedule.json")).unwrap();
    let event = LambdaEvent::new(event, Context::default());
    let report = iib_prune::handle(&service.prune, event).await.unwrap();
    serde_json::to_value(report).unwrap()
}

async fn log(service: &Service) -> (u16, String) {
    let request = Request::get("/api/v1/builds/1/logs").body(Body::empty());
    let router = iib_intake::router(iib_intake::Api {
        intake: Arc::new(service.intake.clone()),
        listing: service.requests.clone(),
        watch: service.requests.clone(),
        tokens: None,
    });
    let answer = router.oneshot(request.unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_log_is_there_until_the_schedule_removes_it_and_then_it_is_gone() {
    let service = service();
    let record = submit(&service.intake, None, AddRequest::default())
        .await
        .unwrap();
    let key = ArtifactKey::log(record.id);
    let mut ended = record;
    ended.fail("no such bundle", service.clock.now());
    service.requests.replace(ended).await.unwrap();
    let content = Box::pin(futures::stream::iter([Ok("a line\n".into())]));
    service.intake.artifacts.put(&key, content).await.unwrap();

    assert_eq!(log(&service).await, (200, "a line\n".to_owned()));
    service.clock.advance(SignedDuration::from_hours(73));
    // Expired, and still there.
    assert_eq!(log(&service).await.0, 200);
    assert_eq!(
        run(&service).await,
        json!({
            "resent": 0, "expired": 1, "removed_objects": 1, "kept_tags": 0,
            "live": {}, "oldest_live_seconds": 0, "unreadable": 0, "more": false,
        })
    );
    let (status, text) = log(&service).await;
    assert_eq!(status, 410, "{text}");
    let gone = json!({"error": "The data for the build request 1 no longer exist"});
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), gone);
    assert_eq!(service.figures.sum("Expired", &[]), 1.);
}

#[tokio::test]
async fn without_time_nothing_is_begun() {
    let service = service();
    submit(&service.intake, None, AddRequest::default())
        .await
        .unwrap();
    service.clock.advance(SignedDuration::from_hours(1));
    let mut context = Context::default();
    let deadline = service.clock.now() + SignedDuration::from_secs(1);
    context.deadline = u64::try_from(deadline.as_millisecond()).unwrap();
    let event = LambdaEvent::new(json!({"any": "shape"}), context);
    let report = iib_prune::handle(&service.prune, event).await.unwrap();
    assert_eq!((report.resent, report.more), (0, true));
    assert_eq!(run(&service).await["resent"], 1);
}
