//! What was tried and what it came to.

use std::collections::BTreeSet;

use iib_pipeline::Deps;
use iib_ports::{ArtifactKey, ArtifactRoot, PageQuery};
use iib_request::{Record, RequestId, Stage, State};

/// Counts over the whole suite.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Places where a process was killed.
    pub(crate) kill_points: usize,
    /// Other faults.
    pub(crate) faults: usize,
    /// Requests that were taken in and are not there, or did not come to what they should.
    pub(crate) lost: usize,
    /// Requests, states or tags that are there twice, or changed after the end.
    pub(crate) duplicated: usize,
    /// Requests that did not end.
    pub(crate) stuck: usize,
    /// What was wrong, for people.
    pub(crate) complaints: Vec<String>,
}

impl Tally {
    fn lost(&mut self, what: &str) {
        self.lost += 1;
        self.complaints.push(format!("lost: {what}"));
    }

    pub(crate) fn duplicated(&mut self, what: &str) {
        self.duplicated += 1;
        self.complaints.push(format!("duplicated: {what}"));
    }

    /// Checks a request that has to have ended well, with this digest if it is known. Gives the
    /// digest it has.
    pub(crate) async fn check(
        &mut self,
        when: &str,
        deps: &Deps,
        id: RequestId,
        expected: Option<&str>,
    ) -> anyhow::Result<Option<String>> {
        let Some(record) = deps.requests.get(id).await? else {
            self.lost(&format!("{when}: request {id}"));
            return Ok(None);
        };
        if record.stage != Stage::Done {
            self.stuck += 1;
            let complaint = format!("stuck: {when}: request {id} at {}", record.stage);
            self.complaints.push(complaint);
            return Ok(None);
        }
        if record.state() != State::Complete {
            self.lost(&format!("{when}: request {id}: {}", record.state_reason()));
            return Ok(None);
        }
        self.check_history(when, &record);
        self.check_leftovers(when, deps, id).await?;
        let resolved = record.outputs.index_image_resolved.unwrap_or_default();
        let digest = resolved
            .rsplit_once('@')
            .map(|(_, digest)| digest.to_owned());
        if let (Some(expected), Some(digest)) = (expected, &digest)
            && expected != digest
        {
            self.lost(&format!(
                "{when}: request {id} made {digest}, not {expected}"
            ));
        }
        Ok(digest)
    }

    fn check_history(&mut self, when: &str, record: &Record) {
        let told: Vec<_> = record
            .history
            .iter()
            .map(|entry| (entry.state.to_string(), &entry.state_reason))
            .collect();
        if told.iter().collect::<BTreeSet<_>>().len() != told.len() {
            self.duplicated(&format!(
                "{when}: states of request {}: {told:?}",
                record.id
            ));
        }
    }

    /// Nothing is left between the stages, and the log is where it is kept.
    async fn check_leftovers(
        &mut self,
        when: &str,
        deps: &Deps,
        id: RequestId,
    ) -> anyhow::Result<()> {
        let work = deps.artifacts.list(ArtifactRoot::Work, Some(id), None, 10);
        if let Some(left) = work.await?.first() {
            self.duplicated(&format!("{when}: {} is left behind", left.key));
        }
        if deps.artifacts.get(&ArtifactKey::log(id)).await.is_err() {
            self.lost(&format!("{when}: the log of request {id}"));
        }
        if deps.logs.read(id).await?.is_some() {
            self.duplicated(&format!("{when}: the log of request {id} is in two places"));
        }
        Ok(())
    }

    /// Checks that there are so many requests, no more and no fewer, and that all have ended.
    pub(crate) async fn check_total(
        &mut self,
        when: &str,
        deps: &Deps,
        expected: u64,
    ) -> anyhow::Result<()> {
        let first = PageQuery {
            page: 1,
            per_page: 1,
        };
        let total = deps.requests.list(first).await?.total;
        if total > expected {
            self.duplicated(&format!("{when}: {total} requests, not {expected}"));
        }
        if total < expected {
            self.lost(&format!("{when}: {total} requests, not {expected}"));
        }
        for record in deps.requests.live(None, 1000).await? {
            self.stuck += 1;
            let complaint = format!("stuck: {when}: request {} at {}", record.id, record.stage);
            self.complaints.push(complaint);
        }
        Ok(())
    }
}
