//! The adapters in memory fulfil the contracts.

use std::collections::BTreeMap;
use std::sync::Arc;

use iib_ports::CatalogRepositories;
use iib_testkit::contract;
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRegistry, MemoryRepositories,
    MemoryRequests, MemorySecrets,
};

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_memory_fulfil_the_contract() {
    contract::requests(async || Arc::new(MemoryRequests::default())).await;
    contract::listing(async || Arc::new(MemoryRequests::default())).await;
    contract::outbox(async || Arc::new(MemoryRequests::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_in_memory_fulfil_the_contract() {
    contract::queue(async || {
        let queue = Arc::new(MemoryQueue::default());
        (queue.clone(), queue)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_in_memory_fulfil_the_contract() {
    contract::artifacts(async || Arc::new(MemoryArtifacts::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_memory_fulfil_the_contract() {
    contract::logs(async || Arc::new(MemoryLogs::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_in_memory_fulfils_the_contract() {
    contract::registry(async || {
        let registry = Arc::new(MemoryRegistry::default());
        (registry, "registry.example:5000".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_in_memory_fulfil_the_contract() {
    contract::tags(async || {
        let registry = Arc::new(MemoryRegistry::default());
        (registry, "registry.example:5000".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_memory_fulfil_the_contract() {
    let make = async || Arc::new(MemorySecrets::default());
    contract::secrets(make, jiff::Timestamp::UNIX_EPOCH).await;
}

/// A branch in memory.
struct InMemory(MemoryRepositories);

impl contract::Elsewhere for InMemory {
    fn repositories(&self) -> &dyn CatalogRepositories {
        &self.0
    }

    fn place(&self) -> (&str, &str) {
        ("https://git.example/a.git", "v1")
    }

    fn commit(&self, files: &[(&str, &str)]) {
        let (repository, branch) = self.place();
        self.0.commit(repository, branch, files);
    }

    fn files(&self) -> BTreeMap<String, String> {
        let (repository, branch) = self.place();
        self.0.files(repository, branch)
    }
}

#[tokio::test]
async fn git_repositories_in_memory_fulfil_the_contract() {
    let make = async || {
        let elsewhere = InMemory(MemoryRepositories::default());
        contract::Elsewhere::commit(&elsewhere, &[("README.md", "read me")]);
        elsewhere
    };
    contract::catalog_repositories(make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_memory_fulfil_the_contract() {
    contract::lines(async || Arc::new(MemoryLines::default())).await;
}
