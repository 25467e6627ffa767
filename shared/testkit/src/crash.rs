//! A process that dies, or is paused, between two calls to the world.
//!
//! Calls are counted over all ports together, so every number is a place where it can die. Where
//! calls are made at the same time, their order differs from run to run; then the calls of one kind
//! are to be counted. What the process would still do after its death reaches nothing.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use iib_oci::{Descriptor, Digest, RawManifest, Reference, Repository};
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, BlobSource, BlobStream,
    Bytestream, CatalogBranch, CatalogRepositories, CatalogUpdate, Class, CommitNote, Created,
    Delivery, Keyring, Line, Lines, Logs, Made, Moved, NewBatch, Queue, QueueError, Registries,
    Registry, RegistryError, RepositoryError, Requests, Reverted, Secret, SecretError, Secrets,
    Sent, StoreError, Stored, Transferred,
};
use iib_request::{Record, RequestId, SecretRef, Task};
use jiff::Timestamp;
use tokio::sync::Notify;

/// What becomes of the call during which the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastCall {
    /// It is never made.
    Lost,
    /// It takes effect, and nobody hears of it.
    Unanswered,
    /// The process does not die but stands still, until [`Crash::wake`]; then it makes the call, and
    /// goes on as if no time had passed.
    Paused,
}

/// The call during which the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The one after so many others.
    After(usize),
    /// The one of this kind (`port.method`) after so many of its kind.
    At(&'static str, usize),
    /// None.
    Never,
}

/// The ports whose calls are counted.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Ports {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// The lines in front of indexes.
    pub lines: Arc<dyn Lines>,
    /// The build logs.
    pub logs: Arc<dyn Logs>,
    /// The artifacts.
    pub artifacts: Arc<dyn Artifacts>,
    /// The secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Image registries.
    pub registries: Arc<dyn Registries>,
    /// Git repositories, if there are any.
    pub repositories: Option<Arc<dyn CatalogRepositories>>,
}

/// Lets calls through, over all ports together, up to one, and none after it. What the process
/// would still do can then reach nothing, as if it were dead.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Crash {
    /// Itself, for what it hands out.
    this: Weak<Self>,
    ports: Ports,
    death: Death,
    last: LastCall,
    life: Mutex<Life>,
    pause: Pause,
}

/// Where a process waits, and on what.
#[derive(Default)]
struct Pause {
    reached: Notify,
    over: Notify,
}

/// What a process did so far.
#[derive(Default)]
struct Life {
    made: Vec<&'static str>,
    died_at: Option<&'static str>,
    was_paused: bool,
}

/// What becomes of a call.
enum Fate {
    Made,
    Unanswered,
    Lost,
    Paused,
}

const DEAD: &str = "the process is dead";

impl Crash {
    /// Ports that die during a call.
    pub fn new(death: Death, last: LastCall, ports: Ports) -> (Ports, Arc<Self>) {
        let crash = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            ports,
            death,
            last,
            life: Mutex::default(),
            pause: Pause::default(),
        });
        let repositories = crash.ports.repositories.clone();
        let repositories = repositories.map(|_| crash.clone() as Arc<dyn CatalogRepositories>);
        let dying = Ports {
            repositories,
            requests: crash.clone(),
            queue: crash.clone(),
            lines: crash.clone(),
            logs: crash.clone(),
            artifacts: crash.clone(),
            secrets: crash.clone(),
            registries: Arc::new(CrashRegistries(crash.clone())),
        };
        (dying, crash)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it would survive a call of any kind.
    pub fn is_alive(&self) -> bool {
        let life = self.life();
        let spent = matches!(self.death, Death::After(calls) if life.made.len() >= calls);
        life.died_at.is_none() && !spent
    }

    /// Whether a call was made that killed it.
    pub fn has_died(&self) -> bool {
        self.died_at().is_some()
    }

    /// The call that killed it, as `port.method`.
    pub fn died_at(&self) -> Option<&'static str> {
        self.life().died_at
    }

    /// The calls that were made while it lived, in their order, as `port.method`.
    pub fn made(&self) -> Vec<&'static str> {
        self.life().made.clone()
    }

    /// Waits until the process stands still.
    pub async fn stands_still(&self) {
        self.pause.reached.notified().await;
    }

    /// Lets a process that stands still go on.
    pub fn wake(&self) {
        self.pause.over.notify_one();
    }

    fn fate(&self, name: &'static str) -> Fate {
        let mut life = self.life();
        if life.died_at.is_some() {
            return Fate::Lost;
        }
        let dies = match self.death {
            Death::After(calls) => life.made.len() >= calls,
            Death::At(call, before) => {
                let of_its_kind = life.made.iter().filter(|made| **made == name);
                call == name && of_its_kind.count() >= before
            }
            Death::Never => false,
        };
        if !dies {
            life.made.push(name);
            return Fate::Made;
        }
        if self.last == LastCall::Paused {
            life.made.push(name);
            return match life.was_paused {
                true => Fate::Made,
                false => {
                    life.was_paused = true;
                    Fate::Paused
                }
            };
        }
        life.died_at = Some(name);
        match self.last {
            LastCall::Unanswered => Fate::Unanswered,
            LastCall::Lost | LastCall::Paused => Fate::Lost,
        }
    }

    /// Makes a call, as far as there is life left.
    async fn call<T, E>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, E>>,
        dead: impl FnOnce() -> E,
    ) -> Result<T, E> {
        match self.fate(name) {
            Fate::Made => return call.await,
            Fate::Paused => {
                self.pause.reached.notify_one();
                self.pause.over.notified().await;
                return call.await;
            }
            Fate::Unanswered => {
                call.await?;
            }
            Fate::Lost => {}
        }
        Err(dead())
    }
}

fn no_store() -> StoreError {
    StoreError::Unavailable {
        action: "answer",
        source: DEAD.into(),
    }
}

fn no_secrets() -> SecretError {
    SecretError::Unavailable {
        action: "answer",
        source: DEAD.into(),
    }
}

fn no_artifacts(key: &ArtifactKey) -> ArtifactError {
    ArtifactError::Unavailable {
        key: key.clone(),
        action: "reached",
        source: DEAD.into(),
    }
}

fn no_registry(what: &impl ToString) -> RegistryError {
    RegistryError::Unavailable {
        registry: "all registries".to_owned(),
        what: what.to_string(),
        attempts: 1,
        waited: Duration::ZERO,
        source: DEAD.into(),
    }
}

#[async_trait]
impl Requests for Crash {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        self.call("requests.create", self.ports.requests.create(new), no_store)
            .await
    }

    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        let made = self.ports.requests.made_by(once);
        self.call("requests.made_by", made, no_store).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.call("requests.get", self.ports.requests.get(id), no_store)
            .await
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        self.call(
            "requests.replace",
            self.ports.requests.replace(record),
            no_store,
        )
        .await
    }
}

#[async_trait]
impl Queue for Crash {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        let dead = || QueueError {
            request_id: task.request_id,
            stage: task.stage,
            source: DEAD.into(),
        };
        self.call("queue.send", self.ports.queue.send(task), dead)
            .await
    }

    async fn check(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.call("queue.check", self.ports.queue.check(), || DEAD.into())
            .await
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let put_off = self.ports.queue.put_off(delivery, delay);
        self.call("queue.put_off", put_off, || DEAD.into()).await
    }
}

#[async_trait]
impl Lines for Crash {
    async fn join(&self, index: &str, id: RequestId) -> Result<(), StoreError> {
        self.call("lines.join", self.ports.lines.join(index, id), no_store)
            .await
    }

    async fn take(&self, index: &str, id: RequestId) -> Result<RequestId, StoreError> {
        self.call("lines.take", self.ports.lines.take(index, id), no_store)
            .await
    }

    async fn leave(&self, index: &str, id: RequestId) -> Result<Option<RequestId>, StoreError> {
        self.call("lines.leave", self.ports.lines.leave(index, id), no_store)
            .await
    }

    async fn note_moved(&self, index: &str, moved: Moved) -> Result<(), StoreError> {
        let noted = self.ports.lines.note_moved(index, moved);
        self.call("lines.note_moved", noted, no_store).await
    }

    async fn of(&self, index: &str) -> Result<Line, StoreError> {
        self.call("lines.of", self.ports.lines.of(index), no_store)
            .await
    }
}

#[async_trait]
impl Artifacts for Crash {
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        let put = self.ports.artifacts.put(key, content);
        self.call("artifacts.put", put, || no_artifacts(key)).await
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let get = self.ports.artifacts.get(key);
        self.call("artifacts.get", get, || no_artifacts(key)).await
    }

    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        let delete = self.ports.artifacts.delete(key);
        self.call("artifacts.delete", delete, || no_artifacts(key))
            .await
    }

    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        let list = self.ports.artifacts.list(root, request, after, limit);
        let dead = || ArtifactError::Unlisted {
            root: root.prefix(),
            source: DEAD.into(),
        };
        self.call("artifacts.list", list, dead).await
    }

    async fn link(&self, key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        let link = self.ports.artifacts.link(key);
        self.call("artifacts.link", link, || no_artifacts(key))
            .await
    }
}

#[async_trait]
impl Logs for Crash {
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        self.call("logs.append", self.ports.logs.append(id, lines), no_store)
            .await
    }

    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        self.call("logs.read", self.ports.logs.read(id), no_store)
            .await
    }

    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        self.call("logs.remove", self.ports.logs.remove(id), no_store)
            .await
    }
}

#[async_trait]
impl Secrets for Crash {
    async fn keep(&self, secret: &Secret, expires: Timestamp) -> Result<SecretRef, SecretError> {
        let keep = self.ports.secrets.keep(secret, expires);
        self.call("secrets.keep", keep, no_secrets).await
    }

    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
        self.call(
            "secrets.read",
            self.ports.secrets.read(reference),
            no_secrets,
        )
        .await
    }

    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError> {
        self.call(
            "secrets.forget",
            self.ports.secrets.forget(reference),
            no_secrets,
        )
        .await
    }
}

fn no_repository() -> RepositoryError {
    RepositoryError::Fetch {
        repository: "all repositories".to_owned(),
        source: DEAD.into(),
        class: Class::Retry,
    }
}

#[async_trait]
impl CatalogRepositories for Crash {
    async fn fetch(
        &self,
        repository: &str,
        branch: &str,
    ) -> Result<Box<dyn CatalogBranch>, RepositoryError> {
        let Some(repositories) = &self.ports.repositories else {
            return Err(no_repository());
        };
        let fetch = repositories.fetch(repository, branch);
        let inner = self
            .call("repositories.fetch", fetch, no_repository)
            .await?;
        let crash = self.this.upgrade().ok_or_else(no_repository)?;
        Ok(Box::new(CrashBranch { crash, inner }))
    }
}

/// A branch whose calls count.
struct CrashBranch {
    crash: Arc<Crash>,
    inner: Box<dyn CatalogBranch>,
}

#[async_trait]
impl CatalogBranch for CrashBranch {
    async fn holds(&mut self, commit: &str) -> Result<bool, RepositoryError> {
        let holds = self.inner.holds(commit);
        self.crash.call("branch.holds", holds, no_repository).await
    }

    async fn commit(&mut self, change: &CatalogUpdate) -> Result<Made, RepositoryError> {
        let commit = self.inner.commit(change);
        self.crash
            .call("branch.commit", commit, no_repository)
            .await
    }

    async fn revert(
        &mut self,
        commit: &str,
        note: &CommitNote,
    ) -> Result<Reverted, RepositoryError> {
        let revert = self.inner.revert(commit, note);
        self.crash
            .call("branch.revert", revert, no_repository)
            .await
    }

    async fn push(&mut self, commit: &str) -> Result<Sent, RepositoryError> {
        let push = self.inner.push(commit);
        self.crash.call("branch.push", push, no_repository).await
    }
}

/// Clients of registries whose calls count.
struct CrashRegistries(Arc<Crash>);

impl Registries for CrashRegistries {
    fn with(&self, keyring: Keyring) -> Arc<dyn Registry> {
        Arc::new(CrashRegistry {
            crash: self.0.clone(),
            inner: self.0.ports.registries.with(keyring),
        })
    }

    fn take_transferred(&self) -> Transferred {
        self.0.ports.registries.take_transferred()
    }
}

struct CrashRegistry {
    crash: Arc<Crash>,
    inner: Arc<dyn Registry>,
}

#[async_trait]
impl Registry for CrashRegistry {
    async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        let manifest = self.inner.manifest(repository, reference);
        self.crash
            .call("registry.manifest", manifest, || no_registry(reference))
            .await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let blob = self.inner.blob(repository, descriptor);
        self.crash
            .call("registry.blob", blob, || no_registry(&descriptor.digest))
            .await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let has = self.inner.has_blob(repository, digest);
        self.crash
            .call("registry.has_blob", has, || no_registry(digest))
            .await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let mount = self.inner.mount_blob(to, from, digest);
        self.crash
            .call("registry.mount_blob", mount, || no_registry(digest))
            .await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        let push = self.inner.push_blob(repository, descriptor, source);
        self.crash
            .call("registry.push_blob", push, || {
                no_registry(&descriptor.digest)
            })
            .await
    }

    async fn tagged(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let look = self.inner.tagged(repository, tag);
        self.crash
            .call("registry.tagged", look, || no_registry(&tag))
            .await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        let push = self.inner.push_manifest(repository, reference, manifest);
        self.crash
            .call("registry.push_manifest", push, || no_registry(reference))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{
        MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRegistries, MemoryRequests,
        MemorySecrets,
    };

    fn ports() -> Ports {
        Ports {
            requests: Arc::new(MemoryRequests::default()),
            queue: Arc::new(MemoryQueue::default()),
            lines: Arc::new(MemoryLines::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: Arc::new(MemoryArtifacts::default()),
            secrets: Arc::new(MemorySecrets::default()),
            registries: Arc::new(MemoryRegistries::default()),
            repositories: None,
        }
    }

    /// Appends and reads in turn, and gives what is there when all is over.
    async fn life(death: Death, last: LastCall) -> (Arc<Crash>, String) {
        let whole = ports();
        let (dying, crash) = Crash::new(death, last, whole.clone());
        for line in ["a", "b", "c"] {
            let _ = dying.logs.append(RequestId(1), &[line.to_owned()]).await;
            let _ = dying.logs.read(RequestId(1)).await;
        }
        let left = whole.logs.read(RequestId(1)).await.unwrap();
        (crash, left.unwrap_or_default())
    }

    #[tokio::test]
    async fn nothing_takes_effect_after_the_call_that_kills() {
        let second = Death::At("logs.append", 1);
        for (death, last, died_at, calls, left) in [
            (Death::Never, LastCall::Lost, None, 6, "a\nb\nc\n"),
            (second, LastCall::Lost, Some("logs.append"), 2, "a\n"),
            (
                second,
                LastCall::Unanswered,
                Some("logs.append"),
                2,
                "a\nb\n",
            ),
            (
                Death::After(2),
                LastCall::Unanswered,
                Some("logs.append"),
                2,
                "a\nb\n",
            ),
            (Death::After(1), LastCall::Lost, Some("logs.read"), 1, "a\n"),
            (
                Death::At("logs.read", 7),
                LastCall::Lost,
                None,
                6,
                "a\nb\nc\n",
            ),
        ] {
            let (crash, found) = life(death, last).await;
            assert_eq!(crash.died_at(), died_at, "{death:?} {last:?}");
            assert_eq!(crash.made().len(), calls, "{death:?} {last:?}");
            assert_eq!(found, left, "{death:?} {last:?}");
        }
    }
}
