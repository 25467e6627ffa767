//! Messages twice, at once, out of order; calls at once.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use iib_request::{RequestId, Stage, Task};
use tokio::sync::Barrier;

use super::Scenarios;
use crate::check;
use crate::drive::{STAGES, invoke, start, submit, total, work};
use crate::platform::{From, Message, Process};
use crate::tally::Tally;

/// How many receive a message at the same time.
const AT_ONCE: usize = 5;

/// How many call at the same time.
const CALLS: u64 = 50;

/// Rounds over all queues after which messages breed.
const ROUNDS: usize = 20;

impl Scenarios<'_> {
    pub(super) async fn every_message_twice(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let (process, _) = self.start().await?;
        let twice = async |stage, message: Message| {
            let first = invoke(&process.deps, stage, &message).await?;
            Ok(first && invoke(&process.deps, stage, &message).await?)
        };
        self.handed(&process, "messages twice", tally, twice).await
    }

    pub(super) async fn every_message_five_times_at_once(
        &self,
        tally: &mut Tally,
    ) -> anyhow::Result<usize> {
        let (process, _) = self.start().await?;
        let at_once = async |stage, message: Message| {
            let handlers = (0..AT_ONCE).map(|_| {
                let (deps, message) = (process.deps.clone(), message.clone());
                tokio::spawn(async move { invoke(&deps, stage, &message).await })
            });
            let mut done = true;
            for handler in try_join_all(handlers).await? {
                done &= handler?;
            }
            Ok(done)
        };
        self.handed(&process, "messages at once", tally, at_once)
            .await
    }

    /// Runs a request whose messages are handed to the functions in this way.
    async fn handed(
        &self,
        process: &Process,
        when: &str,
        tally: &mut Tally,
        hand: impl AsyncFn(Stage, Message) -> anyhow::Result<bool>,
    ) -> anyhow::Result<usize> {
        let (deps, when) = (&process.deps, self.name(when));
        let before = total(process).await?;
        let id = self.submit(deps).await?;
        let (mut idle, mut rounds) = (false, 0);
        while !idle {
            rounds += 1;
            ensure!(rounds < ROUNDS, "messages breed");
            idle = true;
            for stage in STAGES {
                // Those that are there now: a copy may send another message to this very queue.
                let mut waiting = Vec::new();
                while let Some(message) = self.platform.receive(From::Stage(stage)).await? {
                    waiting.push(message);
                }
                for message in waiting {
                    idle = false;
                    let from = From::Stage(stage);
                    if hand(stage, message.clone()).await? {
                        self.platform.delete(from, &message).await?;
                    } else {
                        self.platform.bring_back(from, &message).await?;
                    }
                }
            }
        }
        check::complete(tally, &when, deps, id, Some(self.digest)).await?;
        check::worked_once(tally, &when, deps, id).await?;
        check::all_ended(tally, &when, process, before + 1).await?;
        Ok(1)
    }

    /// Messages of later stages before the work they are about, and of earlier stages after it.
    pub(super) async fn out_of_order(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("messages out of order");
        let (process, _) = self.start().await?;
        let deps = &process.deps;
        let before = total(&process).await?;
        let first = self.submit(deps).await?;
        let second = self.submit(deps).await?;
        let mut rounds = 0;
        while !process.prune.sweeps.live(None, 1).await?.is_empty() {
            rounds += 1;
            ensure!(rounds < ROUNDS, "messages breed");
            for id in [second, first] {
                for stage in STAGES {
                    deps.queue.send(&Task::new(id, stage)).await?;
                }
            }
            for stage in STAGES.into_iter().rev() {
                let mut waiting = Vec::new();
                while let Some(message) = self.platform.receive(From::Stage(stage)).await? {
                    waiting.push(message);
                }
                for message in waiting.into_iter().rev() {
                    ensure!(invoke(deps, stage, &message).await?, "{message:?}");
                    self.platform.delete(From::Stage(stage), &message).await?;
                }
            }
        }
        work(self.platform, deps, None, None).await?;
        for id in [first, second] {
            check::complete(tally, &when, deps, id, Some(self.digest)).await?;
        }
        check::all_ended(tally, &when, &process, before + 2).await?;
        Ok(1)
    }

    /// Calls at the same time, each at a function of its own where there can be several.
    pub(super) async fn fifty_at_once(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("fifty at once");
        let (process, repository) = self.start().await?;
        let before = total(&process).await?;
        let mut functions = Vec::new();
        for _ in 0..CALLS {
            functions.push(match self.platform.has_many_processes() {
                true => start(self.platform, &repository).await?.deps,
                false => process.deps.clone(),
            });
        }
        // Setting them up takes longer than a call, so they have to wait for one another.
        let begin = Arc::new(Barrier::new(functions.len()));
        let calls = functions.into_iter().map(|deps| {
            let (request, begin) = (self.input.request.clone(), begin.clone());
            tokio::spawn(async move {
                begin.wait().await;
                submit(&deps, &request).await
            })
        });
        let mut numbers = Vec::new();
        for id in try_join_all(calls).await? {
            numbers.push(id.context("one was refused")?.0);
        }
        numbers.sort_unstable();
        let dense: Vec<u64> = (before + 1..=before + CALLS).collect();
        if numbers != dense {
            tally.duplicated(&format!("{when}: {numbers:?}"));
        }
        work(self.platform, &process.deps, None, None).await?;
        for number in numbers {
            let (deps, id) = (&process.deps, RequestId(number));
            check::complete(tally, &when, deps, id, Some(self.digest)).await?;
        }
        check::all_ended(tally, &when, &process, before + CALLS).await?;
        Ok(1)
    }
}
