use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use iib_oci::{Arch, Repository};
use iib_ports::{ArtifactKey, NewBatch, Secret};
use iib_request::{AddRequest, LeaseToken, Outcome, Record, Request, RequestId, UploadKind};
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets, RecordingFigures,
};
use iib_testkit::time::ManualClock;

use super::*;

/// A registry that notes which tags are taken away, and fails as it is told.
#[derive(Default)]
pub(super) struct Registry {
    removed: Mutex<Vec<String>>,
    status: AtomicU32,
}

#[async_trait]
impl Tags for Registry {
    async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<(), RegistryError> {
        let (registry, what) = (repository.registry().to_owned(), format!("tag {tag}"));
        match self.status.load(Ordering::SeqCst) {
            0 => {
                let mut removed = self.removed.lock().unwrap();
                removed.push(format!("{repository}:{tag}"));
                Ok(())
            }
            503 => Err(RegistryError::Unavailable {
                waited: std::time::Duration::ZERO,
                registry,
                what,
                attempts: 5,
                source: "busy".into(),
            }),
            status => Err(RegistryError::Refused {
                registry,
                what,
                status: status as u16,
                reason: "UNSUPPORTED".to_owned(),
            }),
        }
    }
}

pub(super) struct Service {
    pub(super) deps: PruneDeps,
    pub(super) queue: Arc<MemoryQueue>,
    artifacts: Arc<MemoryArtifacts>,
    secrets: Arc<MemorySecrets>,
    figures: Arc<RecordingFigures>,
    registry: Arc<Registry>,
    pub(super) clock: Arc<ManualClock>,
}

fn layer(id: RequestId) -> ArtifactKey {
    ArtifactKey::layer(id, &LeaseToken::new("one"))
}

impl Service {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::default());
        let artifacts = Arc::new(MemoryArtifacts::with_clock(clock.clone()));
        let (queue, secrets) = (Arc::default(), Arc::default());
        let (figures, registry) = (Arc::default(), Arc::default());
        let requests = Arc::new(MemoryRequests::default());
        let deps = PruneDeps {
            requests: requests.clone(),
            sweeps: requests,
            queue: Arc::clone(&queue) as _,
            logs: Arc::new(MemoryLogs::default()),
            artifacts: artifacts.clone(),
            secrets: Arc::clone(&secrets) as _,
            tags: Arc::clone(&registry) as _,
            figures: Arc::clone(&figures) as _,
            clock: clock.clone(),
            api: ApiSettings::default(),
            work: WorkSettings {
                registry: "r.example".to_owned(),
                ..WorkSettings::default()
            },
        };
        Self {
            deps,
            queue,
            artifacts,
            secrets,
            figures,
            registry,
            clock,
        }
    }

    pub(super) async fn submit(&self) -> Record {
        let kind = Request::Add(AddRequest::default());
        let mut new = NewBatch::of(None, kind, self.clock.now());
        let token = Secret::new("a:b");
        let kept = self.deps.secrets.keep(&token, self.clock.now()).await;
        new.requests[0]
            .secrets
            .insert("token".to_owned(), kept.unwrap());
        self.deps
            .requests
            .create(new)
            .await
            .unwrap()
            .into_records()
            .remove(0)
    }

    /// A request that is done, with everything one can leave behind.
    async fn ended(&self) -> RequestId {
        let mut record = self.submit().await;
        let id = record.id;
        let arches = ["amd64", "s390x"].map(|arch| arch.parse::<Arch>().unwrap());
        record.facts.arches = Some(arches.map(|arch| arch.to_string()).into());
        record.results = vec![iib_oci::Digest::of(b"result")];
        record.fail("no such bundle", self.clock.now());
        self.deps.requests.replace(record).await.unwrap();
        let digest = iib_oci::Digest::of(b"x");
        for key in [
            ArtifactKey::log(id),
            layer(id),
            ArtifactKey::upload(id, UploadKind::Log, &digest, "a.log"),
        ] {
            self.put(&key).await;
        }
        self.deps.logs.append(id, &["a".into()]).await.unwrap();
        id
    }

    async fn put(&self, key: &ArtifactKey) {
        let content = Box::pin(futures::stream::iter([Ok("x".into())]));
        self.deps.artifacts.put(key, content).await.unwrap();
    }

    async fn put_named(&self, name: &str) {
        self.put(&name.parse().unwrap()).await;
    }

    async fn run(&self) -> PruneReport {
        run(&self.deps, None).await.unwrap()
    }

    async fn is_expired(&self, id: RequestId) -> bool {
        let record = self.deps.requests.get(id).await.unwrap().unwrap();
        record.data_removed
    }

    fn keys(&self) -> Vec<String> {
        let keys = self.artifacts.keys().into_iter();
        keys.map(|key| key.to_string()).collect()
    }

    fn days(&self, days: i64) {
        self.clock.advance(SignedDuration::from_hours(24 * days));
    }
}

#[tokio::test]
async fn data_goes_when_its_time_has_come_and_not_before() {
    let service = Service::new();
    let first = service.ended().await;
    service.days(2);
    let second = service.ended().await;
    service.clock.advance(SignedDuration::from_mins(30));
    let report = service.run().await;
    // Only the layer of the older one, which nobody needs any more.
    assert_eq!((report.expired, report.removed_objects), (0, 1));
    service.days(1);
    let report = service.run().await;
    assert_eq!((report.expired, report.more), (1, false));
    assert!(service.is_expired(first).await);
    assert!(!service.is_expired(second).await);
    assert!(!service.keys().iter().any(|key| key.starts_with("kept/1/")));
    assert_eq!(service.deps.logs.read(first).await.unwrap(), None);
    assert!(service.deps.logs.read(second).await.unwrap().is_some());
    assert_eq!(service.secrets.count(), 1);
    assert_eq!(
        *service.registry.removed.lock().unwrap(),
        ["r.example/iib-build:1-amd64", "r.example/iib-build:1-s390x"]
    );
    // Once is enough.
    assert_eq!(service.run().await.expired, 0);
    assert_eq!(service.registry.removed.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn tags_of_a_request_that_pushed_nothing_are_another_one_s() {
    let service = Service::new();
    let id = service.ended().await;
    let stored = service.deps.requests.get(id).await.unwrap();
    let mut record = stored.unwrap();
    record.results.clear();
    service.deps.requests.replace(record).await.unwrap();
    service.days(4);
    assert_eq!(service.run().await.expired, 1);
    assert_eq!(*service.registry.removed.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_removes_nothing_does_not_hold_the_rest_up() {
    let service = Service::new();
    service.registry.status.store(405, Ordering::SeqCst);
    let ids = [service.ended().await, service.ended().await];
    service.days(4);
    let report = service.run().await;
    assert_eq!((report.expired, report.kept_tags), (2, 4));
    for id in ids {
        assert!(service.is_expired(id).await);
    }
    assert_eq!(service.keys(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_is_not_there_leaves_the_request_to_the_next_run() {
    let service = Service::new();
    let id = service.ended().await;
    service.days(4);
    service.registry.status.store(503, Ordering::SeqCst);
    let report = service.run().await;
    assert_eq!((report.expired, report.more), (0, true));
    assert!(!service.is_expired(id).await);
    service.registry.status.store(0, Ordering::SeqCst);
    assert_eq!(service.run().await.expired, 1);
    assert!(service.is_expired(id).await);
}

#[tokio::test]
async fn many_requests_expire_page_by_page() {
    let service = Service::new();
    for _ in 0..250 {
        service.ended().await;
    }
    service.days(4);
    assert_eq!(service.run().await.expired, 250);
    assert_eq!(service.keys(), [""; 0]);
}

#[tokio::test]
async fn what_there_is_no_time_for_is_left_to_the_next_run() {
    let service = Service::new();
    let id = service.ended().await;
    service.days(4);
    let deadline = service.clock.now() + SignedDuration::from_secs(5);
    let report = run(&service.deps, Some(deadline)).await.unwrap();
    assert_eq!((report.expired, report.more), (0, true));
    assert!(!service.is_expired(id).await);
    let deadline = service.clock.now() + SignedDuration::from_secs(60);
    let report = run(&service.deps, Some(deadline)).await.unwrap();
    assert_eq!((report.expired, report.more), (1, false));
}

#[tokio::test]
async fn layers_go_when_their_request_is_done_or_was_never_there() {
    let service = Service::new();
    let live = service.submit().await.id;
    let done = service.ended().await;
    for id in [live, RequestId(77)] {
        service.put(&layer(id)).await;
    }
    service.put_named("work/odd/name").await;
    service.clock.advance(SignedDuration::from_mins(59));
    let before = service.keys().len();
    assert_eq!(service.run().await.removed_objects, 0);
    assert_eq!(service.keys().len(), before);
    service.clock.advance(SignedDuration::from_mins(2));
    assert_eq!(service.run().await.removed_objects, 3);
    let keys = service.artifacts.keys();
    assert!(keys.contains(&layer(live)));
    assert!(!keys.contains(&layer(done)));
}

#[tokio::test]
async fn leftovers_of_documents_go_after_some_days() {
    let service = Service::new();
    let names = ["inbox/a.json", "results/a.json", "uploads/1/logs/a"];
    for name in names {
        service.put_named(name).await;
    }
    service.days(3);
    assert_eq!(service.run().await.removed_objects, 0);
    service.put_named("results/new.json").await;
    service.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(service.run().await.removed_objects, 3);
    assert_eq!(service.keys(), ["results/new.json"]);
}

#[tokio::test]
async fn the_figures_tell_what_waits_and_what_was_done() {
    let service = Service::new();
    service.submit().await;
    service.clock.advance(SignedDuration::from_secs(30));
    let mut worked_on = service.submit().await;
    worked_on.conclude(Outcome::Completed);
    service.deps.requests.replace(worked_on).await.unwrap();
    service.clock.advance(SignedDuration::from_secs(600));
    let report = service.run().await;
    assert_eq!(report.resent, 2);
    let [sample] = &service.figures.published()[..] else {
        panic!("not published once")
    };
    let live = [(Stage::Queued, 1), (Stage::Pin, 1)].into();
    let expected = ServiceGauges {
        live,
        oldest_live_seconds: 630,
        resent: 2,
        expired: 0,
        unreadable: 0,
        removed_objects: 0,
    };
    assert_eq!(*sample, expected.sample());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["live"], serde_json::json!({"pin": 1, "queued": 1}));
}
