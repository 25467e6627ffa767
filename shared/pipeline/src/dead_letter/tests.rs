use iib_ports::{ArtifactKey, NewBatch, Secret};
use iib_request::{AddRequest, Committed, Lease, LeaseToken, Outcome, Request, State, Unknown};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets, RecordingFigures,
    RecordingNotifier,
};
use iib_testkit::time::ManualClock;
use jiff::SignedDuration;

use super::*;

struct Service {
    deps: DeadLetterDeps,
    artifacts: Arc<MemoryArtifacts>,
    secrets: Arc<MemorySecrets>,
    notifier: Arc<RecordingNotifier>,
    clock: Arc<ManualClock>,
    queue: Arc<MemoryQueue>,
    figures: Arc<RecordingFigures>,
}

impl Service {
    fn new() -> Self {
        let artifacts = Arc::new(MemoryArtifacts::default());
        let (secrets, notifier, figures) = (Arc::default(), Arc::default(), Arc::default());
        let clock = Arc::new(ManualClock::default());
        let queue = Arc::new(MemoryQueue::default());
        let deps = DeadLetterDeps {
            requests: Arc::new(MemoryRequests::default()),
            queue: queue.clone(),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: artifacts.clone(),
            secrets: Arc::clone(&secrets) as _,
            clock: clock.clone(),
            notifier: Arc::clone(&notifier) as _,
            figures: Arc::clone(&figures) as _,
        };
        Self {
            deps,
            figures,
            artifacts,
            secrets,
            notifier,
            clock,
            queue,
        }
    }

    /// Notes that a request has committed to Git.
    async fn commits(&self, mut record: Record) -> Record {
        record.committed = Some(Committed {
            repository: "https://git.example/a.git".to_owned(),
            branch: "v1".to_owned(),
            commit: "c0ffee".to_owned(),
            taken_back_by: None,
            is_settled: false,
            dead_letters: 0,
            unknown: Unknown::default(),
        });
        self.deps.requests.replace(record).await.unwrap()
    }

    /// A request that waits for a stage.
    async fn at(&self, stage: Stage) -> Record {
        let kind = Request::Add(AddRequest::default());
        let mut new = NewBatch::of(None, kind, self.clock.now());
        let token = Secret::new("a:b");
        let kept = self.deps.secrets.keep(&token, self.clock.now()).await;
        new.requests[0]
            .secrets
            .insert("token".to_owned(), kept.unwrap());
        let mut record = self
            .deps
            .requests
            .create(new)
            .await
            .unwrap()
            .into_records()
            .remove(0);
        while record.work.stage < stage {
            record.conclude(Outcome::Completed);
        }
        self.deps.requests.replace(record).await.unwrap()
    }

    async fn dies(&self, id: RequestId, stage: Stage) -> Verdict {
        let body = serde_json::to_string(&Task::new(id, stage)).unwrap();
        self.receive(&body).await
    }

    async fn receive(&self, body: &str) -> Verdict {
        let letter = DeadLetter {
            message_id: "m".to_owned(),
            body: body.to_owned(),
            deliveries: 4,
        };
        run(&self.deps, &letter).await
    }

    async fn record(&self, id: RequestId) -> Record {
        self.deps.requests.get(id).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_request_whose_message_died_fails_and_is_cleaned_up() {
    for (at, stage) in [
        (Stage::Queued, Stage::Pin),
        (Stage::Pin, Stage::Pin),
        (Stage::Mutate, Stage::Mutate),
        (Stage::Push, Stage::Push),
    ] {
        let service = Service::new();
        let id = service.at(at).await.id;
        service.deps.logs.append(id, &["a".into()]).await.unwrap();
        assert_eq!(service.dies(id, stage).await, Verdict::Done);
        let record = service.record(id).await;
        assert_eq!(
            (record.state(), record.work.stage),
            (State::Failed, Stage::Done)
        );
        assert_eq!(
            record.state_reason(),
            format!(
                "The message for the stage {stage} was delivered 4 times and could not be handled. Send the request again; if that does not help, ask the operators of this service."
            )
        );
        assert_eq!(service.notifier.told().len(), 1);
        assert_eq!(service.deps.logs.read(id).await.unwrap(), None);
        assert_eq!(service.artifacts.keys(), [ArtifactKey::log(id)]);
        assert_eq!(service.secrets.count(), 0);
        // A second letter changes nothing.
        assert_eq!(service.dies(id, stage).await, Verdict::Done);
        assert_eq!(service.record(id).await, record);
        assert_eq!(service.figures.sum("GivenUpMessages", &[]), 1.);
        let failed = service.figures.sum("RequestsFailed", &["bug", "add"]);
        assert_eq!(failed, 1.);
    }
}

#[tokio::test]
async fn a_request_that_goes_on_is_left_alone() {
    let service = Service::new();
    for (at, stage) in [
        (Stage::Mutate, Stage::Pin),
        (Stage::Pin, Stage::Push),
        (Stage::Queued, Stage::Mutate),
    ] {
        let record = service.at(at).await;
        assert_eq!(service.dies(record.id, stage).await, Verdict::Done);
        assert_eq!(service.record(record.id).await, record);
    }
}

#[tokio::test]
async fn a_request_somebody_works_on_is_looked_at_later() {
    let service = Service::new();
    let mut record = service.at(Stage::Mutate).await;
    record.work.lease = Some(Lease {
        token: LeaseToken::new("somebody"),
        until: service.clock.now() + SignedDuration::from_secs(60),
        unknown: Unknown::default(),
    });
    let record = service.deps.requests.replace(record).await.unwrap();
    let verdict = service.dies(record.id, Stage::Mutate).await;
    assert_eq!(verdict, Verdict::Again(Duration::from_secs(90)));
    assert_eq!(service.record(record.id).await, record);
    service.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(service.dies(record.id, Stage::Mutate).await, Verdict::Done);
    assert_eq!(service.record(record.id).await.state(), State::Failed);
}

#[tokio::test]
async fn what_is_about_nothing_does_not_come_back() {
    let service = Service::new();
    for body in ["", "nonsense", "{\"request_id\":"] {
        assert_eq!(service.receive(body).await, Verdict::Done, "{body}");
    }
    let long = "é".repeat(LOGGED);
    assert_eq!(service.receive(&long).await, Verdict::Done);
    assert_eq!(beginning(&long).len(), LOGGED);
    assert_eq!(service.dies(RequestId(7), Stage::Pin).await, Verdict::Done);
}

#[tokio::test]
async fn a_commit_in_git_is_left_to_push_with_the_secrets_of_the_request() {
    let service = Service::new();
    let record = service.at(Stage::Push).await;
    let id = service.commits(record).await.id;
    for sent in [1, 1, 0] {
        assert_eq!(service.dies(id, Stage::Push).await, Verdict::Done);
        assert_eq!(service.record(id).await.state(), State::Failed);
        let tasks: Vec<Task> = std::iter::from_fn(|| service.queue.take_next()).collect();
        assert_eq!(tasks.len(), sent);
        assert!(tasks.iter().all(|task| task.stage == Stage::Push));
        // They are needed until nobody is asked any more.
        assert_eq!(service.secrets.count(), sent);
    }
}
