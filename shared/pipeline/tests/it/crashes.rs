//! The process dies at every place where it can, and another one takes the request over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use iib_oci::Digest;
use iib_pipeline::intake::Submission;
use iib_pipeline::prune::sweep;
use iib_pipeline::{Deps, Verdict};
use iib_ports::{
    ArtifactKey, ArtifactRoot, Artifacts as _, Clock, Created, NewBatch, Queue as _, Requests,
    Secret, StoreError,
};
use iib_request::{
    AddRequest, CreateEmptyIndex, FbcOperations, Record, RecursiveRelatedBundles, RegenerateBundle,
    RequestId, Stage, State, Task, Update,
};
use iib_testkit::Pull as _;
use jiff::{SignedDuration, Timestamp};

use crate::catalogs;
use crate::crash::{self, Death, LastCall};
use crate::image::{Family, Image};
use crate::regenerate;
use crate::samples::{self, index_image};
use crate::world::{World, deliver};

/// More calls than a request takes, so that a loop which never ends is noticed.
const MANY: usize = 500;

/// What dies and is taken over.
struct Victim {
    submission: Submission,
    /// Lines that its log has whatever happens.
    log: &'static [&'static str],
    /// Its tags beside its number.
    tags: &'static [&'static str],
    /// The index that it overwrites, as it is before: a tag and the image.
    overwrites: Option<(&'static str, Image)>,
    /// The file that it puts into the Git repository of that index.
    in_git: Option<&'static str>,
    /// What somebody else puts there before it is pushed the first time.
    moved: Option<Moved>,
}

struct Moved {
    image: Image,
    is_there: AtomicBool,
}

/// The repository of the index that is overwritten, and its branch.
const GIT: (&str, &str) = ("https://git.example/catalog.git", "v1");

/// A bundle is added to an index, for two architectures and with a build tag.
async fn an_add() -> (World, Victim) {
    let (world, request) = world_and_request().await;
    let victim = Victim {
        submission: with_token(&request),
        log: &[
            " pin Resolving the bundles",
            "+ bundle lantern/lantern.v0.2.0",
        ],
        tags: &["amd64", "arm64", "extra"],
        overwrites: None,
        in_git: None,
        moved: None,
    };
    (world, victim)
}

/// An index is emptied.
async fn an_emptying() -> (World, Victim) {
    let (world, request) = world_and_request().await;
    let empty = CreateEmptyIndex {
        from_index: request.from_index.unwrap(),
        binary_image: request.binary_image,
        ..CreateEmptyIndex::default()
    };
    let victim = Victim {
        submission: empty.into(),
        log: &[" pin Resolving the container", "- package lantern"],
        tags: &["amd64"],
        overwrites: None,
        in_git: None,
        moved: None,
    };
    (world, victim)
}

/// A bundle is added to an index, which is overwritten.
async fn an_overwriting() -> (World, Victim) {
    let (world, request) = world_and_request().await;
    let index = world.image_of_lantern().await;
    let overwriting = AddRequest {
        overwrite_from_index: true,
        ..request
    };
    let victim = Victim {
        submission: with_token(&overwriting),
        log: &["+ bundle lantern/lantern.v0.2.0"],
        tags: &["amd64", "arm64", "extra"],
        overwrites: Some(("index/lantern:v1", index)),
        in_git: None,
        moved: None,
    };
    (world, victim)
}

/// A fragment is put into an index with a file-based catalog, which is overwritten and has a Git repository.
async fn a_fragment() -> (World, Victim) {
    let (mut world, request) = world_and_request().await;
    let index = catalogs::catalog_image(
        &[("a/catalog.json", &catalogs::package("a", "1.0.0"))],
        None,
    );
    let from_index = world.push("index/catalog:v1", &index).await;
    let name = format!("{}/index/catalog", world.host);
    world.deps.work.git_repositories = [(name, GIT.0.to_owned())].into();
    let files = [("b/catalog.json", &*catalogs::package("b", "1.0.0"))];
    let fragment = catalogs::catalog_image(&files, None);
    let fragment = world.push("fragments/b:v1", &fragment).await;
    let operations = FbcOperations {
        fbc_fragments: vec![fragment.to_string()],
        from_index: from_index.to_string(),
        binary_image: request.binary_image,
        overwrite_from_index: true,
        ..FbcOperations::default()
    };
    let victim = Victim {
        submission: operations.into(),
        log: &["+ package b"],
        tags: &["amd64"],
        overwrites: Some(("index/catalog:v1", index)),
        in_git: Some("configs/b/catalog.json"),
        moved: None,
    };
    (world, victim)
}

/// A bundle is made anew, for two architectures.
async fn a_bundle() -> (World, Victim) {
    let (world, _) = world_and_request().await;
    let app = regenerate::push_app(&world, "one:v1").await.to_string();
    let files = regenerate::files(&[app]);
    let images = ["amd64", "arm64"].map(|arch| (arch, regenerate::bundle(arch, &files)));
    let from = world.push_list("bundles/oil:v1", Family::Docker, &images);
    let submission = RegenerateBundle {
        from_bundle_image: from.await.to_string(),
        ..RegenerateBundle::default()
    };
    let victim = Victim {
        submission: submission.into(),
        log: &[" pin Resolving from_bundle_image", "+  relatedImages:"],
        tags: &["amd64", "arm64"],
        overwrites: None,
        in_git: None,
        moved: None,
    };
    (world, victim)
}

/// The bundles behind a bundle are looked for.
async fn a_search() -> (World, Victim) {
    let (world, _) = world_and_request().await;
    let [root, ..] = regenerate::tree(&world).await;
    let submission = RecursiveRelatedBundles {
        parent_bundle_image: root.to_string(),
        ..RecursiveRelatedBundles::default()
    };
    let victim = Victim {
        submission: submission.into(),
        log: &[" pin Resolving parent_bundle_image", " names no bundles"],
        tags: &[],
        overwrites: None,
        in_git: None,
        moved: None,
    };
    (world, victim)
}

/// A bundle is added to an index, which somebody else overwrites meanwhile: it is done anew on top of that.
async fn a_rebase() -> (World, Victim) {
    let (world, victim) = an_overwriting().await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let lantern = world.spec("bundles/lantern:v0.1.0");
    let other = samples::database(&[("lantern", "0.1.0", &lantern), ("kettle", "1.0.0", &kettle)]);
    let moved = Moved {
        image: index_image(&other),
        is_there: AtomicBool::new(false),
    };
    let victim = Victim {
        log: &[
            "+ bundle lantern/lantern.v0.2.0",
            "it is done anew on top of that",
        ],
        moved: Some(moved),
        ..victim
    };
    (world, victim)
}

/// A fragment is put into a catalog with a Git repository, which somebody else overwrites meanwhile.
async fn a_fragment_upon_another() -> (World, Victim) {
    let (world, victim) = a_fragment().await;
    let files = [
        ("a/catalog.json", &*catalogs::package("a", "1.0.0")),
        ("c/catalog.json", &*catalogs::package("c", "1.0.0")),
    ];
    let moved = Moved {
        image: catalogs::catalog_image(&files, None),
        is_there: AtomicBool::new(false),
    };
    let victim = Victim {
        log: &["+ package b", "it is done anew on top of that"],
        moved: Some(moved),
        ..victim
    };
    (world, victim)
}

pub(crate) async fn world_and_request() -> (World, AddRequest) {
    let mut world = World::new().await;
    world.deps.work.max_attempts = 1000;
    let bundle = world.push_bundle("lantern", "0.2.0").await;
    let index = world.image_of_lantern().await;
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
pub(crate) async fn dies(death: Death, last: LastCall, world: &World) -> bool {
    dies_with(death, last, world, async |_| ()).await
}

/// The same, with something that is done before each delivery.
async fn dies_with(
    death: Death,
    last: LastCall,
    world: &World,
    before: impl AsyncFn(&Task),
) -> bool {
    let (dying, crash) = crash::at(death, last, &world.deps);
    while let Some(task) = world.queue.take_next() {
        before(&task).await;
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

impl Victim {
    /// Checks its end, and gives the digests of its list, if it makes one, and of what is kept for users.
    async fn outcome(&self, world: &World, id: RequestId, repository: &str) -> (String, Digest) {
        let record = world.record(id).await;
        assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
        world.assert_cleaned_up(id).await;
        // Lines of the last stage may be lost with the process that was to write them.
        let log = world.log(id).await;
        for line in self.log {
            assert!(log.contains(line), "{log}");
        }
        assert!(!log.contains("hunter2") && !format!("{record:?}").contains("hunter2"));
        match &self.moved {
            None => assert_told_once(&record),
            Some(_) => assert_told_anew_once(&record),
        }
        let tags: Vec<String> = world.tags(repository).await.into_iter().collect();
        let own = |arch: &&str| match *arch {
            "extra" => "extra".to_owned(),
            arch => format!("{id}-{arch}"),
        };
        let expected = self.tags.iter().map(own);
        // A search makes no image.
        let own = (!self.tags.is_empty()).then(|| id.to_string());
        let expected: Vec<String> = own.into_iter().chain(expected).collect();
        assert_eq!(tags, expected);
        let mut lists = Vec::new();
        for tag in tags.iter().filter(|tag| !tag.contains('-')) {
            let spec = world.spec(&format!("{repository}:{tag}"));
            let manifest = world.deps.registry.pull(&spec).await.unwrap();
            lists.push(manifest.digest().as_str().to_owned());
        }
        lists.dedup();
        assert!(lists.len() <= 1, "{lists:?}");
        let list = lists.pop().unwrap_or_default();
        if let Some(resolved) = record.facts.index_image_resolved {
            assert_eq!(resolved.rsplit_once('@').unwrap().1, list);
        }
        if let Some((tag, index)) = &self.overwrites {
            let spec = world.spec(tag);
            let manifest = world.deps.registry.pull(&spec).await.unwrap();
            assert_eq!(manifest.digest().as_str(), list);
            assert_eq!(record.facts.index_image.as_deref(), Some(spec.as_str()));
            let overwritten = record.overwritten.unwrap();
            let replaced = self.moved.as_ref().map_or(index, |moved| &moved.image);
            assert_eq!(overwritten.replaced, replaced.manifest().digest());
            assert_eq!(overwritten.result, manifest.digest());
        }
        if let Some(file) = self.in_git {
            // One commit, and none that takes it back.
            let (repository, branch) = GIT;
            let messages = world.repositories.messages(repository, branch);
            assert_eq!(messages.len(), 2, "{messages:?}");
            let files = world.repositories.files(repository, branch);
            assert!(files.contains_key(file), "{files:?}");
        }
        let kept = world.artifacts.keys().into_iter();
        let log = ArtifactKey::log(id);
        let kept = kept.filter(|key| key.request() == Some(id) && *key != log);
        let mut contents = Vec::new();
        for key in kept {
            let content = world.artifacts.get(&key).await.unwrap();
            contents.extend(content.try_collect::<Vec<_>>().await.unwrap());
        }
        (list, Digest::of(&contents.concat()))
    }

    /// Lets somebody else move the index when the request is about to be pushed.
    async fn before(&self, world: &World, task: &Task) {
        let (Some(moved), Some((tag, _))) = (&self.moved, &self.overwrites) else {
            return;
        };
        let stage = world.record(task.request_id).await.work.stage;
        if stage == Stage::Push && !moved.is_there.swap(true, Ordering::SeqCst) {
            world.push(tag, &moved.image).await;
        }
    }

    async fn run_queue(&self, world: &World) {
        world
            .run_queue_with(async |task| self.before(world, task).await)
            .await;
    }

    /// Sends it, with its index as it was.
    async fn submit(&self, world: &World) -> RequestId {
        if let Some(moved) = &self.moved {
            moved.is_there.store(false, Ordering::SeqCst);
        }
        if let Some((tag, index)) = &self.overwrites {
            world.push(tag, index).await;
        }
        world
            .repositories
            .begin(GIT.0, GIT.1, &[("README.md", "read me")]);
        world.submit(self.submission.clone()).await
    }

    /// What it comes to when nobody disturbs it.
    async fn undisturbed(&self, world: &mut World) -> (String, Digest) {
        let to = repository(world, "reference");
        let id = self.submit(world).await;
        self.run_queue(world).await;
        self.outcome(world, id, &to).await
    }
}

fn assert_told_once(record: &Record) {
    let completed = record.history.iter().filter(|e| e.state == State::Complete);
    assert_eq!(completed.count(), 1, "{:#?}", record.history);
    let mut reasons: Vec<_> = record.history.iter().map(|e| &e.state_reason).collect();
    let told = reasons.len();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), told, "told twice: {:#?}", record.history);
}

/// The request was done anew once, so that each state is told twice at most.
fn assert_told_anew_once(record: &Record) {
    assert_eq!(record.work.rebases, 1);
    let completed = record.history.iter().filter(|e| e.state == State::Complete);
    assert_eq!(completed.count(), 1, "{:#?}", record.history);
    for entry in &record.history {
        let same = record.history.iter();
        let same = same.filter(|other| other.state_reason == entry.state_reason);
        assert!(same.count() <= 2, "{:#?}", record.history);
    }
}

/// The request, with a secret that is to be forgotten when it is done.
pub(crate) fn with_token(request: &AddRequest) -> Submission {
    Submission {
        secrets: [("overwrite_from_index_token", Secret::new("ann:hunter2"))].into(),
        ..request.clone().into()
    }
}

/// A repository of its own for each request, so that no request finds the blobs of another.
pub(crate) fn repository(world: &mut World, name: &str) -> String {
    let repository = format!("out/{name}");
    world.deps.work.image_push_template = format!("{{registry}}/{repository}:{{request_id}}");
    repository
}

pub(crate) fn lease_ends(world: &World) {
    world.clock.advance(SignedDuration::from_secs(61));
}

/// Dies after every number of calls there can be, and lets a good process take over each time.
async fn crash_everywhere((mut world, victim): (World, Victim), last: LastCall) {
    let expected = victim.undisturbed(&mut world).await;
    let mut calls = 0;
    loop {
        let to = repository(&mut world, &format!("crash-{calls}"));
        let id = victim.submit(&world).await;
        let before = async |task: &Task| victim.before(&world, task).await;
        let died = dies_with(Death::After(calls), last, &world, before).await;
        lease_ends(&world);
        victim.run_queue(&world).await;
        let now = victim.outcome(&world, id, &to).await;
        assert_eq!(now, expected, "{calls} calls");
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
    crash_everywhere(an_add().await, LastCall::Lost).await;
}

#[tokio::test]
async fn nor_does_a_crash_before_the_answer_to_a_call() {
    crash_everywhere(an_add().await, LastCall::Unanswered).await;
}

#[tokio::test]
async fn nor_does_a_crash_while_an_index_is_emptied() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        crash_everywhere(an_emptying().await, last).await;
    }
}

#[tokio::test]
async fn nor_does_a_crash_while_a_bundle_is_made_anew_or_looked_behind() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        crash_everywhere(a_bundle().await, last).await;
        crash_everywhere(a_search().await, last).await;
    }
}

#[tokio::test]
async fn nor_does_a_crash_while_an_index_is_overwritten() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        crash_everywhere(an_overwriting().await, last).await;
        crash_everywhere(a_fragment().await, last).await;
    }
}

#[tokio::test]
async fn nor_does_a_crash_while_a_request_is_done_anew_on_top_of_anothers() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        crash_everywhere(a_rebase().await, last).await;
    }
}

#[tokio::test]
async fn nor_does_a_crash_while_a_fragment_is_put_upon_anothers() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        crash_everywhere(a_fragment_upon_another().await, last).await;
    }
}

/// A process stands still before every call there can be, with all that it does, for longer than its lease;
/// another one does all that is left; then it wakes up and goes on as if nothing had been.
async fn stand_still_everywhere((mut world, victim): (World, Victim)) {
    let expected = victim.undisturbed(&mut world).await;
    for calls in 0..MANY {
        let to = repository(&mut world, &format!("paused-{calls}"));
        let id = victim.submit(&world).await;
        let (pausing, crash) = crash::at(Death::After(calls), LastCall::Paused, &world.deps);
        let here = &world;
        let mut sleeper = Box::pin(async {
            while let Some(task) = here.queue.take_next() {
                victim.before(here, &task).await;
                if deliver(&pausing, &task).await != Verdict::Done {
                    return Some(task);
                }
            }
            None
        });
        let done = tokio::select! {
            () = crash.stands_still() => None,
            done = &mut sleeper => Some(done),
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
        victim.run_queue(&world).await;
        let now = victim.outcome(&world, id, &to).await;
        assert_eq!(now, expected, "{calls} calls");

        crash.wake();
        if let Some(task) = sleeper.await {
            world.queue.send(&task).await.unwrap();
        }
        // What it has left behind goes with its message.
        victim.run_queue(&world).await;
        let now = victim.outcome(&world, id, &to).await;
        assert_eq!(now, expected, "{calls} calls, and then some");
    }
    panic!("the work never ends");
}

#[tokio::test]
async fn a_process_that_wakes_up_changes_nothing_of_a_bundle() {
    stand_still_everywhere(a_bundle().await).await;
    stand_still_everywhere(a_search().await).await;
}

#[tokio::test]
async fn a_process_that_wakes_up_after_its_lease_changes_nothing() {
    stand_still_everywhere(an_add().await).await;
}

#[tokio::test]
async fn nor_does_one_that_overwrites_an_index() {
    stand_still_everywhere(an_overwriting().await).await;
    stand_still_everywhere(a_fragment().await).await;
}

#[tokio::test]
async fn nor_does_one_whose_request_is_done_anew_on_top_of_anothers() {
    stand_still_everywhere(a_rebase().await).await;
}

#[tokio::test]
async fn nor_does_one_that_puts_a_fragment_upon_anothers() {
    stand_still_everywhere(a_fragment_upon_another().await).await;
}

#[tokio::test]
async fn nor_does_one_that_empties_an_index() {
    stand_still_everywhere(an_emptying().await).await;
}

/// Changes the record of a request from outside before every write of a stage there can be: nothing
/// of that is lost, and nothing of the work.
async fn meddle_everywhere((mut world, victim): (World, Victim)) {
    let expected = victim.undisturbed(&mut world).await;
    for writes in 0..MANY {
        let to = repository(&mut world, &format!("meddled-{writes}"));
        let id = victim.submit(&world).await;
        let meddler = Meddler::before(writes, &world, |record, now| {
            record.apply(&Update::doing("seen from outside"), now);
        });
        meddler.clone().run_queue(&world).await;
        let now = victim.outcome(&world, id, &to).await;
        assert_eq!(now, expected, "{writes} writes");
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

#[tokio::test]
async fn a_change_from_outside_throws_no_work_away_and_is_not_lost() {
    for victim in [an_add().await, an_emptying().await, an_overwriting().await] {
        meddle_everywhere(victim).await;
    }
}

/// Somebody ends the request from outside before every write of a stage: it stays ended, and what
/// was in the making goes.
#[tokio::test]
async fn a_request_that_is_ended_from_outside_stays_ended() {
    let (mut world, victim) = an_add().await;
    for writes in 0..MANY {
        repository(&mut world, &format!("ended-{writes}"));
        let id = victim.submit(&world).await;
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
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        self.inner.create(new).await
    }

    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        self.inner.made_by(once).await
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
}

#[tokio::test]
async fn a_request_whose_message_is_lost_is_found_by_the_sweep() {
    let (mut world, victim) = an_add().await;
    let idle = SignedDuration::from_mins(1);
    for calls in (0..MANY).step_by(5) {
        let to = repository(&mut world, &format!("lost-{calls}"));
        let id = victim.submit(&world).await;
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
        victim.outcome(&world, id, &to).await;
    }
    panic!("the work never ends");
}
