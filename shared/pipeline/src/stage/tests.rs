//! How the frame keeps its lease, with work of our own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_indexdb::SqliteIndex;
use iib_oci::hosts::HostRules;
use iib_ports::{Clock as _, NewBatch, Requests as _};
use iib_request::{
    AddRequest, ApiSettings, IndexPlan, Lease, Request, Scope, Unknown, WorkSettings,
};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRegistries, MemoryRegistry,
    MemoryRequests, MemorySecrets, RecordingFigures, RecordingNotifier,
};
use iib_testkit::time::ManualClock;

use super::*;
use crate::prune::{self, PruneDeps};
use crate::{Scratch, WorkError};

struct Service {
    deps: Deps,
    requests: Arc<MemoryRequests>,
    queue: Arc<MemoryQueue>,
    clock: Arc<ManualClock>,
    figures: Arc<RecordingFigures>,
}

impl Service {
    fn new() -> Self {
        let requests = Arc::new(MemoryRequests::default());
        let clock = Arc::new(ManualClock::default());
        let queue = Arc::new(MemoryQueue::default());
        let figures = Arc::new(RecordingFigures::default());
        let deps = Deps {
            requests: requests.clone(),
            operators: requests.clone(),
            queue: queue.clone(),
            lines: Arc::new(MemoryLines::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: Arc::new(MemorySecrets::default()),
            registry: Arc::new(MemoryRegistry::default()),
            registries: Arc::new(MemoryRegistries::default()),
            gates: None,
            repositories: None,
            index_db: Arc::new(SqliteIndex),
            catalogs: Arc::new(iib_catalog_folder::Folders),
            clock: clock.clone(),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: figures.clone(),
            traces: Arc::new(iib_ports::NoTraces),
            api: ApiSettings::default(),
            new: iib_request::RequestSettings::default(),
            work: WorkSettings {
                stage_timeout_seconds: 250,
                ..WorkSettings::default()
            },
            hosts: HostRules::default(),
            scratch: Arc::new(Scratch::at("/nowhere")),
            unpacked: Arc::new(crate::Unpacked::off()),
        };
        Self {
            deps,
            requests,
            queue,
            clock,
            figures,
        }
    }

    fn prune(&self) -> PruneDeps {
        let deps = self.deps.clone();
        PruneDeps {
            requests: deps.requests,
            sweeps: self.requests.clone(),
            queue: deps.queue,
            logs: deps.logs,
            artifacts: deps.artifacts,
            secrets: deps.secrets,
            tags: Arc::new(MemoryRegistry::default()),
            figures: deps.figures,
            clock: deps.clock,
            api: deps.api,
            work: deps.work,
        }
    }

    async fn task(&self) -> Task {
        let request = Request::Add(AddRequest::default());
        let new = NewBatch::of(None, request, self.clock.now());
        let made = self.requests.create(new).await.unwrap();
        Task::new(made.into_records().remove(0).id, Stage::Pin)
    }

    async fn record(&self, task: &Task) -> Record {
        let record = self.requests.get(task.request_id).await.unwrap();
        record.unwrap()
    }

    /// The clock of the service and that of the process go on together.
    async fn wait(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(SignedDuration::from_secs(1));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Takes so many seconds, and notes when it came to its end.
#[derive(Default)]
struct Slow {
    seconds: u64,
    ended: AtomicBool,
}

impl Slow {
    fn taking(seconds: u64) -> Self {
        Self {
            seconds,
            ended: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Flow for Slow {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        self.ended.store(true, Ordering::SeqCst);
        let plan = IndexPlan {
            from: None,
            into: None,
            overwrite: None,
            bundles: Vec::new(),
            deprecate: Vec::new(),
            fragments: Vec::new(),
            bases: BTreeMap::new(),
            version: "v4.6".to_owned(),
            scope: Scope::Prod,
            output_format: iib_oci::ImageFormat::Docker,
            looked_up: None,
            created: job.deps.clock.now(),
            unknown: Unknown::default(),
        };
        Ok((Plan::Index(plan.into()), Update::default()))
    }

    async fn mutate(&self, _job: &mut Job<'_>) -> Result<Built, StageError> {
        unreachable!("only pin is asked for")
    }

    async fn push(&self, _job: &mut Job<'_>) -> Result<Pushed, StageError> {
        unreachable!("only pin is asked for")
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_short_and_lasts_as_long_as_the_work_goes_on() {
    let service = Service::new();
    let task = service.task().await;
    let work = Slow::taking(240);
    let began = service.clock.now();
    let watched = async {
        for seconds in 1..240 {
            service.wait(1).await;
            let record = service.record(&task).await;
            let lease = record.work.lease.unwrap();
            let left = lease.until.duration_since(service.clock.now()).as_secs();
            // Never longer than the work may take: 250 seconds.
            assert!(left <= 60.min(250 - seconds), "{seconds}: {left}");
            assert!(left >= 39.min(249 - seconds), "{seconds}: {left}");
        }
    };
    let (verdict, ()) = tokio::join!(
        run_as(&service.deps, Stage::Pin, &task, Some(&work)),
        watched
    );
    assert_eq!(verdict, Verdict::Done);
    let record = service.record(&task).await;
    assert_eq!(
        (record.work.stage, record.work.lease),
        (Stage::Mutate, None)
    );
    assert!(service.clock.now().duration_since(began).as_secs() >= 239);
}

#[tokio::test(start_paused = true)]
async fn work_whose_lease_has_another_owner_stops_at_the_next_renewal() {
    let service = Service::new();
    let task = service.task().await;
    let work = Slow::taking(200);
    let other = LeaseToken::new("somebody else");
    let taken = async {
        service.wait(10).await;
        let mut record = service.record(&task).await;
        record.work.lease = Some(Lease {
            token: other.clone(),
            until: service.clock.now() + SignedDuration::from_secs(60),
            unknown: Unknown::default(),
        });
        service.requests.replace(record).await.unwrap();
    };
    let started = tokio::time::Instant::now();
    let (verdict, ()) = tokio::join!(run_as(&service.deps, Stage::Pin, &task, Some(&work)), taken);
    assert_eq!(verdict, Verdict::Again(SOON));
    assert_eq!(started.elapsed().as_secs(), 20);
    assert!(!work.ended.load(Ordering::SeqCst));
    let record = service.record(&task).await;
    assert!(record.work.is_held_by(&other));
    assert_eq!(record.work.attempts, 1);
    assert_eq!(service.figures.sum("Attempts", &["pin", "lost"]), 1.);
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_too_long_is_an_attempt_that_failed() {
    let service = Service::new();
    let task = service.task().await;
    let work = Slow::taking(300);
    let verdict = run_as(&service.deps, Stage::Pin, &task, Some(&work)).await;
    assert_eq!(verdict, Verdict::Again(ATTEMPTS.after(1)));
    let record = service.record(&task).await;
    assert_eq!((record.work.attempts, record.work.lease), (1, None));
    assert_eq!(service.figures.sum("Attempts", &["pin", "retry"]), 1.);
}

/// Fails for a reason that may pass, and notes when it was asked.
#[derive(Default)]
struct Failing {
    asked: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl Flow for Failing {
    async fn pin(&self, job: &mut Job<'_>) -> Result<(Plan, Update), StageError> {
        self.asked.lock().unwrap().push(job.deps.clock.now());
        Err(WorkError::Timeout(1).into())
    }

    async fn mutate(&self, _job: &mut Job<'_>) -> Result<Built, StageError> {
        unreachable!("only pin is asked for")
    }

    async fn push(&self, _job: &mut Job<'_>) -> Result<Pushed, StageError> {
        unreachable!("only pin is asked for")
    }
}

/// Whenever in its minute prune runs: the waits between attempts are what they are.
#[tokio::test(start_paused = true)]
async fn prune_sends_no_message_before_an_attempt_is_due() {
    for first_run in [1, 20, 40, 59] {
        let mut service = Service::new();
        service.deps.work.max_attempts = 5;
        let (failing, prune) = (Failing::default(), service.prune());
        let began = service.clock.now();
        // It waited in the queue before.
        let task = service.task().await;
        service.clock.advance(SignedDuration::from_secs(50));
        let mut messages = vec![(0, task.clone())];
        for second in 0..300 {
            if second % 60 == first_run {
                prune::run(&prune, None).await.unwrap();
                messages.extend(
                    service
                        .queue
                        .take(Stage::Pin)
                        .into_iter()
                        .map(|task| (second, task)),
                );
            }
            let (come, later): (Vec<_>, Vec<_>) =
                messages.into_iter().partition(|(at, _)| *at <= second);
            messages = later;
            for (_, task) in come {
                let verdict = run_as(&service.deps, Stage::Pin, &task, Some(&failing)).await;
                if let Verdict::Again(wait) = verdict {
                    messages.push((second + wait.as_secs(), task));
                }
            }
            service.clock.advance(SignedDuration::from_secs(1));
        }
        let asked = failing.asked.lock().unwrap().clone();
        let after = asked
            .iter()
            .map(|at| at.duration_since(began).as_secs() - 50);
        assert_eq!(Vec::from_iter(after), [0, 5, 25, 85, 145], "{first_run}");
        assert_eq!(service.record(&task).await.state(), State::Failed);
        let failed = service.figures.sum("RequestsFailed", &["retry", "add"]);
        assert_eq!(failed, 1.);
    }
}
