//! The contract of [`iib_ports::CatalogRepositories`].

use std::collections::BTreeMap;
use std::path::Path;

use iib_ports::{
    CatalogBranch, CatalogRepositories, CatalogUpdate, CommitNote, RepositoryError, Sent,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// A repository, with whoever else works on it.
pub trait Elsewhere: Send + Sync {
    /// What is tested.
    fn repositories(&self) -> &dyn CatalogRepositories;

    /// The repository, and a branch that has one file, `README.md`.
    fn place(&self) -> (&str, &str);

    /// Commits files to the branch, as somebody else; one with no content goes.
    fn commit(&self, files: &[(&str, &str)]);

    /// The files of the branch, with their contents.
    fn files(&self) -> BTreeMap<String, String>;
}

/// Runs the suite; `make` gives a repository without a catalog.
pub async fn catalog_repositories<E: Elsewhere>(make: impl AsyncFn() -> E) {
    nothing_is_there_before_it_is_pushed(&make().await).await;
    the_same_commit_made_twice_is_one(&make().await).await;
    whoever_is_faster_counts(&make().await).await;
    what_is_there_is_not_committed(&make().await).await;
    a_commit_is_taken_back_as_far_as_it_is_still_there(&make().await).await;
    a_branch_that_is_not_there_is_told(&make().await).await;
}

const OURS: &str = "configs/lantern/catalog.json";

async fn fetch(elsewhere: &impl Elsewhere) -> Box<dyn CatalogBranch> {
    let (repository, branch) = elsewhere.place();
    let fetched = elsewhere.repositories().fetch(repository, branch).await;
    fetched.unwrap()
}

fn note(message: &str) -> CommitNote {
    CommitNote {
        message: message.to_owned(),
        at: Timestamp::UNIX_EPOCH,
    }
}

/// A package that is put in, and one that goes.
fn update(folder: &Path) -> CatalogUpdate {
    let file = folder.join(OURS);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "{\"new\": true}\n").unwrap();
    CatalogUpdate {
        removed: ["configs/etcd".to_owned()].into(),
        written: ["configs/lantern".to_owned()].into(),
        folder: folder.to_owned(),
        note: note("Update\n"),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

async fn push(elsewhere: &impl Elsewhere) -> String {
    let (folder, mut branch) = (folder(), fetch(elsewhere).await);
    let made = branch.commit(&update(folder.path())).await.unwrap();
    let commit = made.commit.unwrap();
    assert_eq!(branch.push(&commit).await.unwrap(), Sent::Pushed);
    commit
}

fn paths(elsewhere: &impl Elsewhere) -> Vec<String> {
    elsewhere.files().into_keys().collect()
}

async fn nothing_is_there_before_it_is_pushed(elsewhere: &impl Elsewhere) {
    elsewhere.commit(&[("configs/etcd/catalog.json", "old")]);
    let (folder, mut branch) = (folder(), fetch(elsewhere).await);
    let made = branch.commit(&update(folder.path())).await.unwrap();
    assert_eq!(made.missing, [""; 0]);
    let commit = made.commit.unwrap();
    assert!(!fetch(elsewhere).await.holds(&commit).await.unwrap());
    assert_eq!(paths(elsewhere), ["README.md", "configs/etcd/catalog.json"]);
    assert_eq!(branch.push(&commit).await.unwrap(), Sent::Pushed);
    assert_eq!(paths(elsewhere), ["README.md", OURS]);
    assert_eq!(elsewhere.files()[OURS], "{\"new\": true}\n");
    elsewhere.commit(&[("more", "theirs")]);
    assert!(fetch(elsewhere).await.holds(&commit).await.unwrap());
}

async fn the_same_commit_made_twice_is_one(elsewhere: &impl Elsewhere) {
    let folder = folder();
    let (mut first, mut second) = (fetch(elsewhere).await, fetch(elsewhere).await);
    let one = first.commit(&update(folder.path())).await.unwrap();
    let other = second.commit(&update(folder.path())).await.unwrap();
    assert_eq!(one, other);
    let mut later = update(folder.path());
    later.note.at = Timestamp::MAX;
    let third = fetch(elsewhere).await.commit(&later).await.unwrap();
    assert_ne!(third.commit, one.commit);
}

async fn whoever_is_faster_counts(elsewhere: &impl Elsewhere) {
    let (folder, mut branch) = (folder(), fetch(elsewhere).await);
    let made = branch.commit(&update(folder.path())).await.unwrap();
    elsewhere.commit(&[("more", "theirs")]);
    let sent = branch.push(&made.commit.unwrap()).await.unwrap();
    assert_eq!(sent, Sent::Moved);
    assert_eq!(paths(elsewhere), ["README.md", "more"]);
}

async fn what_is_there_is_not_committed(elsewhere: &impl Elsewhere) {
    push(elsewhere).await;
    let (folder, mut branch) = (folder(), fetch(elsewhere).await);
    let made = branch.commit(&update(folder.path())).await.unwrap();
    assert_eq!(made.commit, None);
    assert_eq!(made.missing, ["configs/etcd"]);
}

async fn a_commit_is_taken_back_as_far_as_it_is_still_there(elsewhere: &impl Elsewhere) {
    elsewhere.commit(&[
        ("configs/etcd/catalog.json", "old"),
        ("configs/etcd/more.json", "old"),
    ]);
    let commit = push(elsewhere).await;
    elsewhere.commit(&[("configs/etcd/more.json", "theirs")]);
    let mut branch = fetch(elsewhere).await;
    let reverted = branch.revert(&commit, &note("Back\n")).await.unwrap();
    assert_eq!(reverted.left, ["configs/etcd/more.json"]);
    let back = reverted.commit.unwrap();
    assert_eq!(branch.push(&back).await.unwrap(), Sent::Pushed);
    let files = elsewhere.files();
    assert_eq!(
        paths(elsewhere),
        [
            "README.md",
            "configs/etcd/catalog.json",
            "configs/etcd/more.json"
        ]
    );
    assert_eq!(files["configs/etcd/more.json"], "theirs");
    let again = fetch(elsewhere)
        .await
        .revert(&commit, &note("Back\n"))
        .await;
    assert_eq!(again.unwrap().commit, None);
}

async fn a_branch_that_is_not_there_is_told(elsewhere: &impl Elsewhere) {
    let (repository, _) = elsewhere.place();
    let fetched = elsewhere.repositories().fetch(repository, "absent").await;
    let error = fetched.err().unwrap();
    assert!(matches!(error, RepositoryError::NoBranch { .. }), "{error}");
    let told = format!("Remote branch 'absent' not found for repo {repository}");
    assert_eq!(error.to_string(), told);
}
