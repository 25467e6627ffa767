//! The adapters fulfil the contracts of their ports.

use std::cell::RefCell;
use std::sync::Arc;

use iib_aws::EcrRegistry;
use iib_ports::{Clock as _, SystemClock};
use iib_testkit::contract;

use crate::ecr_client;
use crate::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn requests_in_dynamodb_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::requests(async || stack.requests().await).await;
    contract::listing(async || stack.requests().await).await;
    contract::outbox(async || stack.announcing_requests().await).await;
    contract::watch(async || stack.watched_requests().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn queues_of_sqs_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::queue(async || stack.queue().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn artifacts_in_s3_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::artifacts(async || stack.artifacts().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn logs_in_dynamodb_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::logs(async || stack.logs().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn lines_in_dynamodb_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::lines(async || stack.lines().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn secrets_under_kms_fulfil_the_contract() {
    let stack = Stack::start().await;
    contract::secrets(async || stack.secrets().await, SystemClock.now()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ministack"]
async fn the_registry_of_ecr_fulfils_the_contract() {
    // Its registry has one account only, so every rule gets an emulator of its own.
    let stacks = RefCell::new(Vec::new());
    contract::lenient_registry(async || {
        let stack = Stack::start().await;
        let made = ecr_of(&stack).await;
        stacks.borrow_mut().push(stack);
        made
    })
    .await;
}

/// A client of the emulator's registry, and its host.
async fn ecr_of(stack: &Stack) -> (Arc<EcrRegistry>, String) {
    let host = stack.emulators.host().to_owned();
    let client = ecr_client(stack.clients().await, &host);
    (Arc::new(client), host)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs dynoxide and s3s-fs"]
async fn second_opinion_on_requests() {
    let stack = Stack::of_second_opinions().await;
    contract::requests(async || stack.requests().await).await;
    contract::listing(async || stack.requests().await).await;
    contract::outbox(async || stack.announcing_requests().await).await;
    contract::watch(async || stack.watched_requests().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs dynoxide and s3s-fs"]
async fn second_opinion_on_artifacts() {
    let stack = Stack::of_second_opinions().await;
    contract::artifacts(async || stack.artifacts().await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs dynoxide and s3s-fs"]
async fn second_opinion_on_logs() {
    let stack = Stack::of_second_opinions().await;
    contract::logs(async || stack.logs().await).await;
}
