//! How long a crash costs.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use iib_request::{RequestId, Stage};
use iib_testkit::crash::{Death, LastCall};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::json;

use super::Scenarios;
use crate::check;
use crate::drive::{STAGES, dying, invoke, record, submit, total, work};
use crate::platform::{From, Process};
use crate::tally::Tally;

/// Seconds between a crash and the next run of prune, of which there is one each minute: right before
/// a lease is over that was granted at the last moment, and earlier.
const RUNS: [i64; 4] = [59, 39, 20, 1];

/// How a crash can be found: by a lease that is over, or by a message that is due.
const FOUND_BY: [&str; 2] = ["requests.replace", "queue.send"];

/// Within so many seconds somebody else has to have a message.
const SOON: i64 = 120;

impl Scenarios<'_> {
    /// The process dies at each kind of call, and the message that it held does not come back:
    /// within two minutes somebody else has one.
    pub(super) async fn crashes_that_are_found(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let mut found = 0;
        for call in BTreeSet::from_iter(self.calls.iter().copied()) {
            let (first, rest) = RUNS.split_at(1);
            found += usize::from(self.crash(Death::At(call, 0), first[0], tally).await?);
            for (times, run) in rest.iter().enumerate() {
                if FOUND_BY.contains(&call) {
                    let death = Death::At(call, times);
                    found += usize::from(self.crash(death, *run, tally).await?);
                }
            }
        }
        ensure!(found > STAGES.len(), "only {found} crashes");
        Ok(found)
    }

    /// Whether there was anything to be found.
    async fn crash(&self, death: Death, run: i64, tally: &mut Tally) -> anyhow::Result<bool> {
        let when = self.name(&format!("a crash {death:?}, and prune {run} s later"));
        let (process, _) = self.start().await?;
        let before = total(&process).await?;
        let (deps, crash) = dying(&process.deps, death, LastCall::Lost);
        submit(&deps, &self.input.request).await;
        let id = RequestId(total(&process).await?);
        if id.0 == before {
            // The client was told that it has to call again.
            ensure!(crash.has_died(), "{when}: the request is not taken in");
            return Ok(false);
        }
        let held = work(self.platform, &deps, Some(&crash), None).await?.held;
        ensure!(crash.has_died(), "{when}: nothing of that kind was called");
        let goes_on = record(&process.deps, id).await?.work.stage != Stage::Done;
        if goes_on {
            self.is_found(&process, id, run, &when).await?;
        }
        work(self.platform, &process.deps, None, None).await?;
        if let Some((stage, message)) = held {
            // In its own time it comes back, and finds that the request is past its stage.
            let done = invoke(&process.deps, stage, &message).await?;
            ensure!(done, "{when}: the message comes back again");
            self.platform.delete(From::Stage(stage), &message).await?;
        }
        check::complete(tally, &when, &process.deps, id, Some(self.digest)).await?;
        check::all_ended(tally, &when, &process, before + 1).await?;
        Ok(goes_on)
    }

    async fn is_found(
        &self,
        process: &Process,
        id: RequestId,
        first_run: i64,
        when: &str,
    ) -> anyhow::Result<()> {
        let (mut passed, mut wait) = (0, first_run);
        while passed + wait <= SOON {
            self.platform.pass(SignedDuration::from_secs(wait));
            passed += wait;
            let tick = LambdaEvent::new(json!({}), Context::default());
            if iib_prune::handle(&process.prune, tick).await?.resent > 0 {
                return Ok(());
            }
            wait = 60;
        }
        let stage = record(&process.deps, id).await?.work.stage;
        bail!("{when}: after {passed} s nobody works at {stage} of request {id}")
    }
}
