//! The adapters in memory fulfil the contracts.

use std::sync::Arc;

use iib_testkit::contract;
use iib_testkit::memory::{MemoryArtifacts, MemoryLogs, MemoryQueue, MemoryRequests};

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_memory_fulfil_the_contract() {
    contract::requests(async || Arc::new(MemoryRequests::default())).await;
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
