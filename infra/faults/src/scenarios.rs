//! Faults other than kills, each over one platform.

mod crashes;
mod files;
mod leases;
mod losses;
mod messages;
mod swallowing;
mod tags;
mod throttling;

use anyhow::Context as _;
use iib_pipeline::Deps;
use iib_request::RequestId;

use crate::drive::{patiently, start, submit};
use crate::input::Input;
use crate::platform::{Platform, Process};
use crate::tally::Tally;

pub(crate) use throttling::throttled;

/// What all scenarios share.
pub(crate) struct Scenarios<'a> {
    pub(crate) platform: &'a dyn Platform,
    pub(crate) input: &'a Input,
    /// Digest of the list that the request makes.
    pub(crate) digest: &'a str,
    /// The calls of an add that nobody disturbs.
    pub(crate) calls: &'a [&'static str],
}

impl Scenarios<'_> {
    /// Runs all of them; one that goes wrong does not hold up the others.
    pub(crate) async fn run(&self, tally: &mut Tally) {
        let ended = patiently(self.every_message_twice(tally)).await;
        tally.scenario(&self.name("every message twice"), ended);
        let ended = patiently(self.every_message_five_times_at_once(tally)).await;
        tally.scenario(&self.name("every message five times at once"), ended);
        let ended = patiently(self.work_under_way(tally)).await;
        tally.scenario(&self.name("messages while work is under way"), ended);
        let ended = patiently(self.out_of_order(tally)).await;
        tally.scenario(&self.name("messages out of order"), ended);
        let ended = patiently(self.fifty_at_once(tally)).await;
        tally.scenario(&self.name("fifty intakes at once"), ended);
        let ended = patiently(self.crashes_that_are_found(tally)).await;
        tally.scenario(&self.name("crashes that are found"), ended);
        let ended = patiently(self.lost_sends(tally)).await;
        tally.scenario(&self.name("lost sends"), ended);
        let ended = patiently(self.a_message_that_dies(tally)).await;
        tally.scenario(&self.name("a message that dies"), ended);
        let ended = patiently(self.a_poison_message(tally)).await;
        tally.scenario(&self.name("a poison message"), ended);
        let ended = patiently(self.a_moved_tag(tally)).await;
        tally.scenario(&self.name("a moved tag"), ended);
        let ended = patiently(self.a_test_event(tally)).await;
        tally.scenario(&self.name("a test event"), ended);
        let ended = patiently(self.a_truncated_upload(tally)).await;
        tally.scenario(&self.name("a truncated upload"), ended);
        let ended = patiently(self.a_tag_moved_meanwhile(tally)).await;
        tally.scenario(&self.name("a tag moved meanwhile"), ended);
    }

    fn name(&self, scenario: &str) -> String {
        format!("{}: {scenario}", self.platform.name())
    }

    /// A process with an empty repository for results.
    async fn start(&self) -> anyhow::Result<(Process, String)> {
        let repository = self.input.repository();
        let process = start(self.platform, &repository).await?;
        Ok((process, repository))
    }

    /// Has the request taken in.
    async fn submit(&self, deps: &Deps) -> anyhow::Result<RequestId> {
        let id = submit(deps, &self.input.request).await;
        id.context("the request is not taken in")
    }
}
