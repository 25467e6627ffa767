//! A process that dies between two calls to the world.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use std::time::Duration;

use async_trait::async_trait;
use iib_oci::{Descriptor, Digest, PullSpec, RawManifest, Reference, Repository};
use iib_pipeline::Deps;
use iib_ports::{
    Artifact, ArtifactError, ArtifactKey, ArtifactRoot, Artifacts, BlobSource, BlobStream,
    Bytestream, Created, Delivery, Logs, NewRequest, Page, PageQuery, Queue, QueueError, Registry,
    RegistryError, Requests, Secret, SecretError, Secrets, StoreError, Stored,
};
use iib_request::{Record, RequestId, SecretRef, Task};
use jiff::Timestamp;

/// What becomes of the call during which the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastCall {
    /// It is never made.
    Lost,
    /// It takes effect, and nobody hears of it.
    Unanswered,
}

/// Lets a number of calls through, over all ports together, and none after them. What the
/// process would still do can then reach nothing, as if it were dead.
pub(crate) struct Crash {
    deps: Deps,
    left: AtomicUsize,
    last: AtomicBool,
}

const DEAD: &str = "the process is dead";

impl Crash {
    /// Ports that die during the call that comes after so many others.
    pub(crate) fn after(calls: usize, last: LastCall, deps: &Deps) -> (Deps, Arc<Self>) {
        let crash = Arc::new(Self {
            deps: deps.clone(),
            left: AtomicUsize::new(calls),
            last: AtomicBool::new(last == LastCall::Unanswered),
        });
        let dying = Deps {
            requests: crash.clone(),
            queue: crash.clone(),
            artifacts: crash.clone(),
            logs: crash.clone(),
            secrets: crash.clone(),
            registry: crash.clone(),
            ..deps.clone()
        };
        (dying, crash)
    }

    /// Whether there are calls left.
    pub(crate) fn is_alive(&self) -> bool {
        self.left.load(Ordering::SeqCst) > 0
    }

    /// Makes a call, as far as there is life left.
    async fn call<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        dead: impl FnOnce() -> E,
    ) -> Result<T, E> {
        let step = |left: usize| left.checked_sub(1);
        let alive = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step)
            .is_ok();
        if alive {
            return call.await;
        }
        if self.last.swap(false, Ordering::SeqCst) {
            call.await?;
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
        source: DEAD.into(),
    }
}

#[async_trait]
impl Requests for Crash {
    async fn create(&self, new: NewRequest) -> Result<Created, StoreError> {
        self.call(self.deps.requests.create(new), no_store).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.call(self.deps.requests.get(id), no_store).await
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        self.call(self.deps.requests.replace(record), no_store)
            .await
    }

    async fn list(&self, query: PageQuery) -> Result<Page, StoreError> {
        self.call(self.deps.requests.list(query), no_store).await
    }

    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.call(self.deps.requests.live(after, limit), no_store)
            .await
    }

    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError> {
        let ended = self.deps.requests.ended_before(time, limit);
        self.call(ended, no_store).await
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
        self.call(self.deps.queue.send(task), dead).await
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let put_off = self.deps.queue.put_off(delivery, delay);
        self.call(put_off, || DEAD.into()).await
    }
}

#[async_trait]
impl Artifacts for Crash {
    async fn put(&self, key: &ArtifactKey, content: Bytestream) -> Result<Stored, ArtifactError> {
        let put = self.deps.artifacts.put(key, content);
        self.call(put, || no_artifacts(key)).await
    }

    async fn get(&self, key: &ArtifactKey) -> Result<Bytestream, ArtifactError> {
        let get = self.deps.artifacts.get(key);
        self.call(get, || no_artifacts(key)).await
    }

    async fn delete(&self, key: &ArtifactKey) -> Result<(), ArtifactError> {
        let delete = self.deps.artifacts.delete(key);
        self.call(delete, || no_artifacts(key)).await
    }

    async fn list(
        &self,
        root: ArtifactRoot,
        request: Option<RequestId>,
        after: Option<&ArtifactKey>,
        limit: u32,
    ) -> Result<Vec<Artifact>, ArtifactError> {
        let list = self.deps.artifacts.list(root, request, after, limit);
        let dead = || ArtifactError::Unlisted {
            root: root.prefix(),
            source: DEAD.into(),
        };
        self.call(list, dead).await
    }

    async fn link(&self, key: &ArtifactKey) -> Result<Option<String>, ArtifactError> {
        let link = self.deps.artifacts.link(key);
        self.call(link, || no_artifacts(key)).await
    }
}

#[async_trait]
impl Logs for Crash {
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        self.call(self.deps.logs.append(id, lines), no_store).await
    }

    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        self.call(self.deps.logs.read(id), no_store).await
    }

    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        self.call(self.deps.logs.remove(id), no_store).await
    }
}

#[async_trait]
impl Secrets for Crash {
    async fn keep(&self, secret: &Secret, expires: Timestamp) -> Result<SecretRef, SecretError> {
        let keep = self.deps.secrets.keep(secret, expires);
        self.call(keep, no_secrets).await
    }

    async fn read(&self, reference: &SecretRef) -> Result<Option<Secret>, SecretError> {
        self.call(self.deps.secrets.read(reference), no_secrets)
            .await
    }

    async fn forget(&self, reference: &SecretRef) -> Result<(), SecretError> {
        self.call(self.deps.secrets.forget(reference), no_secrets)
            .await
    }
}

#[async_trait]
impl Registry for Crash {
    async fn manifest(&self, image: &PullSpec) -> Result<RawManifest, RegistryError> {
        let manifest = self.deps.registry.manifest(image);
        self.call(manifest, || no_registry(image)).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let blob = self.deps.registry.blob(repository, descriptor);
        self.call(blob, || no_registry(&descriptor.digest)).await
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let has = self.deps.registry.has_blob(repository, digest);
        self.call(has, || no_registry(digest)).await
    }

    async fn mount_blob(
        &self,
        to: &Repository,
        from: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let mount = self.deps.registry.mount_blob(to, from, digest);
        self.call(mount, || no_registry(digest)).await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
    ) -> Result<(), RegistryError> {
        let push = self.deps.registry.push_blob(repository, descriptor, source);
        self.call(push, || no_registry(&descriptor.digest)).await
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<(), RegistryError> {
        let push = self
            .deps
            .registry
            .push_manifest(repository, reference, manifest);
        self.call(push, || no_registry(reference)).await
    }
}
