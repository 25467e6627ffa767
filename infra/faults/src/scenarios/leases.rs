//! Messages that come while somebody is at their work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use iib_pipeline::Deps;
use iib_ports::{Logs, StoreError};
use iib_request::RequestId;
use tokio::sync::Notify;

use super::Scenarios;
use crate::check;
use crate::drive::{STAGES, invoke, record, total, work};
use crate::platform::From;
use crate::tally::Tally;

impl Scenarios<'_> {
    /// In the middle of each stage its message comes a second time, and has to wait.
    pub(super) async fn work_under_way(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("work under way");
        let (process, _) = self.start().await?;
        let deps = &process.deps;
        let before = total(&process).await?;
        let id = self.submit(deps).await?;
        for stage in STAGES {
            let message = self.platform.receive(From::Stage(stage)).await?;
            let message = message.with_context(|| format!("no message for {stage}"))?;
            let pausing = Arc::new(Pausing::new(deps.logs.clone()));
            let slow = Deps {
                logs: pausing.clone(),
                ..deps.clone()
            };
            let first = message.clone();
            let working = tokio::spawn(async move { invoke(&slow, stage, &first).await });
            pausing.paused.notified().await;
            let claimed = record(deps, id).await?;
            let done = invoke(deps, stage, &message).await?;
            if done || record(deps, id).await? != claimed {
                tally.duplicated(&format!("{when}: two work on request {id} at {stage}"));
            }
            pausing.go_on.notify_one();
            ensure!(working.await??, "the first one to work at {stage} fails");
            self.platform.delete(From::Stage(stage), &message).await?;
        }
        work(self.platform, deps, None, None).await?;
        check::complete(tally, &when, deps, id, Some(self.digest)).await?;
        check::worked_once(tally, &when, deps, id).await?;
        check::all_ended(tally, &when, &process, before + 1).await?;
        Ok(STAGES.len())
    }
}

/// Logs that wait at the first line, which a stage writes in the middle of its work.
struct Pausing {
    logs: Arc<dyn Logs>,
    begun: AtomicBool,
    paused: Notify,
    go_on: Notify,
}

impl Pausing {
    fn new(logs: Arc<dyn Logs>) -> Self {
        Self {
            logs,
            begun: AtomicBool::new(false),
            paused: Notify::new(),
            go_on: Notify::new(),
        }
    }
}

#[async_trait]
impl Logs for Pausing {
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        if !self.begun.swap(true, Ordering::SeqCst) {
            self.paused.notify_one();
            self.go_on.notified().await;
        }
        self.logs.append(id, lines).await
    }

    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        self.logs.read(id).await
    }

    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        self.logs.remove(id).await
    }
}
