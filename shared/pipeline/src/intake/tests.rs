use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{ArtifactKey, Delivery, SECRET_LIMIT, Secret};
use iib_request::{AddRequest, Stage, State, Task};
use iib_testkit::crash::{Crash, Death, LastCall, Ports};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRegistry, MemoryRequests, MemorySecrets,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use jiff::SignedDuration;

use super::*;

struct Service {
    requests: Arc<MemoryRequests>,
    queue: Arc<MemoryQueue>,
    logs: Arc<MemoryLogs>,
    secrets: Arc<MemorySecrets>,
    clock: Arc<ManualClock>,
    notifier: Arc<RecordingNotifier>,
    deps: IntakeDeps,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let queue = Arc::new(MemoryQueue::default());
        let logs = Arc::new(MemoryLogs::default());
        let secrets = Arc::new(MemorySecrets::default());
        let clock = Arc::new(ManualClock::default());
        let notifier = Arc::new(RecordingNotifier::default());
        let deps = IntakeDeps {
            requests: requests.clone(),
            queue: queue.clone(),
            logs: logs.clone(),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: secrets.clone(),
            clock: clock.clone(),
            notifier: notifier.clone(),
            api: ApiSettings::default(),
            binary_images: BinaryImages::new(),
            hosts: iib_oci::hosts::HostRules::default(),
        };
        Self {
            requests,
            queue,
            logs,
            secrets,
            clock,
            notifier,
            deps,
        }
    }

    async fn submit(&self) -> Result<Record, IntakeError> {
        submit(&self.deps, Some("ann".to_owned()), AddRequest::default()).await
    }

    async fn end(&self, record: Record) {
        let mut record = record;
        record.fail("no such bundle", self.clock.now());
        self.requests.replace(record).await.unwrap();
    }

    fn told(&self) -> Vec<(State, String)> {
        let told = self.notifier.told().into_iter();
        told.map(|(record, update)| {
            let new = update.state.unwrap();
            assert_eq!(new.state, record.state());
            (new.state, new.state_reason)
        })
        .collect()
    }
}

#[tokio::test]
async fn a_request_is_stored_told_and_sent_to_pin() {
    let service = Service::new();
    let record = service.submit().await.unwrap();
    assert_eq!(record.user.as_deref(), Some("ann"));
    assert_eq!(get(&service.deps, RequestId(1)).await.unwrap(), record);
    assert_eq!(
        service.queue.waiting(),
        [Task::new(RequestId(1), Stage::Pin)]
    );
    let expected = (State::InProgress, "The request was initiated".to_owned());
    assert_eq!(service.told(), [expected]);
}

#[tokio::test]
async fn a_request_that_cannot_be_handed_over_fails_and_is_told() {
    let service = Service::new();
    service.queue.refuse_next(1);
    let error = service.submit().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "The scheduling of the build request with ID 1 failed"
    );
    assert_eq!(error.class(), Class::Retry);
    let record = get(&service.deps, RequestId(1)).await.unwrap();
    assert_eq!(
        (record.state(), record.work.stage),
        (State::Failed, Stage::Done)
    );
    assert_eq!(
        record.state_reason(),
        "The scheduling of the request failed"
    );
    let expected = (
        State::Failed,
        "The scheduling of the request failed".to_owned(),
    );
    assert_eq!(service.told().last(), Some(&expected));
}

/// Delivers the message, lets the worker claim the request, and then says it was not sent.
struct SentAfterAll(Arc<MemoryRequests>);

#[async_trait]
impl Queue for SentAfterAll {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        let mut record = self.0.get(task.request_id).await.unwrap().unwrap();
        record.work.stage = Stage::Pin;
        record.work.attempts = 1;
        self.0.replace(record).await.unwrap();
        Err(QueueError {
            request_id: task.request_id,
            stage: task.stage,
            source: "the answer got lost".into(),
        })
    }

    async fn put_off(
        &self,
        _: &Delivery,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        panic!("intake receives no messages")
    }
}

#[tokio::test]
async fn a_request_somebody_works_on_by_now_is_not_failed() {
    let mut service = Service::new();
    service.deps.queue = Arc::new(SentAfterAll(service.requests.clone()));
    let record = service.submit().await.unwrap();
    assert_eq!(
        (record.state(), record.work.attempts),
        (State::InProgress, 1)
    );
    assert_eq!(service.told().len(), 1);
}

#[tokio::test]
async fn a_log_is_shown_when_the_request_has_ended() {
    let service = Service::new();
    let id = RequestId(1);
    let log = async |part| match logs(&service.deps, id, part).await {
        Ok(LogContent::Text(text)) => Ok(text),
        Ok(LogContent::At(url)) => panic!("{url}"),
        Err(error) => Err(error.to_string()),
    };
    let absent = Err("The requested resource was not found".to_owned());
    assert_eq!(log(LogPart::Whole).await, absent);
    assert_eq!(log(LogPart::SoFar).await, absent);

    let record = service.submit().await.unwrap();
    let unfinished =
        "The request 1 is not complete yet. logs will be available once the request is complete.";
    assert_eq!(log(LogPart::Whole).await, Err(unfinished.to_owned()));
    assert_eq!(log(LogPart::SoFar).await, Ok(String::new()));
    service.logs.append(id, &["one".to_owned()]).await.unwrap();
    assert_eq!(log(LogPart::Whole).await, Err(unfinished.to_owned()));
    assert_eq!(log(LogPart::SoFar).await, Ok("one\n".to_owned()));

    service.end(record).await;
    for part in [LogPart::Whole, LogPart::SoFar] {
        assert_eq!(log(part).await, Ok("one\n".to_owned()));
    }
    // A sealed one counts more than what may still be appended.
    let sealed = Box::pin(futures::stream::iter([Ok("sealed\n".into())]));
    let key = ArtifactKey::log(id);
    service.deps.artifacts.put(&key, sealed).await.unwrap();
    assert_eq!(log(LogPart::Whole).await, Ok("sealed\n".to_owned()));
    service.deps.artifacts.delete(&key).await.unwrap();
    // A log that is still there is shown, however old it is.
    service.clock.advance(SignedDuration::from_hours(24 * 30));
    assert_eq!(log(LogPart::Whole).await, Ok("one\n".to_owned()));
}

#[tokio::test]
async fn a_log_that_is_gone_is_told_from_one_that_never_was() {
    let service = Service::new();
    let record = service.submit().await.unwrap();
    let id = record.id;
    service.end(record).await;
    let log = || logs(&service.deps, id, LogPart::Whole);
    service.clock.advance(SignedDuration::from_hours(72));
    assert!(matches!(log().await, Err(IntakeError::NoLog(_))));
    service.clock.advance(SignedDuration::from_secs(1));
    let gone = log().await.unwrap_err();
    assert_eq!(
        gone.to_string(),
        "The data for the build request 1 no longer exist"
    );
    assert_eq!(gone.class(), Class::Reject);
}

#[tokio::test]
async fn pages_are_read_as_asked() {
    let service = Service::new();
    for _ in 0..3 {
        service.submit().await.unwrap();
    }
    let query = PageQuery {
        page: 2,
        per_page: 2,
    };
    let page = list(&*service.requests, query).await.unwrap();
    let ids: Vec<u64> = page
        .items
        .iter()
        .flatten()
        .map(|record| record.id.0)
        .collect();
    assert_eq!((ids, page.total), (vec![1], 3));
}

fn with_token(token: &str) -> Submission {
    Submission {
        overwrite_token: Some(Secret::new(token)),
        ..AddRequest::default().into()
    }
}

#[tokio::test]
async fn a_token_is_kept_apart_from_the_request() {
    let service = Service::new();
    let submission = with_token("user:hunter2");
    assert!(!format!("{submission:?}").contains("hunter2"));
    let record = submit(&service.deps, None, submission).await.unwrap();
    assert_eq!(service.secrets.count(), 1);
    let reference = &record.secrets["overwrite_from_index_token"];
    let kept = service.deps.secrets.read(reference).await.unwrap().unwrap();
    assert_eq!(kept.expose(), "user:hunter2");
    let stored = service.requests.get(record.id).await.unwrap().unwrap();
    let json = serde_json::to_string(&stored).unwrap();
    for text in [json, format!("{stored:?}"), format!("{:?}", service.told())] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_token_stays_where_its_request_may_have_been_stored() {
    let service = Service::new();
    let ports = Ports {
        requests: service.requests.clone(),
        queue: service.queue.clone(),
        logs: service.logs.clone(),
        artifacts: service.deps.artifacts.clone(),
        secrets: service.secrets.clone(),
        registry: Arc::new(MemoryRegistry::default()),
    };
    let death = Death::At("requests.create", 0);
    let (dying, _) = Crash::new(death, LastCall::Unanswered, ports);
    let deps = IntakeDeps {
        requests: dying.requests,
        ..service.deps.clone()
    };
    let error = submit(&deps, None, with_token("a:b")).await.unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    let stored = service.requests.get(RequestId(1)).await.unwrap().unwrap();
    let reference = &stored.secrets["overwrite_from_index_token"];
    let kept = service.deps.secrets.read(reference).await.unwrap();
    assert_eq!(kept.unwrap().expose(), "a:b");
}

#[tokio::test]
async fn a_token_is_forgotten_where_no_request_needs_it() {
    let service = Service::new();
    service.queue.refuse_next(1);
    let submission = with_token("a:b");
    submit(&service.deps, None, submission).await.unwrap_err();
    assert_eq!(service.secrets.count(), 0);
    let submission = with_token(&"x".repeat(SECRET_LIMIT + 1));
    let error = submit(&service.deps, None, submission).await;
    let error = error.unwrap_err();
    assert_eq!(error.class(), Class::Reject);
    let text = error.to_string();
    assert!(text.contains("overwrite_from_index_token"), "{text}");
    assert!(!text.contains("xxxx"), "{text}");
    assert!(service.requests.get(RequestId(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn what_asks_twice_makes_one_request() {
    let service = Service::new();
    let submit = async || {
        let submission = Submission {
            once: Some("bucket/inbox/a.json#1".to_owned()),
            ..with_token("a:b")
        };
        submit(&service.deps, None, submission).await.unwrap()
    };
    let first = submit().await;
    assert_eq!(service.queue.take(Stage::Pin).len(), 1);
    // The message may have been lost with the first answer.
    assert_eq!(submit().await, first);
    assert_eq!(service.queue.take(Stage::Pin).len(), 1);
    assert_eq!(service.secrets.count(), 1);
    assert_eq!(service.told().len(), 1);
    service.end(first).await;
    assert_eq!(submit().await.state(), State::Failed);
    assert_eq!(service.queue.waiting(), []);
}
