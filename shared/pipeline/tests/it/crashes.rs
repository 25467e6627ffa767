//! The process dies at every place where it can, and another one takes the request over.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use iib_oci::Digest;
use iib_pipeline::intake::Submission;
use iib_pipeline::prune::sweep;
use iib_pipeline::{Deps, Verdict};
use iib_ports::{
    ArtifactKey, ArtifactRoot, Artifacts as _, Clock, Created, Listed, NewRequest, Page, PageQuery,
    Queue as _, Requests, Secret, StoreError,
};
use iib_request::{AddRequest, Record, RequestId, Stage, State, Task, Update};
use jiff::{SignedDuration, Timestamp};

use crate::crash::{self, Death, LastCall};
use crate::samples;
use crate::world::{World, deliver};

/// More calls than a request takes, so that a loop which never ends is noticed.
const MANY: usize = 500;

async fn world_and_request() -> (World, AddRequest) {
    let mut world = World::new().await;
    world.deps.work.max_attempts = 1000;
    let first = world.push_bundle("lantern", "0.1.0").await;
    let bundle = world.push_bundle("lantern", "0.2.0").await;
    let database = samples::database(&[(
        "lantern",
        "0.1.0",
        &first
            .pin(samples::bundle("lantern", "0.1.0").manifest().digest())
            .to_pull_spec(),
    )]);
    let index = samples::index_image(&database);
    let index = world.push("index/lantern:v1", &index).await;
    let request = AddRequest {
        from_index: Some(index.to_string()),
        binary_image: Some(world.push_binary(&["amd64", "arm64"]).await.to_string()),
        add_arches: vec!["arm64".to_owned()],
        build_tags: vec!["extra".to_owned()],
        ..world.add(&bundle).await
    };
    (world, request)
}

/// Lets a process work on the request and die. Tells whether it died before its work was done.
async fn dies(death: Death, last: LastCall, world: &World) -> bool {
    let (dying, crash) = crash::at(death, last, &world.deps);
    while let Some(task) = world.queue.take_next() {
        if deliver(&dying, &task).await != Verdict::Done {
            assert!(!crash.is_alive(), "{task:?} went back without a crash");
            // Its message was not acknowledged, so the queue still has it.
            world.queue.send(&task).await.unwrap();
            return true;
        }
    }
    // It may have died in the very last calls, whose failure changes nothing any more.
    !crash.is_alive()
}

/// Checks the end of a request, and gives the digests of its list and of its changes.
async fn outcome(world: &World, id: RequestId, repository: &str) -> (String, Digest) {
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    world.assert_cleaned_up(id).await;
    // Lines of the last stage may be lost with the process that was to write them.
    let log = world.log(id).await;
    for line in [
        " pin Resolving the bundles",
        "+ bundle lantern/lantern.v0.2.0",
    ] {
        assert!(log.contains(line), "{log}");
    }
    assert!(!log.contains("hunter2") && !format!("{record:?}").contains("hunter2"));
    let completed = record.history.iter().filter(|e| e.state == State::Complete);
    assert_eq!(completed.count(), 1, "{:#?}", record.history);
    let mut reasons: Vec<_> = record.history.iter().map(|e| &e.state_reason).collect();
    let told = reasons.len();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), told, "told twice: {:#?}", record.history);
    let tags: Vec<String> = world.tags(repository).await.into_iter().collect();
    let own = |arch| format!("{id}-{arch}");
    assert_eq!(
        tags,
        [id.to_string(), own("amd64"), own("arm64"), "extra".into()]
    );
    for tag in [id.to_string(), "extra".to_owned()] {
        let spec = world.spec(&format!("{repository}:{tag}"));
        let manifest = world.deps.registry.manifest(&spec).await.unwrap();
        let resolved = record.facts.index_image_resolved.as_deref().unwrap();
        assert!(resolved.ends_with(manifest.digest().as_str()), "{tag}");
    }
    let resolved = record.facts.index_image_resolved.unwrap();
    let list = resolved.rsplit_once('@').unwrap().1.to_owned();
    let changes = world.artifacts.get(&ArtifactKey::changes(id)).await;
    let changes: Vec<_> = changes.unwrap().try_collect().await.unwrap();
    (list, Digest::of(&changes.concat()))
}

/// The request, with a secret that is to be forgotten when it is done.
fn with_token(request: &AddRequest) -> Submission {
    Submission {
        overwrite_token: Some(Secret::new("ann:hunter2")),
        ..request.clone().into()
    }
}

/// A repository of its own for each request, so that no request finds the blobs of another.
fn repository(world: &mut World, name: &str) -> String {
    let repository = format!("out/{name}");
    world.deps.work.image_push_template = format!("{{registry}}/{repository}:{{request_id}}");
    repository
}

fn lease_ends(world: &World) {
    world.clock.advance(SignedDuration::from_secs(61));
}

/// Dies after every number of calls there can be, and lets a good process take over each time.
async fn crash_everywhere(last: LastCall) {
    let (mut world, request) = world_and_request().await;
    let to = repository(&mut world, "reference");
    let id = world.submit(with_token(&request)).await;
    world.run_queue().await;
    let expected = outcome(&world, id, &to).await;
    let mut calls = 0;
    loop {
        let to = repository(&mut world, &format!("crash-{calls}"));
        let id = world.submit(with_token(&request)).await;
        let died = dies(Death::After(calls), last, &world).await;
        lease_ends(&world);
        world.run_queue().await;
        assert_eq!(outcome(&world, id, &to).await, expected, "{calls} calls");
        if !died {
            break;
        }
        calls += 1;
        assert!(calls < MANY, "the work never ends");
    }
    // Three stages with their claims, results and messages, and the calls to the registry.
    assert!(calls > 30, "only {calls} calls were seen");
}

#[tokio::test]
async fn a_crash_between_any_two_calls_changes_nothing_but_the_time_it_takes() {
    crash_everywhere(LastCall::Lost).await;
}

#[tokio::test]
async fn nor_does_a_crash_before_the_answer_to_a_call() {
    crash_everywhere(LastCall::Unanswered).await;
}

/// A process stands still before every call there can be, for longer than its lease; another one
/// does all that is left; then it wakes up and goes on as if nothing had been.
#[tokio::test]
async fn a_process_that_wakes_up_after_its_lease_changes_nothing() {
    let (mut world, request) = world_and_request().await;
    let to = repository(&mut world, "reference");
    let id = world.submit(with_token(&request)).await;
    world.run_queue().await;
    let expected = outcome(&world, id, &to).await;
    for calls in 0..MANY {
        let to = repository(&mut world, &format!("paused-{calls}"));
        let id = world.submit(with_token(&request)).await;
        let (pausing, crash) = crash::at(Death::After(calls), LastCall::Paused, &world.deps);
        let queue = world.queue.clone();
        let mut sleeper = tokio::spawn(async move {
            while let Some(task) = queue.take_next() {
                if deliver(&pausing, &task).await != Verdict::Done {
                    return Some(task);
                }
            }
            None
        });
        let done = tokio::select! {
            () = crash.stands_still() => None,
            done = &mut sleeper => Some(done.unwrap()),
        };
        if let Some(unfinished) = done {
            assert_eq!(unfinished, None, "{calls} calls");
            assert!(calls > 30, "only {calls} calls were seen");
            return;
        }
        lease_ends(&world);
        // The queue has waited for long enough, too; whatever stage the message is for will do.
        let again = Task::new(id, Stage::Push);
        world.queue.send(&again).await.unwrap();
        world.run_queue().await;
        assert_eq!(outcome(&world, id, &to).await, expected, "{calls} calls");

        crash.wake();
        if let Some(task) = sleeper.await.unwrap() {
            world.queue.send(&task).await.unwrap();
        }
        // What it has left behind goes with its message.
        world.run_queue().await;
        let now = outcome(&world, id, &to).await;
        assert_eq!(now, expected, "{calls} calls, and then some");
    }
    panic!("the work never ends");
}

/// Changes the record of a request from outside before every write of a stage there can be: nothing
/// of that is lost, and nothing of the work.
#[tokio::test]
async fn a_change_from_outside_throws_no_work_away_and_is_not_lost() {
    let (mut world, request) = world_and_request().await;
    let to = repository(&mut world, "reference");
    let id = world.submit(with_token(&request)).await;
    world.run_queue().await;
    let expected = outcome(&world, id, &to).await;
    for writes in 0..MANY {
        let to = repository(&mut world, &format!("meddled-{writes}"));
        let id = world.submit(with_token(&request)).await;
        let meddler = Meddler::before(writes, &world, |record, now| {
            record.apply(&Update::doing("seen from outside"), now);
        });
        meddler.clone().run_queue(&world).await;
        assert_eq!(outcome(&world, id, &to).await, expected, "{writes} writes");
        let log = world.log(id).await;
        assert!(!log.contains("will be repeated"), "{writes} writes: {log}");
        if !meddler.has_meddled() {
            assert!(writes > 8, "only {writes} writes were seen");
            return;
        }
        let record = world.record(id).await;
        let told = record.history.iter();
        let told = told.filter(|entry| entry.state_reason == "seen from outside");
        assert_eq!(told.count(), 1, "{writes} writes: {:#?}", record.history);
    }
    panic!("the work never ends");
}

/// Somebody ends the request from outside before every write of a stage: it stays ended, and what
/// was in the making goes.
#[tokio::test]
async fn a_request_that_is_ended_from_outside_stays_ended() {
    let (mut world, request) = world_and_request().await;
    for writes in 0..MANY {
        repository(&mut world, &format!("ended-{writes}"));
        let id = world.submit(with_token(&request)).await;
        let meddler = Meddler::before(writes, &world, |record, now| {
            record.fail("it is not wanted any more", now);
        });
        meddler.clone().run_queue(&world).await;
        let record = world.record(id).await;
        if !meddler.has_meddled() {
            assert_eq!(record.state(), State::Complete);
            return;
        }
        assert_eq!(record.state(), State::Failed, "{writes} writes");
        assert_eq!(record.state_reason(), "it is not wanted any more");
        let keys = world.artifacts.keys();
        let left = keys.iter().filter(|key| key.request() == Some(id));
        let work = left.filter(|key| key.root() == ArtifactRoot::Work);
        assert_eq!(work.count(), 0, "{writes} writes");
        assert_eq!(world.secrets.count(), 0, "{writes} writes");
        assert_eq!(world.deps.logs.read(id).await.unwrap(), None);
    }
    panic!("the work never ends");
}

/// A store in which somebody else changes a request right before a write.
struct Meddler {
    inner: Arc<dyn Requests>,
    clock: Arc<dyn Clock>,
    change: fn(&mut Record, Timestamp),
    /// Writes until then; below zero when it has happened.
    left: AtomicI64,
}

impl Meddler {
    fn before(writes: usize, world: &World, change: fn(&mut Record, Timestamp)) -> Arc<Self> {
        Arc::new(Self {
            inner: world.deps.requests.clone(),
            clock: world.deps.clock.clone(),
            change,
            left: AtomicI64::new(writes.try_into().unwrap()),
        })
    }

    /// Works on all there is, over this store.
    async fn run_queue(self: Arc<Self>, world: &World) {
        let deps = Deps {
            requests: self,
            ..world.deps.clone()
        };
        while let Some(task) = world.queue.take_next() {
            if deliver(&deps, &task).await != Verdict::Done {
                world.queue.send(&task).await.unwrap();
            }
        }
    }

    fn has_meddled(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

#[async_trait]
impl Requests for Meddler {
    async fn create(&self, new: NewRequest) -> Result<Created, StoreError> {
        self.inner.create(new).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.inner.get(id).await
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            let mut stored = self.inner.get(record.id).await?.unwrap();
            (self.change)(&mut stored, self.clock.now());
            self.inner.replace(stored).await?;
        }
        self.inner.replace(record).await
    }

    async fn list(&self, query: PageQuery) -> Result<Page, StoreError> {
        self.inner.list(query).await
    }

    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        self.inner.live(after, limit).await
    }

    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.inner.ended_before(time, limit).await
    }
}

#[tokio::test]
async fn a_request_whose_message_is_lost_is_found_by_the_sweep() {
    let (mut world, request) = world_and_request().await;
    let idle = SignedDuration::from_mins(10);
    for calls in (0..MANY).step_by(5) {
        let to = repository(&mut world, &format!("lost-{calls}"));
        let id = world.submit(with_token(&request)).await;
        dies(Death::After(calls), LastCall::Lost, &world).await;
        while world.queue.take_next().is_some() {}
        if world.record(id).await.state() == State::Complete {
            return;
        }
        lease_ends(&world);
        world.clock.advance(idle);
        let swept = sweep(&world.prune(), idle).await.unwrap();
        assert_eq!(swept.sent, 1, "{calls} calls");
        world.run_queue().await;
        outcome(&world, id, &to).await;
    }
    panic!("the work never ends");
}

#[tokio::test]
async fn a_build_tag_that_a_newer_request_moved_does_not_go_back() {
    const PUSH: &str = "registry.push_manifest";
    let (mut world, older) = world_and_request().await;
    let repository = repository(&mut world, "moved");
    let newer = AddRequest {
        bundles: vec![world.push_bundle("lantern", "0.3.0").await.to_string()],
        ..older.clone()
    };

    // Two images and the list; then the list under the build tag, of which nobody hears.
    let older = world.submit(with_token(&older)).await;
    assert!(dies(Death::At(PUSH, 3), LastCall::Unanswered, &world).await);
    let extra = world.spec(&format!("{repository}:extra"));
    let first = world.deps.registry.manifest(&extra).await.unwrap();
    let task = world.queue.take_next().unwrap();

    let newer = world.submit(with_token(&newer)).await;
    world.run_queue().await;
    let moved = world.deps.registry.manifest(&extra).await.unwrap();
    assert_ne!(moved.digest(), first.digest());

    lease_ends(&world);
    world.queue.send(&task).await.unwrap();
    world.run_queue().await;
    for id in [older, newer] {
        assert_eq!(world.record(id).await.state(), State::Complete);
    }
    let now = world.deps.registry.manifest(&extra).await.unwrap();
    assert_eq!(now.digest(), moved.digest());
    let log = world.log(older).await;
    assert!(log.contains("the tag extra was moved by"), "{log}");
}

/// The first attempt stands still before the list is under its number. Another one ends the request,
/// and a newer request moves the build tag on; what wakes up then must not move it back.
#[tokio::test]
async fn a_process_that_wakes_up_leaves_a_build_tag_where_a_newer_request_put_it() {
    const PUSH: &str = "registry.push_manifest";
    let (mut world, older) = world_and_request().await;
    let repository = repository(&mut world, "woken");
    let newer = AddRequest {
        bundles: vec![world.push_bundle("lantern", "0.3.0").await.to_string()],
        ..older.clone()
    };
    let older = world.submit(with_token(&older)).await;
    // The two images come before.
    let (pausing, crash) = crash::at(Death::At(PUSH, 2), LastCall::Paused, &world.deps);
    let queue = world.queue.clone();
    let sleeper = tokio::spawn(async move {
        while let Some(task) = queue.take_next() {
            deliver(&pausing, &task).await;
        }
    });
    crash.stands_still().await;
    lease_ends(&world);
    world
        .queue
        .send(&Task::new(older, Stage::Push))
        .await
        .unwrap();
    world.run_queue().await;
    assert_eq!(world.record(older).await.state(), State::Complete);

    world.submit(with_token(&newer)).await;
    world.run_queue().await;
    let extra = world.spec(&format!("{repository}:extra"));
    let moved = world.deps.registry.manifest(&extra).await.unwrap();
    crash.wake();
    sleeper.await.unwrap();
    let now = world.deps.registry.manifest(&extra).await.unwrap();
    assert_eq!(now.digest(), moved.digest());
}
