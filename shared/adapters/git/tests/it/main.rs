//! Repositories at a real Git server.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iib_git::{GitConfig, GitRepositories};
use iib_oci::hosts::{HostRules, HostSettings};
use iib_ports::{
    AuthDocument, CatalogBranch, CatalogRepositories, CatalogUpdate, Class, Classify, CommitNote,
    RepositoryError, Secret, Sent, chain,
};
use iib_testkit::contract::{Elsewhere, catalog_repositories};
use iib_testkit::git_server::{Asked, GitServer, Misbehaviour};
use jiff::Timestamp;
use tempfile::TempDir;

/// `ann:hunter2`, as it stands in a header.
const LOGIN: &str = "YW5uOmh1bnRlcjI=";
const BRANCH: &str = "v4.6";
const REPOSITORY: &str = "cat/prod";

struct Tokens(String);

#[async_trait]
impl AuthDocument for Tokens {
    fn name(&self) -> &str {
        "a test"
    }

    async fn read(&self) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Secret::new(self.0.clone()))
    }
}

/// A repository at a server, for the contract.
struct AtServer {
    server: GitServer,
    client: GitRepositories,
    url: String,
    _scratch: TempDir,
}

impl Elsewhere for AtServer {
    fn repositories(&self) -> &dyn CatalogRepositories {
        &self.client
    }

    fn place(&self) -> (&str, &str) {
        (&self.url, BRANCH)
    }

    fn commit(&self, files: &[(&str, &str)]) {
        self.server.commit(REPOSITORY, BRANCH, files);
    }

    fn files(&self) -> BTreeMap<String, String> {
        self.server.files(REPOSITORY, BRANCH)
    }
}

#[tokio::test]
#[ignore = "needs git"]
async fn repositories_at_a_server_fulfil_the_contract() {
    let make = async || {
        let server = GitServer::start(LOGIN).await;
        server.create(REPOSITORY, BRANCH, &[("README.md", "read me")]);
        let scratch = tempfile::tempdir().unwrap();
        AtServer {
            client: client(&server, "ann:hunter2", scratch.path()),
            url: server.url(REPOSITORY),
            server,
            _scratch: scratch,
        }
    };
    catalog_repositories(make).await;
}

/// A server with a repository, and a client of ours.
struct World {
    server: GitServer,
    client: GitRepositories,
    scratch: TempDir,
    /// What is to be put into the repository.
    catalog: TempDir,
}

fn client(server: &GitServer, token: &str, scratch: &Path) -> GitRepositories {
    let tokens = BTreeMap::from([(server.url(REPOSITORY), token)]);
    let plain = BTreeSet::from([server.host().to_owned()]);
    let settings = HostSettings {
        plain,
        ..HostSettings::default()
    };
    GitRepositories::new(GitConfig {
        tokens: Arc::new(Tokens(serde_json::to_string(&tokens).unwrap())),
        hosts: HostRules::new(&settings).unwrap(),
        client: reqwest::Client::builder().no_proxy(),
        scratch: scratch.to_owned(),
        max_bytes: 1024 * 1024,
        patience: Duration::from_secs(2),
    })
    .unwrap()
}

impl World {
    async fn new() -> Self {
        let server = GitServer::start(LOGIN).await;
        server.create(
            REPOSITORY,
            BRANCH,
            &[
                ("README.md", "read me"),
                ("configs/etcd/catalog.json", "old"),
                ("configs/kettle/catalog.yaml", "old: true"),
                ("configs/kettle/OWNERS", "ann"),
                ("configs/lantern/catalog.json", "old"),
            ],
        );
        let scratch = tempfile::tempdir().unwrap();
        let client = client(&server, "ann:hunter2", scratch.path());
        Self {
            server,
            client,
            scratch,
            catalog: tempfile::tempdir().unwrap(),
        }
    }

    /// What is committed: etcd goes, kettle and lantern are new.
    fn update(&self) -> CatalogUpdate {
        for (path, content) in [
            ("configs/kettle/catalog.json", "{\"new\": 1}\n"),
            ("configs/lantern/catalog.json", "{\"new\": 2}\n"),
            ("configs/lantern/more/icon.json", "{}\n"),
        ] {
            let path = self.catalog.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        CatalogUpdate {
            removed: ["configs/etcd", "configs/absent"].map(str::to_owned).into(),
            written: ["configs/kettle", "configs/lantern"]
                .map(str::to_owned)
                .into(),
            folder: self.catalog.path().to_owned(),
            note: note("IIB: Update for request id 7 (overwrite_from_index)\n"),
        }
    }

    async fn fetch(&self) -> Box<dyn CatalogBranch> {
        self.fetched(BRANCH).await.unwrap()
    }

    async fn fetched(&self, branch: &str) -> Result<Box<dyn CatalogBranch>, RepositoryError> {
        self.client
            .fetch(&self.server.url(REPOSITORY), branch)
            .await
    }

    /// Commits and pushes, and gives the commit.
    async fn push(&self) -> String {
        let mut branch = self.fetch().await;
        let commit = branch.commit(&self.update()).await.unwrap().commit.unwrap();
        assert_eq!(branch.push(&commit).await.unwrap(), Sent::Pushed);
        commit
    }

    fn files(&self) -> BTreeMap<String, String> {
        self.server.files(REPOSITORY, BRANCH)
    }

    fn paths(&self) -> Vec<String> {
        self.files().into_keys().collect()
    }

    fn head(&self) -> String {
        self.server.head(REPOSITORY, BRANCH)
    }
}

fn note(message: &str) -> CommitNote {
    CommitNote {
        message: message.to_owned(),
        at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

fn failed<T>(result: Result<T, RepositoryError>) -> (Class, String) {
    let error = result.err().unwrap();
    let (text, debug) = (chain(&error), format!("{error:?}"));
    for shown in [&text, &debug] {
        assert!(
            !shown.contains("hunter2") && !shown.contains(LOGIN),
            "{shown}"
        );
    }
    (error.class(), text)
}

#[tokio::test]
#[ignore = "needs git"]
async fn packages_are_put_over_those_that_are_there() {
    let world = World::new().await;
    let before = world.files();
    let mut branch = world.fetch().await;
    let made = branch.commit(&world.update()).await.unwrap();
    assert_eq!(made.missing, ["configs/absent"]);
    let commit = made.commit.unwrap();
    // Nothing is there before it is sent.
    assert_eq!(world.files(), before);
    assert!(!branch.holds(&commit).await.unwrap());
    assert_eq!(branch.push(&commit).await.unwrap(), Sent::Pushed);
    assert_eq!(world.head(), commit);
    assert_eq!(
        world.paths(),
        [
            "README.md",
            // What people have beside a catalog stays; another form of it does not.
            "configs/kettle/OWNERS",
            "configs/kettle/catalog.json",
            "configs/lantern/catalog.json",
            "configs/lantern/more/icon.json",
        ]
    );
    assert_eq!(
        world.files()["configs/lantern/catalog.json"],
        "{\"new\": 2}\n"
    );
    assert_eq!(
        world.server.subjects(REPOSITORY, BRANCH),
        [
            "IIB: Update for request id 7 (overwrite_from_index)",
            "Somebody's change"
        ]
    );
    world.server.check(REPOSITORY);
    drop(branch);
    assert_eq!(std::fs::read_dir(world.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_server_that_cannot_leave_contents_out_is_as_good() {
    let world = World::new().await;
    world
        .server
        .set(REPOSITORY, "uploadpack.allowFilter", "false");
    let commit = world.push().await;
    assert_eq!(world.head(), commit);
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_second_run_makes_the_same_commit_and_finds_it() {
    let world = World::new().await;
    let mut first = world.fetch().await;
    let commit = first.commit(&world.update()).await.unwrap().commit.unwrap();
    let mut second = world.fetch().await;
    let again = second.commit(&world.update()).await.unwrap().commit;
    assert_eq!(again.as_ref(), Some(&commit));
    first.push(&commit).await.unwrap();
    // The second had looked before.
    assert_eq!(second.push(&commit).await.unwrap(), Sent::Moved);
    let mut third = world.fetch().await;
    assert!(third.holds(&commit).await.unwrap());
    let nothing = third.commit(&world.update()).await.unwrap();
    assert_eq!(nothing.commit, None);
    // It is found below others', too.
    for number in 0..80 {
        let text = number.to_string();
        world
            .server
            .commit(REPOSITORY, BRANCH, &[("README.md", &text)]);
    }
    assert!(world.fetch().await.holds(&commit).await.unwrap());
    let unknown = "89ac65c2c4c6d2f2b5d8b7a4bb0a1e7b4c1f2d3e";
    assert!(!world.fetch().await.holds(unknown).await.unwrap());
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_branch_that_moves_is_left_where_it_is() {
    let world = World::new().await;
    let overtaken = |path: &str| {
        Misbehaviour::Overtaken(BRANCH.to_owned(), path.to_owned(), "theirs".to_owned())
    };
    // Before it is looked once more, and after.
    for asked in [Asked::RefsToPush, Asked::Push] {
        let mut branch = world.fetch().await;
        let commit = branch
            .commit(&world.update())
            .await
            .unwrap()
            .commit
            .unwrap();
        world
            .server
            .misbehave(asked, overtaken(&format!("{asked:?}")));
        assert_eq!(
            branch.push(&commit).await.unwrap(),
            Sent::Moved,
            "{asked:?}"
        );
        assert_ne!(world.head(), commit);
    }
    let commit = world.push().await;
    assert_eq!(world.head(), commit);
    let files = world.files();
    assert_eq!(
        (&*files["RefsToPush"], &*files["Push"]),
        ("theirs", "theirs")
    );
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_push_whose_answer_is_lost_is_found_by_looking_again() {
    let world = World::new().await;
    let mut branch = world.fetch().await;
    let commit = branch
        .commit(&world.update())
        .await
        .unwrap()
        .commit
        .unwrap();
    world
        .server
        .misbehave(Asked::Push, Misbehaviour::LosesAnswer);
    let (class, text) = failed(branch.push(&commit).await);
    assert_eq!(class, Class::Retry, "{text}");
    assert!(
        text.starts_with("Error pushing changes to git repo http://127."),
        "{text}"
    );
    assert_eq!(world.head(), commit);
    assert!(world.fetch().await.holds(&commit).await.unwrap());
}

#[tokio::test]
#[ignore = "needs git"]
async fn what_cannot_be_had_is_told_with_the_repository() {
    let world = World::new().await;
    let url = world.server.url(REPOSITORY);
    let (class, text) = failed(world.fetched("v4.7").await);
    assert_eq!(class, Class::Reject);
    assert_eq!(
        text,
        format!("Remote branch 'v4.7' not found for repo {url}")
    );
    let other = client(&world.server, "ann:hunter2x", world.scratch.path());
    let (class, text) = failed(other.fetch(&url, BRANCH).await);
    assert_eq!(class, Class::Reject);
    assert_eq!(
        text,
        format!(
            "Error cloning remote repository for {url}: it refuses the token (status 401): one that may read and write the \
             repository is needed"
        )
    );
    let (class, text) = failed(world.client.fetch("http://elsewhere/a.git", BRANCH).await);
    assert_eq!(class, Class::Reject);
    assert!(
        text.starts_with("Missing key 'http://elsewhere/a.git' in"),
        "{text}"
    );
    for (how, wanted, what) in [
        (Misbehaviour::Status(500), Class::Retry, "status 500"),
        (Misbehaviour::Status(404), Class::Reject, "status 404"),
        (
            Misbehaviour::Status(403),
            Class::Reject,
            "refuses the token",
        ),
        (
            Misbehaviour::Page,
            Class::Reject,
            "the answer is of another kind",
        ),
        (
            Misbehaviour::LeadsTo("https://id.example/login".to_owned()),
            Class::Reject,
            "it leads to id.example, where the token is not shown",
        ),
        (
            Misbehaviour::LeadsTo("/users/sign_in".to_owned()),
            Class::Reject,
            "refuses the token",
        ),
    ] {
        for asked in [Asked::RefsToFetch, Asked::RefsToPush] {
            world.server.misbehave(asked, how.clone());
            let result = match asked {
                Asked::RefsToFetch => world.fetched(BRANCH).await.map(drop),
                _ => {
                    let mut branch = world.fetch().await;
                    let commit = branch.commit(&world.update()).await.unwrap().commit;
                    branch.push(&commit.unwrap()).await.map(drop)
                }
            };
            let (class, text) = failed(result);
            assert_eq!(class, wanted, "{how:?} {asked:?}: {text}");
            assert!(text.contains(what), "{text}");
        }
    }
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_server_that_does_not_take_a_commit_says_why() {
    let world = World::new().await;
    let hook = world
        .server
        .folder()
        .join(format!("{REPOSITORY}.git/hooks/update"));
    std::fs::write(
        &hook,
        "#!/bin/sh\necho hunter2 is not allowed here >&2\nexit 1\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    let mut branch = world.fetch().await;
    let commit = branch
        .commit(&world.update())
        .await
        .unwrap()
        .commit
        .unwrap();
    let (class, text) = failed(branch.push(&commit).await);
    assert_eq!(class, Class::Reject);
    assert!(
        text.ends_with("it does not take the commit: hook declined"),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_server_that_hangs_is_given_up() {
    let world = World::new().await;
    for asked in [
        Asked::RefsToFetch,
        Asked::Fetch,
        Asked::RefsToPush,
        Asked::Push,
    ] {
        world.server.misbehave(asked, Misbehaviour::Hangs);
        let began = Instant::now();
        let result = match world.fetched(BRANCH).await {
            Ok(mut branch) => {
                let commit = branch.commit(&world.update()).await.unwrap().commit;
                branch.push(&commit.unwrap()).await.map(drop)
            }
            Err(error) => Err(error),
        };
        let (class, text) = failed(result);
        assert_eq!(class, Class::Retry, "{asked:?}: {text}");
        assert!(text.contains("it was silent for 2 s"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(20), "{asked:?}");
    }
}

#[tokio::test]
#[ignore = "needs git"]
async fn no_more_is_fetched_than_is_allowed() {
    let world = World::new().await;
    world
        .server
        .set(REPOSITORY, "uploadpack.allowFilter", "false");
    // Nothing that can be made smaller.
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 24) as u8 % 95)
    };
    let large: String = (0..2 * 1024 * 1024).map(next).collect();
    world
        .server
        .commit(REPOSITORY, BRANCH, &[("large", &large)]);
    let (class, text) = failed(world.fetched(BRANCH).await);
    assert_eq!(class, Class::Reject);
    assert!(text.contains("it sends more than 1048576 bytes"), "{text}");
    // Contents do not count where the server leaves them out.
    world
        .server
        .set(REPOSITORY, "uploadpack.allowFilter", "true");
    let commit = world.push().await;
    assert_eq!(world.head(), commit);
}

#[tokio::test]
#[ignore = "needs git"]
async fn a_commit_is_taken_back_and_nothing_else_is() {
    let world = World::new().await;
    let before = world.files();
    let commit = world.push().await;
    let mut branch = world.fetch().await;
    let reverted = branch.revert(&commit, &note("Back")).await.unwrap();
    assert_eq!(reverted.left, [""; 0]);
    let back = reverted.commit.unwrap();
    assert_eq!(branch.push(&back).await.unwrap(), Sent::Pushed);
    assert_eq!(world.files(), before);
    let subjects = world.server.subjects(REPOSITORY, BRANCH);
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    // Once is enough.
    let mut branch = world.fetch().await;
    assert!(branch.holds(&back).await.unwrap());
    let nothing = branch.revert(&commit, &note("Back")).await.unwrap();
    assert_eq!((nothing.commit, nothing.left.len()), (None, 0));
    world.server.check(REPOSITORY);
}

#[tokio::test]
#[ignore = "needs git"]
async fn what_others_have_changed_since_stays() {
    for filter in ["true", "false"] {
        let world = World::new().await;
        world
            .server
            .set(REPOSITORY, "uploadpack.allowFilter", filter);
        let commit = world.push().await;
        world.server.commit(
            REPOSITORY,
            BRANCH,
            &[
                ("configs/lantern/catalog.json", "theirs"),
                ("configs/etcd/catalog.json", "theirs"),
                ("configs/other/catalog.json", "theirs"),
            ],
        );
        let mut branch = world.fetch().await;
        let reverted = branch.revert(&commit, &note("Back")).await.unwrap();
        assert_eq!(
            reverted.left,
            ["configs/etcd/catalog.json", "configs/lantern/catalog.json"]
        );
        let back = reverted.commit.unwrap();
        assert_eq!(branch.push(&back).await.unwrap(), Sent::Pushed);
        let files = world.files();
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "README.md",
                "configs/etcd/catalog.json",
                "configs/kettle/OWNERS",
                "configs/kettle/catalog.yaml",
                "configs/lantern/catalog.json",
                "configs/other/catalog.json",
            ]
        );
        assert_eq!(files["configs/kettle/catalog.yaml"], "old: true");
        assert_eq!(files["configs/lantern/catalog.json"], "theirs");
        world.server.check(REPOSITORY);
    }
}

#[tokio::test]
#[ignore = "needs git"]
async fn the_token_is_in_no_address_and_no_file() {
    let world = World::new().await;
    let mut branch = world.fetch().await;
    let commit = branch
        .commit(&world.update())
        .await
        .unwrap()
        .commit
        .unwrap();
    branch.push(&commit).await.unwrap();
    for call in world.server.seen() {
        assert!(!call.contains("hunter2") && !call.contains(LOGIN), "{call}");
    }
    let mut files = 0;
    for folder in [world.scratch.path(), world.server.folder()] {
        for entry in walkdir::WalkDir::new(folder) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                files += 1;
                let content = std::fs::read(entry.path()).unwrap();
                for secret in ["hunter2", LOGIN] {
                    let mut windows = content.windows(secret.len());
                    let is_there = windows.any(|window| window == secret.as_bytes());
                    assert!(!is_there, "{}", entry.path().display());
                }
            }
        }
    }
    assert!(files > 20, "{files}");
}
