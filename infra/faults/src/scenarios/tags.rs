//! Build tags that move on.

use anyhow::Context as _;
use iib_request::Task;
use iib_testkit::crash::{Death, LastCall};
use jiff::SignedDuration;

use super::Scenarios;
use crate::check;
use crate::drive::{STAGES, dying, record, start, submit, work};
use crate::input::tag_of;
use crate::platform::From;
use crate::tally::Tally;

impl Scenarios<'_> {
    /// Messages of a finished request come again after another request has moved the tag on.
    pub(super) async fn a_moved_tag(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("a moved tag");
        let (process, repository) = self.start().await?;
        let deps = &process.deps;
        let older = self.submit(deps).await?;
        work(self.platform, deps, None, None).await?;
        check::complete(tally, &when, deps, older, Some(self.digest)).await?;
        let newer = submit(deps, &self.input.other).await;
        let newer = newer.context("the other request is not taken in")?;
        work(self.platform, deps, None, None).await?;
        let digest = check::complete(tally, &when, deps, newer, None).await?;
        let before = record(deps, older).await?;
        for stage in STAGES {
            for _ in 0..2 {
                deps.queue.send(&Task::new(older, stage)).await?;
            }
        }
        work(self.platform, deps, None, None).await?;
        if record(deps, older).await? != before {
            tally.duplicated(&format!("{when}: a finished request changed"));
        }
        let tagged = self.input.named(&tag_of(&repository)).await?;
        if digest.as_deref() != Some(tagged.as_str()) {
            tally.duplicated(&format!("{when}: the tag went back to {tagged}"));
        }
        Ok(1)
    }

    /// A process dies when it has pushed the tag and before that is saved; another request moves
    /// the tag on; then the first one is ended. The tag must not go back.
    pub(super) async fn a_tag_moved_meanwhile(&self, tally: &mut Tally) -> anyhow::Result<usize> {
        let when = self.name("a tag moved while its request was dead");
        const PUSH: &str = "registry.push_manifest";
        let pushes = self.calls.iter().filter(|call| **call == PUSH).count();
        let before = pushes.checked_sub(1).context("an add pushes no manifest")?;
        let (process, repository) = self.start().await?;
        let (deps, crash) = dying(&process.deps, Death::At(PUSH, before), LastCall::Unanswered);
        let older = self.submit(&deps).await?;
        let held = work(self.platform, &deps, Some(&*crash), None).await?.held;
        let (stage, message) = held.context("it did not die")?;
        drop((deps, crash, process));

        let process = start(self.platform, &repository).await?;
        let newer = submit(&process.deps, &self.input.other).await;
        let newer = newer.context("the other request is not taken in")?;
        work(self.platform, &process.deps, None, None).await?;
        let digest = check::complete(tally, &when, &process.deps, newer, None).await?;
        let seconds = i64::from(process.prune.work.stage_timeout_seconds);
        self.platform.pass(SignedDuration::from_secs(seconds + 1));
        self.platform
            .bring_back(From::Stage(stage), &message)
            .await?;
        work(self.platform, &process.deps, None, None).await?;
        check::complete(tally, &when, &process.deps, older, Some(self.digest)).await?;
        let tagged = self.input.named(&tag_of(&repository)).await?;
        // Where what was begun is ended first, the newer request moves the tag after it.
        if digest.as_deref() != Some(tagged.as_str()) {
            tally.duplicated(&format!("{when}: it went back to {tagged}"));
        }
        Ok(1)
    }
}
