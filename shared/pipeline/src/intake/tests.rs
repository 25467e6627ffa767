use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{ArtifactKey, Created, Delivery, SECRET_LIMIT, Secret};
use iib_request::{AddRequest, Filters, Form, QueueOf, Stage, State, Task, Update, Window};
use iib_testkit::crash::{Crash, Death, LastCall, Ports};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRegistries, MemoryRequests,
    MemorySecrets, RecordingNotifier,
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
            results: None,
            requests: requests.clone(),
            operators: requests.clone(),
            queue: queue.clone(),
            lines: Arc::new(MemoryLines::default()),
            logs: logs.clone(),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: secrets.clone(),
            clock: clock.clone(),
            notifier: notifier.clone(),
            figures: Arc::new(iib_ports::NoFigures),
            traces: Arc::new(iib_ports::NoTraces),
            api: ApiSettings::default(),
            new: iib_request::RequestSettings::default(),
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
    assert_eq!(service.queue.waiting(), [record.task(Stage::Pin)]);
    let expected = (State::InProgress, "The request was initiated".to_owned());
    assert_eq!(service.told(), [expected]);
}

#[tokio::test]
async fn a_message_says_whose_turn_it_takes() {
    let mut service = Service::new();
    service.submit().await.unwrap();
    let queues = [(
        "PARALLEL:ann".to_owned(),
        QueueOf::Name("ann-parallel".to_owned()),
    )];
    service.deps.api.user_to_queue = queues.into();
    let record = service.submit().await.unwrap();
    assert_eq!(record.queue.as_deref(), Some("ann-parallel"));
    submit(&service.deps, None, AddRequest::default())
        .await
        .unwrap();
    let groups = service.queue.waiting().into_iter().map(|task| task.group);
    let expected = [
        Some("ann".to_owned()),
        Some("ann-parallel".to_owned()),
        None,
    ];
    assert_eq!(groups.collect::<Vec<_>>(), expected);
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

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
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
    assert!(matches!(log().await, Err(IntakeError::NoDocument(_))));
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
    let window = |page| {
        Ok(Window {
            page,
            per_page: 2,
            form: Form::Short,
        })
    };
    let none = Filters::default();
    let (_, page) = list(&*service.requests, none.clone(), window(2))
        .await
        .unwrap();
    let ids: Vec<u64> = page
        .items
        .iter()
        .flatten()
        .map(|record| record.id.0)
        .collect();
    assert_eq!((ids, page.total), (vec![1], 3));
    // What is wrong with the page is told after what is wrong with the filters.
    let unseen = Filters {
        from_index: Some("r.example/never:1".to_owned()),
        ..none.clone()
    };
    let no_page = || Window::read(&[("page".to_owned(), "0".to_owned())], &service.deps.api);
    for (filters, told) in [
        (
            unseen,
            "from_index r.example/never:1 is not a valid index image",
        ),
        (none, "The requested resource was not found"),
    ] {
        let refused = list(&*service.requests, filters, no_page())
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), told);
    }
}

async fn change(service: &Service, id: u64, body: &str) -> Result<Record, IntakeError> {
    let members = serde_json::from_str(body).unwrap();
    patch(&service.deps, RequestId(id), &members).await
}

#[tokio::test]
async fn a_change_from_outside_is_stored_told_and_put_away_when_it_is_final() {
    let service = Service::new();
    service.submit().await.unwrap();
    assert_eq!(service.queue.waiting().len(), 1);
    let body = r#"{"bundle_mapping": {"op": ["r.example/b:1"]}, "arches": ["amd64"]}"#;
    let changed = change(&service, 1, body).await.unwrap();
    assert_eq!(changed.facts.arches.as_deref().unwrap(), ["amd64"]);
    let operators = service
        .requests
        .of(&["r.example/b:1"].into())
        .await
        .unwrap();
    assert_eq!(operators["r.example/b:1"], "op");
    assert_eq!(
        (service.queue.waiting().len(), service.told().len()),
        (1, 1)
    );

    let failed = change(&service, 1, r#"{"state": "failed", "state_reason": "no"}"#)
        .await
        .unwrap();
    assert_eq!(
        (failed.state(), failed.work.stage),
        (State::Failed, Stage::Done)
    );
    let told = service.told().pop().unwrap();
    assert_eq!(told, (State::Failed, "no".to_owned()));
    // Whoever gets this finds that it has ended, and puts its things away.
    assert_eq!(service.queue.waiting().len(), 2);
    let refused = change(
        &service,
        1,
        r#"{"state": "complete", "state_reason": "no"}"#,
    )
    .await;
    assert!(
        matches!(refused, Err(IntakeError::Refused(_))),
        "{refused:?}"
    );
    let refused = change(&service, 2, r#"{"arches": []}"#).await;
    assert!(
        matches!(refused, Err(IntakeError::NotFound(_))),
        "{refused:?}"
    );
    // That there is nothing to change comes before that.
    let refused = change(&service, 2, "{}").await;
    assert!(
        matches!(refused, Err(IntakeError::Refused(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_change_is_made_in_what_the_request_has_become() {
    /// Saves a change of its own before each of the first ones that it is asked for.
    struct Racing(Arc<MemoryRequests>, std::sync::atomic::AtomicUsize);

    #[async_trait]
    impl Requests for Racing {
        async fn create(&self, new: iib_ports::NewBatch) -> Result<Created, StoreError> {
            self.0.create(new).await
        }

        async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
            self.0.made_by(once).await
        }

        async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
            self.0.get(id).await
        }

        async fn replace(&self, record: Record) -> Result<Record, StoreError> {
            let left = self.1.load(std::sync::atomic::Ordering::SeqCst);
            if left > 0 {
                self.1.store(left - 1, std::sync::atomic::Ordering::SeqCst);
                let mut other = self.0.get(record.id).await?.unwrap();
                other.apply(&Update::doing(format!("step {left}")), record.updated());
                self.0.replace(other).await?;
            }
            self.0.replace(record).await
        }
    }

    let mut service = Service::new();
    service.submit().await.unwrap();
    service.deps.requests = Arc::new(Racing(service.requests.clone(), 3.into()));
    let changed = change(&service, 1, r#"{"index_image": "r.example/a:1"}"#)
        .await
        .unwrap();
    assert_eq!(changed.facts.index_image.as_deref(), Some("r.example/a:1"));
    assert_eq!(changed.history.len(), 4);
}

fn three() -> Vec<Submission> {
    let named = |name: &str| {
        let mut submission = with_token(name);
        if let iib_request::Request::Add(add) = &mut submission.request {
            add.bundles = vec![format!("r.example/{name}:1")];
        }
        submission
    };
    ["a", "b", "c"].map(named).into()
}

#[tokio::test]
async fn a_batch_is_stored_as_a_whole_and_handed_over_in_order() {
    let service = Service::new();
    let records = submit_all(&service.deps, None, None, three(), Schedule::Several)
        .await
        .unwrap();
    let ids: Vec<u64> = records.iter().map(|record| record.id.0).collect();
    assert_eq!((ids, service.secrets.count()), (vec![1, 2, 3], 3));
    assert!(
        records
            .iter()
            .all(|record| record.batch == records[0].batch)
    );
    let waiting = service.queue.waiting();
    let expected = [1, 2, 3].map(|id| Task::new(RequestId(id), Stage::Pin));
    assert_eq!(waiting, expected);
}

#[tokio::test]
async fn of_a_batch_those_fail_that_are_not_handed_over() {
    let service = Service::new();
    service.queue.refuse_after(1);
    let error = submit_all(&service.deps, None, None, three(), Schedule::Several)
        .await
        .unwrap_err();
    let told = "The scheduling of the build requests with IDs 2, 3 failed";
    assert_eq!(error.to_string(), told);
    let mut states = Vec::new();
    for id in 1..=3 {
        states.push(get(&service.deps, RequestId(id)).await.unwrap().state());
    }
    assert_eq!(states, [State::InProgress, State::Failed, State::Failed]);
    // Theirs are forgotten.
    assert_eq!((service.secrets.count(), service.told().len()), (1, 5));
}

#[tokio::test]
async fn a_secret_that_cannot_be_kept_keeps_the_whole_batch_out() {
    let service = Service::new();
    let mut batch = three();
    batch[1] = with_token(&"x".repeat(SECRET_LIMIT + 1));
    let error = submit_all(&service.deps, None, None, batch, Schedule::Several)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("\"overwrite_from_index_token\""),
        "{error}"
    );
    assert_eq!(service.secrets.count(), 0);
    assert!(get(&service.deps, RequestId(1)).await.is_err());
}

fn with_token(token: &str) -> Submission {
    Submission {
        secrets: [("overwrite_from_index_token", Secret::new(token))].into(),
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
        lines: Arc::new(MemoryLines::default()),
        logs: service.logs.clone(),
        artifacts: service.deps.artifacts.clone(),
        secrets: service.secrets.clone(),
        registries: Arc::new(MemoryRegistries::default()),
        repositories: None,
    };
    let death = Death::At("requests.create", 0);
    let (dying, _) = Crash::new(death, LastCall::Unanswered, ports);
    let deps = IntakeDeps {
        results: None,
        requests: dying.requests,
        operators: service.requests.clone(),
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
        let asker = Asker {
            once: Some("bucket/inbox/a.json#1".to_owned()),
            ..Asker::default()
        };
        submit(&service.deps, asker, with_token("a:b"))
            .await
            .unwrap()
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
