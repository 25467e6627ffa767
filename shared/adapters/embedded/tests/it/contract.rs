//! The stores fulfil the contracts of their ports.

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use iib_embedded::{DataFolder, SqliteQueue};
use iib_ports::SystemClock;
use iib_ports::{Clock, Delivery};
use iib_request::{Stage, Task};
use iib_testkit::contract::{self, Inbox};
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::empty_folder;

/// Makes folders and keeps them until the suite is through.
#[derive(Default)]
struct Folders(RefCell<Vec<TempDir>>);

impl Folders {
    fn next(&self) -> DataFolder {
        let (place, folder) = empty_folder();
        self.0.borrow_mut().push(place);
        folder
    }
}

struct Receiver(SqliteQueue);

#[async_trait]
impl Inbox for Receiver {
    async fn take_all(&self, stage: Stage) -> Vec<Task> {
        let visibility = SignedDuration::from_mins(1);
        let received = self.0.receive(stage, 1000, visibility).await.unwrap();
        let mut tasks = Vec::new();
        for message in received {
            assert!(self.0.delete(&message.receipt_handle).await.unwrap());
            tasks.push(serde_json::from_str(&message.body).unwrap());
        }
        tasks
    }

    async fn receive(&self, stage: Stage) -> Option<(Task, Delivery)> {
        let visibility = SignedDuration::from_hours(1);
        let received = self.0.receive(stage, 1, visibility).await.unwrap();
        let message = received.into_iter().next()?;
        let task = serde_json::from_str(&message.body).unwrap();
        let receipt = message.receipt_handle;
        Some((task, Delivery { stage, receipt }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_sqlite_fulfil_the_contract() {
    let folders = Folders::default();
    contract::requests(async || Arc::new(folders.next().requests())).await;
    contract::listing(async || Arc::new(folders.next().requests())).await;
    contract::outbox(async || Arc::new(folders.next().requests().announcing())).await;
    contract::watch(async || {
        let folder = folders.next();
        (Arc::new(folder.requests()), Arc::new(folder.watch(2)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_in_sqlite_fulfil_the_contract() {
    let folders = Folders::default();
    contract::queue(async || {
        let queue = folders.next().queue(Arc::new(SystemClock), 3);
        (Arc::new(queue.clone()), Arc::new(Receiver(queue)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_in_files_fulfil_the_contract() {
    let folders = Folders::default();
    contract::artifacts(async || Arc::new(folders.next().artifacts())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_files_fulfil_the_contract() {
    let folders = Folders::default();
    contract::logs(async || Arc::new(folders.next().logs())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_sqlite_fulfil_the_contract() {
    let folders = Folders::default();
    let make = async || Arc::new(folders.next().secrets(Arc::new(SystemClock)));
    contract::secrets(make, SystemClock.now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_sqlite_fulfil_the_contract() {
    let folders = Folders::default();
    contract::lines(async || Arc::new(folders.next().lines())).await;
}
