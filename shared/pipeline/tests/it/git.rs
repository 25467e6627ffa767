//! Indexes that have a Git repository, and are overwritten.

use std::sync::Arc;

use async_trait::async_trait;
use iib_oci::{Descriptor, Digest, PullSpec, RawManifest, Reference, Repository};
use iib_pipeline::dead_letter::{self, DeadLetter};
use iib_pipeline::intake::{self, IntakeDeps};
use iib_pipeline::{Deps, Verdict};
use iib_ports::{
    BlobSource, BlobStream, CatalogBranch, CatalogRepositories, Keyring, Queue as _, Registries,
    Registry, RegistryError, RepositoryError, Transferred,
};
use iib_request::{FbcOperations, Members, Record, RequestId, RmRequest, Stage, State, Task};
use iib_testkit::memory::{Files, PushFault};

use crate::catalogs::{catalog_image, own, package};
use crate::crash::{self, Death, LastCall};
use crate::crashes::lease_ends;
use crate::image::Image;
use crate::overwrite::tagged;
use crate::world::World;

const GIT: &str = "https://git.example/catalog.git";
const BRANCH: &str = "v1";
const INDEX: &str = "index/catalog:v1";

/// What others have in the branch.
const BEFORE: [(&str, &str); 3] = [
    ("README.md", "read me"),
    ("configs/a/catalog.json", "old"),
    ("configs/b/catalog.json", "old"),
];

/// An index with two packages, and a request that takes one of them out.
async fn world_and_request() -> (World, PullSpec, RmRequest) {
    let mut world = World::new().await;
    let index = world.push(INDEX, &index_of_two()).await;
    let name = format!("{}/index/catalog", world.host);
    world.deps.work.git_repositories = [(name, GIT.to_owned())].into();
    world.repositories.begin(GIT, BRANCH, &BEFORE);
    let request = RmRequest {
        operators: vec!["a".to_owned()],
        from_index: index.to_string(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        overwrite_from_index: true,
        ..RmRequest::default()
    };
    (world, index, request)
}

fn index_of_two() -> Image {
    let files = [
        ("a/catalog.json", &*package("a", "1.0.0")),
        ("b/catalog.json", &*package("b", "1.0.0")),
    ];
    catalog_image(&files, None)
}

fn files(world: &World) -> Files {
    world.repositories.files(GIT, BRANCH)
}

fn before() -> Files {
    BEFORE
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

/// What is left when a is gone.
fn after() -> Files {
    let mut files = before();
    files.remove("configs/a/catalog.json");
    files
}

/// First lines of the messages, the newest first.
fn subjects(world: &World) -> Vec<String> {
    let messages = world.repositories.messages(GIT, BRANCH).into_iter();
    let first = |message: String| message.lines().next().unwrap_or_default().to_owned();
    messages.map(first).collect()
}

#[tokio::test]
async fn what_is_taken_out_goes_from_the_repository_too() {
    let (world, _, request) = world_and_request().await;
    let twice = RmRequest {
        operators: vec!["a".to_owned(), "absent".to_owned()],
        ..request
    };
    let record = world.completes(twice).await;
    assert_eq!(files(&world), after());
    assert_eq!(
        subjects(&world),
        [
            "IIB: Update for request id 1 (overwrite_from_index)",
            "Somebody's change"
        ]
    );
    let log = world.log(record.id).await;
    let warning = format!("warning: configs/absent is not in the branch v1 of {GIT}");
    assert!(log.contains(&warning), "{log}");
    assert!(!log.contains("_operator-deprecations-content"), "{log}");
}

#[tokio::test]
async fn a_fragment_is_put_over_what_is_there() {
    let (world, _, request) = world_and_request().await;
    world.repositories.commit(
        GIT,
        BRANCH,
        &[(
            "configs/_operator-deprecations-content/b/b.json",
            "those of before",
        )],
    );
    let fragment_of_b = [
        ("b/catalog.json", &*package("b", "2.0.0")),
        ("b/more.yaml", &*own("b")),
    ];
    let fragment = catalog_image(&fragment_of_b, None);
    let fragment = world.push("fragments/b:v1", &fragment).await;
    world
        .completes(FbcOperations {
            fbc_fragments: vec![fragment.to_string()],
            from_index: request.from_index,
            binary_image: request.binary_image,
            overwrite_from_index: true,
            ..FbcOperations::default()
        })
        .await;
    let files = files(&world);
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "README.md",
            "configs/a/catalog.json",
            "configs/b/catalog.json",
            "configs/b/more.yaml"
        ]
    );
    assert_eq!(files["configs/b/catalog.json"], package("b", "2.0.0"));
    // What the request is not about is left to whoever put it there.
    assert_eq!(files["configs/a/catalog.json"], "old");
}

#[tokio::test]
async fn with_nothing_to_commit_all_is_well() {
    let (world, _, request) = world_and_request().await;
    world
        .repositories
        .commit(GIT, BRANCH, &[("configs/a/catalog.json", "")]);
    let record = world.completes(request).await;
    assert_eq!(record.committed, None);
    assert_eq!(subjects(&world).len(), 2);
}

#[tokio::test]
async fn an_index_without_a_repository_and_a_result_of_its_own_leave_git_alone() {
    let (mut world, _, request) = world_and_request().await;
    let own = RmRequest {
        overwrite_from_index: false,
        ..request.clone()
    };
    world.completes(own).await;
    world.deps.work.git_repositories.clear();
    world.completes(request).await;
    assert_eq!(files(&world), before());
}

#[tokio::test]
async fn pushes_that_go_wrong_are_made_anew() {
    let (world, _, request) = world_and_request().await;
    world.repositories.fail_pushes(&[
        PushFault::Overtaken("other".to_owned(), "theirs".to_owned()),
        PushFault::LostAnswer,
    ]);
    world.completes(request).await;
    let mut wanted = after();
    wanted.insert("other".to_owned(), "theirs".to_owned());
    assert_eq!(files(&world), wanted);
    // It was there when it was looked for again.
    let ours = "IIB: Update for request id 1 (overwrite_from_index)";
    assert_eq!(
        subjects(&world),
        [ours, "Somebody's change", "Somebody's change"]
    );
}

#[tokio::test]
async fn a_branch_that_never_stands_still_fails_the_request() {
    let (world, index, request) = world_and_request().await;
    let overtaken = PushFault::Overtaken("other".to_owned(), "theirs".to_owned());
    // The same content again would be no change.
    let each = |number: u32| match &overtaken {
        PushFault::Overtaken(path, _) => PushFault::Overtaken(path.clone(), number.to_string()),
        other => other.clone(),
    };
    world
        .repositories
        .fail_pushes(&(0..100).map(each).collect::<Vec<_>>());
    let tag = tagged(&world, &index).await;
    let record = world.run(request).await;
    assert_eq!(record.state(), State::Failed);
    let reason = record.state_reason();
    let wanted = format!(
        "Error pushing changes to git repo {GIT}: the branch v1 was moved by somebody else 5 times"
    );
    assert!(reason.starts_with(&wanted), "{reason}");
    assert_eq!(tagged(&world, &index).await, tag);
    assert!(files(&world).contains_key("configs/a/catalog.json"));
}

#[tokio::test]
async fn a_repository_that_cannot_be_used_fails_the_request_in_known_words() {
    let (mut world, index, request) = world_and_request().await;
    let tag = tagged(&world, &index).await;
    world.repositories.fail_pushes(&[PushFault::Refused]);
    let record = world.run(request.clone()).await;
    assert_eq!(
        record.state_reason(),
        format!("Error pushing changes to git repo {GIT}: it does not take it")
    );
    world.repositories.set_down(true);
    let record = world.run(request.clone()).await;
    let reason = record.state_reason();
    let wanted =
        format!("Error cloning remote repository for {GIT}: it is down. It was tried 3 times");
    assert!(reason.starts_with(&wanted), "{reason}");
    world.repositories.set_down(false);
    for repository in world.deps.work.git_repositories.values_mut() {
        "https://git.example/other.git".clone_into(repository);
    }
    let record = world.run(request).await;
    assert_eq!(
        record.state_reason(),
        "Remote branch 'v1' not found for repo https://git.example/other.git"
    );
    assert_eq!(tagged(&world, &index).await, tag);
    assert_eq!(files(&world), before());
}

/// Registries that refuse to move the tag of the index.
struct Refusing(Arc<dyn Registries>);

struct RefusingRegistry(Arc<dyn Registry>);

impl Registries for Refusing {
    fn with(&self, keyring: Keyring) -> Arc<dyn Registry> {
        Arc::new(RefusingRegistry(self.0.with(keyring)))
    }

    fn take_transferred(&self) -> Transferred {
        self.0.take_transferred()
    }
}

#[async_trait]
impl Registry for RefusingRegistry {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        self.0.manifest(repository, reference).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        self.0.blob(repository, descriptor).await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.0.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        self.0.mount_blob(to, from, digest).await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        self.0.push_blob(repository, descriptor, source).await
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        self.0.tagged(repository, tag).await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        if *reference == Reference::Tag("v1".to_owned()) {
            return Err(RegistryError::Denied {
                registry: repository.registry().to_owned(),
                what: "the tag".to_owned(),
                status: 403,
                login: "with no login".to_owned(),
            });
        }
        self.0.push_manifest(repository, reference, manifest).await
    }
}

/// A world in which the tag of the index cannot be moved.
async fn refusing() -> (World, PullSpec, RmRequest) {
    let (mut world, index, request) = world_and_request().await;
    let registries: Arc<dyn Registries> = Arc::new(Refusing(world.deps.registries.clone()));
    world.deps.registry = registries.with(Keyring::Own);
    world.deps.registries = registries;
    (world, index, request)
}

#[tokio::test]
async fn the_commit_is_taken_back_if_the_tag_cannot_be_moved() {
    let (world, index, request) = refusing().await;
    let tag = tagged(&world, &index).await;
    let record = world.run(request).await;
    let reason = record.state_reason();
    let wanted = format!("Failed to overwrite the input from_index container image of {index}");
    assert!(reason.starts_with(&wanted), "{reason}");
    assert_eq!(files(&world), before());
    assert_eq!(
        subjects(&world),
        [
            "IIB: Revert the update for request id 1",
            "IIB: Update for request id 1 (overwrite_from_index)",
            "Somebody's change"
        ]
    );
    let log = world.log(record.id).await;
    assert!(log.contains("was taken back by"), "{log}");
    assert_eq!(tagged(&world, &index).await, tag);
}

#[tokio::test]
async fn what_others_have_changed_since_is_left_and_told() {
    let (world, _, request) = refusing().await;
    let operators = vec!["a".to_owned(), "b".to_owned()];
    let id = world
        .submit(RmRequest {
            operators,
            ..request
        })
        .await;
    let (dying, crash) = crash::at(
        Death::At("branch.push", 0),
        LastCall::Unanswered,
        &world.deps,
    );
    drain(&world, &dying).await;
    assert!(crash.has_died());
    world.repositories.commit(
        GIT,
        BRANCH,
        &[("configs/b/catalog.json", "theirs"), ("new", "theirs")],
    );
    lease_ends(&world);
    world.run_queue().await;
    assert_eq!(world.record(id).await.state(), State::Failed);
    let mut wanted = before();
    wanted.insert("configs/b/catalog.json".to_owned(), "theirs".to_owned());
    wanted.insert("new".to_owned(), "theirs".to_owned());
    assert_eq!(files(&world), wanted);
    let log = world.log(id).await;
    let told =
        "others have changed these files since, which are left as they are: configs/b/catalog.json";
    assert!(log.contains(told), "{log}");
}

/// Works on all messages over these ports; those that go back stay in the queue.
async fn drain(world: &World, deps: &Deps) -> Vec<Task> {
    let mut back = Vec::new();
    while let Some(task) = world.queue.take_next() {
        if crate::world::deliver(deps, &task).await != Verdict::Done {
            back.push(task);
        }
    }
    for task in &back {
        world.queue.send(task).await.unwrap();
    }
    back
}

#[tokio::test]
async fn a_crash_anywhere_leaves_no_commit_of_a_request_that_fails() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        let (mut world, index, request) = refusing().await;
        world.deps.work.max_attempts = 1000;
        let mut calls = 0;
        loop {
            world.repositories.begin(GIT, BRANCH, &BEFORE);
            let id = world.submit(request.clone()).await;
            let (dying, crash) = crash::at(Death::After(calls), last, &world.deps);
            drain(&world, &dying).await;
            lease_ends(&world);
            world.run_queue().await;
            let record = world.record(id).await;
            let (reason, log) = (record.state_reason(), world.log(id).await);
            assert_eq!(record.state(), State::Failed, "{calls} calls: {reason}");
            assert_eq!(files(&world), before(), "{calls} calls: {log}");
            // Whoever comes between taking it back and the end does it all once more.
            assert!(subjects(&world).len() <= 5, "{calls} calls: {log}");
            world.assert_cleaned_up(id).await;
            if crash.is_alive() {
                break;
            }
            calls += 1;
            assert!(calls < 500, "the work never ends");
        }
        assert!(calls > 30, "only {calls} calls were seen");
        assert_eq!(
            tagged(&world, &index).await,
            index_of_two().manifest().digest()
        );
    }
}

#[tokio::test]
async fn nor_does_a_request_that_is_stopped_or_given_up() {
    // Right before and right after the commit is sent, and before the tag moves.
    for (call, last) in [
        ("branch.push", LastCall::Lost),
        ("branch.push", LastCall::Unanswered),
    ] {
        for given_up in [false, true] {
            let (world, index, request) = world_and_request().await;
            let tag = tagged(&world, &index).await;
            let id = world.submit(request).await;
            let (dying, _) = crash::at(Death::At(call, 0), last, &world.deps);
            let back = drain(&world, &dying).await;
            lease_ends(&world);
            if given_up {
                while world.queue.take_next().is_some() {}
                give_up(&world, &back[0], Verdict::Done).await;
            } else {
                stop(&world, id).await;
            }
            let stopped = world.record(id).await;
            assert_eq!(stopped.state(), State::Failed);
            world.run_queue().await;
            assert_eq!(files(&world), before(), "{call} {last:?}");
            assert_eq!(tagged(&world, &index).await, tag);
            world.assert_cleaned_up(id).await;
        }
    }
}

async fn stop(world: &World, id: RequestId) {
    let members = serde_json::json!({"state": "failed", "state_reason": "not needed"});
    let members: Members = serde_json::from_value(members).unwrap();
    let deps = IntakeDeps::from(world.deps.clone());
    intake::patch(&deps, id, &members).await.unwrap();
}

async fn give_up(world: &World, task: &Task, expected: Verdict) {
    let letter = DeadLetter {
        message_id: "1".to_owned(),
        body: serde_json::to_string(task).unwrap(),
        deliveries: 50,
    };
    // It has no repositories.
    let verdict = dead_letter::run(&world.deps.clone().into(), &letter).await;
    assert_eq!(verdict, expected);
}

#[tokio::test]
async fn a_commit_that_cannot_be_taken_back_is_left_in_the_end_and_told() {
    let (world, _, request) = refusing().await;
    let id = world.submit(request).await;
    let (dying, _) = crash::at(
        Death::At("branch.push", 0),
        LastCall::Unanswered,
        &world.deps,
    );
    let back = drain(&world, &dying).await;
    while world.queue.take_next().is_some() {}
    lease_ends(&world);
    world.repositories.set_down(true);
    for round in 0..3 {
        give_up(&world, &back[0], Verdict::Done).await;
        match world.queue.take_next() {
            Some(task) => {
                assert_eq!((task.stage, round < 2), (Stage::Push, true));
                // Its message goes back until the queue gives it up.
                assert!(matches!(world.deliver(&task).await, Verdict::Again(_)));
            }
            None => assert_eq!(round, 2),
        }
    }
    world.assert_cleaned_up(id).await;
    let log = world.log(id).await;
    assert!(log.contains("is left to be reverted by hand"), "{log}");
    let record: Record = world.record(id).await;
    assert_eq!(record.state(), State::Failed);
}

/// Repositories in whose pushes somebody else moves the tag of the index.
struct MovesTag {
    inner: Arc<dyn CatalogRepositories>,
    registry: Arc<dyn Registry>,
    index: PullSpec,
    list: std::sync::Mutex<Option<RawManifest>>,
}

#[async_trait]
impl CatalogRepositories for MovesTag {
    async fn fetch(
        &self,
        repository: &str,
        branch: &str,
    ) -> Result<Box<dyn CatalogBranch>, RepositoryError> {
        let other = self.list.lock().unwrap().take();
        if let Some(other) = other {
            let (repository, tag) = (self.index.repository(), self.index.reference());
            let moved = self.registry.push_manifest(repository, tag, &other).await;
            moved.unwrap();
        }
        self.inner.fetch(repository, branch).await
    }
}

#[tokio::test]
async fn if_somebody_else_moves_the_tag_meanwhile_the_commit_is_made_anew_too() {
    let (mut world, index, request) = world_and_request().await;
    let files_of_other = [
        ("a/catalog.json", &*package("a", "1.0.0")),
        ("c/catalog.json", &*package("c", "1.0.0")),
    ];
    let other = catalog_image(&files_of_other, None);
    world.push("index/catalog:other", &other).await;
    world.deps.repositories = Some(Arc::new(MovesTag {
        inner: world.deps.repositories.clone().unwrap(),
        registry: world.deps.registry.clone(),
        index: index.clone(),
        list: std::sync::Mutex::new(Some(other.manifest())),
    }));
    let record = world.completes(request).await;
    assert_eq!(record.work.rebases, 1);
    assert_eq!(files(&world), after());
    let ours = "IIB: Update for request id 1 (overwrite_from_index)";
    let back = "IIB: Revert the update for request id 1";
    assert_eq!(subjects(&world), [ours, back, ours, "Somebody's change"]);
}

#[tokio::test]
async fn an_index_that_names_the_result_keeps_its_commit() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    let tag = tagged(&world, &index).await;
    // The tag moves, nobody hears of it, and the request is stopped then.
    let moved = Death::At("registry.push_manifest", 3);
    let (dying, _) = crash::at(moved, LastCall::Unanswered, &world.deps);
    drain(&world, &dying).await;
    assert_ne!(tagged(&world, &index).await, tag, "it did not move");
    lease_ends(&world);
    stop(&world, id).await;
    world.run_queue().await;
    assert_eq!(world.record(id).await.state(), State::Failed);
    assert_eq!(files(&world), after());
    assert!(world.record(id).await.committed.unwrap().is_settled);
}

#[tokio::test]
async fn an_index_that_has_moved_on_from_the_result_keeps_its_commit() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    let moved = Death::At("registry.push_manifest", 3);
    let (dying, _) = crash::at(moved, LastCall::Unanswered, &world.deps);
    drain(&world, &dying).await;
    // Somebody builds upon the result before anybody comes for the request.
    world.push(INDEX, &index_of_two()).await;
    let result = world.record(id).await.overwritten.unwrap().result;
    assert_ne!(tagged(&world, &index).await, result);
    lease_ends(&world);
    stop(&world, id).await;
    world.run_queue().await;
    assert_eq!(world.record(id).await.state(), State::Failed);
    assert_eq!(files(&world), after());
    assert!(world.record(id).await.committed.unwrap().is_settled);
}

#[tokio::test]
async fn who_does_not_speak_to_git_leaves_the_rest_of_a_request_to_push() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    let sent = Death::At("branch.push", 0);
    let (dying, _) = crash::at(sent, LastCall::Unanswered, &world.deps);
    drain(&world, &dying).await;
    lease_ends(&world);
    stop(&world, id).await;
    while world.queue.take_next().is_some() {}
    // A message for pin that comes late, at the function that has no repositories.
    let without = Deps {
        repositories: None,
        ..world.deps.clone()
    };
    let record = world.record(id).await;
    let late = record.task(Stage::Pin);
    assert_eq!(crate::world::deliver(&without, &late).await, Verdict::Done);
    // Nothing is put away yet; push is told.
    assert!(
        world
            .deps
            .lines
            .of(&index.to_string())
            .await
            .unwrap()
            .turn
            .is_some()
    );
    let told = world.queue.take_next().unwrap();
    assert_eq!((told.request_id, told.stage), (id, Stage::Push));
    world.queue.send(&told).await.unwrap();
    world.run_queue().await;
    assert_eq!(files(&world), before());
    world.assert_cleaned_up(id).await;
}
