//! How long a crash costs.

use std::collections::BTreeSet;

use anyhow::ensure;
use iib_request::{RequestId, Stage};
use iib_testkit::crash::{Death, LastCall};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::json;

use super::Scenarios;
use crate::check;
use crate::drive::{STAGES, dying, invoke, record, total, work};
use crate::platform::{From, Process};
use crate::tally::Tally;

/// When prune runs after the crash, seconds between the runs. The first comes right before a lease
/// is over that was granted at the last moment: later a crash cannot be found.
const RUNS: [i64; 2] = [59, 60];

impl Scenarios<'_> {
    /// The process dies at each kind of call, and the message that it held does not come back:
    /// within two minutes somebody else has one.
    pub(super) async fn crashes_that_are_found(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let mut found = 0;
        for call in BTreeSet::from_iter(self.calls.iter().copied()) {
            let when = self.name(&format!("a crash at {call}"));
            let (process, _) = self.start().await?;
            let before = total(&process).await?;
            let id = self.submit(&process.deps).await?;
            let (deps, crash) = dying(&process.deps, Death::At(call, 0), LastCall::Lost);
            let held = work(self.platform, &deps, Some(&crash)).await?.held;
            let stage = record(&process.deps, id).await?.work.stage;
            if stage != Stage::Done {
                ensure!(crash.has_died(), "{when}: request {id} stands at {stage}");
                self.is_found(&process, id, &when).await?;
                found += 1;
            }
            work(self.platform, &process.deps, None).await?;
            if let Some((stage, message)) = held {
                // In its own time it comes back, and finds that the request is past its stage.
                let done = invoke(&process.deps, stage, &message).await?;
                ensure!(done, "{when}: the message comes back again");
                self.platform.delete(From::Stage(stage), &message).await?;
            }
            check::complete(tally, &when, &process.deps, id, Some(self.digest)).await?;
            check::all_ended(tally, &when, &process, before + 1).await?;
        }
        ensure!(found > STAGES.len(), "only {found} crashes");
        Ok(found)
    }

    async fn is_found(&self, process: &Process, id: RequestId, when: &str) -> anyhow::Result<()> {
        let mut passed = 0;
        for seconds in RUNS {
            self.platform.pass(SignedDuration::from_secs(seconds));
            passed += seconds;
            let tick = LambdaEvent::new(json!({}), Context::default());
            if iib_prune::handle(&process.prune, tick).await?.resent > 0 {
                return Ok(());
            }
        }
        let stage = record(&process.deps, id).await?.work.stage;
        anyhow::bail!("{when}: {passed} s later nobody works at {stage} of request {id}")
    }
}
