//! Git repositories in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_oci::Digest;
use iib_ports::{
    CatalogBranch, CatalogRepositories, CatalogUpdate, Class, CommitNote, Made, RepositoryError,
    Reverted, Sent,
};

use super::lock;

/// Files by path.
pub type Files = BTreeMap<String, String>;

/// What becomes of a push in place of what should.
#[derive(Debug, Clone)]
pub enum PushFault {
    /// The commit is taken, and nobody hears of it.
    LostAnswer,
    /// Somebody else is faster, with this file.
    Overtaken(String, String),
    /// The repository is not there for the moment.
    Down,
    /// It does not take the commit.
    Refused,
}

/// Repositories with branches.
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "nobody looks at it")]
pub struct MemoryRepositories(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    commits: BTreeMap<String, Commit>,
    heads: BTreeMap<(String, String), String>,
    faults: VecDeque<PushFault>,
    is_down: bool,
}

#[derive(Clone)]
struct Commit {
    parent: Option<String>,
    message: String,
    files: Files,
}

impl MemoryRepositories {
    /// Commits files to a branch, as somebody else; empty ones go. A branch that is not there is made.
    pub fn commit(&self, repository: &str, branch: &str, files: &[(&str, &str)]) {
        let mut inner = lock(&self.0);
        let place = (repository.to_owned(), branch.to_owned());
        let parent = inner.heads.get(&place).cloned();
        let of_parent = parent.as_ref().and_then(|parent| inner.commits.get(parent));
        let mut now = of_parent.map_or_else(Files::new, |commit| commit.files.clone());
        for (path, content) in files {
            match content.is_empty() {
                true => now.remove(*path),
                false => now.insert((*path).to_owned(), (*content).to_owned()),
            };
        }
        let id = inner.add(parent, "Somebody's change".to_owned(), now);
        inner.heads.insert(place, id);
    }

    /// Begins a branch anew, with these files alone.
    pub fn begin(&self, repository: &str, branch: &str, files: &[(&str, &str)]) {
        let place = (repository.to_owned(), branch.to_owned());
        lock(&self.0).heads.remove(&place);
        self.commit(repository, branch, files);
    }

    /// Has the next pushes go wrong.
    pub fn fail_pushes(&self, faults: &[PushFault]) {
        lock(&self.0).faults.extend(faults.iter().cloned());
    }

    /// Whether nothing can be fetched.
    pub fn set_down(&self, is_down: bool) {
        lock(&self.0).is_down = is_down;
    }

    /// The files of a branch.
    pub fn files(&self, repository: &str, branch: &str) -> Files {
        let inner = lock(&self.0);
        let head = inner.heads.get(&(repository.to_owned(), branch.to_owned()));
        let commit = head.and_then(|head| inner.commits.get(head));
        commit.map_or_else(Files::new, |commit| commit.files.clone())
    }

    /// The messages of a branch, the newest first.
    pub fn messages(&self, repository: &str, branch: &str) -> Vec<String> {
        let inner = lock(&self.0);
        let head = inner.heads.get(&(repository.to_owned(), branch.to_owned()));
        let (mut messages, mut next) = (Vec::new(), head.cloned());
        while let Some(commit) = next.and_then(|id| inner.commits.get(&id)) {
            messages.push(commit.message.clone());
            next = commit.parent.clone();
        }
        messages
    }
}

impl Inner {
    fn add(&mut self, parent: Option<String>, message: String, files: Files) -> String {
        let text = format!("{parent:?} {message} {files:?}");
        let id: String = Digest::of(text.as_bytes()).hex().chars().take(40).collect();
        let commit = Commit {
            parent,
            message,
            files,
        };
        self.commits.insert(id.clone(), commit);
        id
    }

    fn files(&self, commit: &str) -> Files {
        let commit = self.commits.get(commit);
        commit.map_or_else(Files::new, |commit| commit.files.clone())
    }

    fn holds(&self, head: &str, commit: &str) -> bool {
        let mut next = Some(head.to_owned());
        while let Some(id) = next {
            if id == commit {
                return true;
            }
            next = self
                .commits
                .get(&id)
                .and_then(|commit| commit.parent.clone());
        }
        false
    }
}

#[async_trait]
impl CatalogRepositories for MemoryRepositories {
    async fn fetch(
        &self,
        repository: &str,
        branch: &str,
    ) -> Result<Box<dyn CatalogBranch>, RepositoryError> {
        let inner = lock(&self.0);
        if inner.is_down {
            return Err(RepositoryError::Fetch {
                repository: repository.to_owned(),
                source: "it is down".into(),
                class: Class::Retry,
            });
        }
        let place = (repository.to_owned(), branch.to_owned());
        let head = inner.heads.get(&place).cloned();
        let head = head.ok_or_else(|| RepositoryError::NoBranch {
            repository: repository.to_owned(),
            branch: branch.to_owned(),
        })?;
        Ok(Box::new(MemoryBranch {
            inner: self.0.clone(),
            place,
            head,
        }))
    }
}

/// A branch as it was.
struct MemoryBranch {
    inner: Arc<Mutex<Inner>>,
    place: (String, String),
    head: String,
}

impl MemoryBranch {
    fn add(&self, files: Files, note: &CommitNote) -> Option<String> {
        let mut inner = lock(&self.inner);
        if files == inner.files(&self.head) {
            return None;
        }
        // The time is part of a commit.
        let message = format!("{}@{}", note.message, note.at);
        Some(inner.add(Some(self.head.clone()), message, files))
    }

    fn not_pushed(&self, source: &str, class: Class) -> RepositoryError {
        RepositoryError::Push {
            repository: self.place.0.clone(),
            source: source.into(),
            class,
        }
    }
}

#[async_trait]
impl CatalogBranch for MemoryBranch {
    async fn holds(&mut self, commit: &str) -> Result<bool, RepositoryError> {
        Ok(lock(&self.inner).holds(&self.head, commit))
    }

    async fn commit(&mut self, change: &CatalogUpdate) -> Result<Made, RepositoryError> {
        let (mut files, mut made) = (lock(&self.inner).files(&self.head), Made::default());
        let below = |path: &str, folder: &str| {
            let rest = path.strip_prefix(folder);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        for folder in &change.removed {
            let before = files.len();
            files.retain(|path, _| !below(path, folder));
            if files.len() == before {
                made.missing.push(folder.clone());
            }
        }
        for folder in &change.written {
            files.retain(|path, _| !below(path, folder) || path.ends_with("OWNERS"));
            let mut open = vec![change.folder.join(folder)];
            while let Some(next) = open.pop() {
                for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        open.push(path);
                        continue;
                    }
                    let content = std::fs::read_to_string(&path).unwrap_or_default();
                    let name = path.strip_prefix(&change.folder).unwrap_or(&path);
                    files.insert(name.to_string_lossy().into_owned(), content);
                }
            }
        }
        made.commit = self.add(files, &change.note);
        Ok(made)
    }

    async fn revert(
        &mut self,
        commit: &str,
        note: &CommitNote,
    ) -> Result<Reverted, RepositoryError> {
        let (mut now, before, after) = {
            let inner = lock(&self.inner);
            let parent = inner
                .commits
                .get(commit)
                .and_then(|found| found.parent.clone());
            (
                inner.files(&self.head),
                inner.files(&parent.unwrap_or_default()),
                inner.files(commit),
            )
        };
        let mut reverted = Reverted::default();
        let paths: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
        for path in paths {
            let (was, set, is) = (before.get(&path), after.get(&path), now.get(&path));
            if was == set || is == was {
                continue;
            }
            if is != set {
                reverted.left.push(path);
                continue;
            }
            match was {
                Some(content) => now.insert(path, content.clone()),
                None => now.remove(&path),
            };
        }
        reverted.commit = self.add(now, note);
        Ok(reverted)
    }

    async fn push(&mut self, commit: &str) -> Result<Sent, RepositoryError> {
        let fault = lock(&self.inner).faults.pop_front();
        match &fault {
            Some(PushFault::Down) => return Err(self.not_pushed("it is down", Class::Retry)),
            Some(PushFault::Refused) => {
                return Err(self.not_pushed("it does not take it", Class::Reject));
            }
            Some(PushFault::Overtaken(path, content)) => {
                let others = MemoryRepositories(self.inner.clone());
                others.commit(&self.place.0, &self.place.1, &[(path, content)]);
            }
            Some(PushFault::LostAnswer) | None => {}
        }
        let mut inner = lock(&self.inner);
        if inner.heads.get(&self.place) != Some(&self.head) {
            return Ok(Sent::Moved);
        }
        inner.heads.insert(self.place.clone(), commit.to_owned());
        drop(inner);
        match fault {
            Some(PushFault::LostAnswer) => {
                Err(self.not_pushed("its answer was lost", Class::Retry))
            }
            _ => Ok(Sent::Pushed),
        }
    }
}
