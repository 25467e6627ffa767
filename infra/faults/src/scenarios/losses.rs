//! Messages that are lost, that nobody can handle, and that nobody can read.

use std::sync::Arc;

use anyhow::ensure;
use iib_pipeline::Deps;
use iib_request::{Stage, State};
use iib_testkit::crash::{Death, LastCall};

use super::Scenarios;
use super::swallowing::Swallowing;
use crate::check;
use crate::drive::{STAGES, bury, dying, invoke, record, start, sweep, total, work};
use crate::platform::From;
use crate::tally::Tally;

/// More deliveries than any queue gives a message.
const MANY: usize = 200;

impl Scenarios<'_> {
    /// Each of a request's messages is lost once; prune finds it.
    pub(super) async fn lost_sends(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        for lost in 0..STAGES.len() {
            let when = self.name(&format!("send {lost} is lost"));
            let (process, repository) = self.start().await?;
            let before = total(&process).await?;
            let deps = Deps {
                queue: Arc::new(Swallowing::after(lost, process.deps.queue.clone())),
                ..process.deps.clone()
            };
            let id = self.submit(&deps).await?;
            work(self.platform, &deps, None, None).await?;
            let stage = record(&process.deps, id).await?.work.stage;
            ensure!(stage != Stage::Done, "nothing was lost after {lost} sends");
            drop((deps, process));
            let process = start(self.platform, &repository).await?;
            sweep(self.platform, &process).await?;
            work(self.platform, &process.deps, None, None).await?;
            check::complete(tally, &when, &process.deps, id, Some(self.digest)).await?;
            check::all_ended(tally, &when, &process, before + 1).await?;
        }
        Ok(STAGES.len())
    }

    /// A function that cannot even read the record, until the queue gives the message up.
    pub(super) async fn a_message_that_dies(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let (process, _) = self.start().await?;
        let before = total(&process).await?;
        let id = self.submit(&process.deps).await?;
        let stage = From::Stage(Stage::Pin);
        let mut deliveries = 0;
        while let Some(message) = self.platform.receive(stage).await? {
            let (broken, _) = dying(&process.deps, Death::After(0), LastCall::Lost);
            let done = invoke(&broken, Stage::Pin, &message).await?;
            ensure!(!done, "a message is done with that nobody handled");
            self.platform.bring_back(stage, &message).await?;
            deliveries += 1;
            ensure!(deliveries < MANY, "the queue never gives it up");
        }
        let buried = bury(self.platform, &process).await?;
        ensure!(buried == 1, "{buried} dead letters");
        let when = self.name("a message that died");
        let record = record(&process.deps, id).await?;
        if record.state() != State::Failed {
            tally.stuck(&format!("{when}: request {id} goes on"));
        }
        ensure!(
            record.state_reason().contains("could not be handled"),
            "the user reads: {}",
            record.state_reason()
        );
        check::all_ended(tally, &when, &process, before + 1).await?;
        Ok(1)
    }

    /// Messages that nobody can read, before and behind a request's own.
    pub(super) async fn a_poison_message(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("a poison message");
        let (process, _) = self.start().await?;
        let texts = ["nonsense", r#"{"request_id": "x"}"#];
        for stage in STAGES {
            if !self.platform.send_text(stage, texts[0]).await? {
                return Ok(0);
            }
        }
        let before = total(&process).await?;
        let id = self.submit(&process.deps).await?;
        self.platform.send_text(Stage::Pin, texts[1]).await?;
        work(self.platform, &process.deps, None, None).await?;
        check::complete(tally, &when, &process.deps, id, Some(self.digest)).await?;
        check::all_ended(tally, &when, &process, before + 1).await?;
        let buried = bury(self.platform, &process).await?;
        ensure!(buried == STAGES.len() + 1, "{buried} dead letters");
        Ok(1)
    }
}
