//! A request in the hands of a stage.

use std::sync::Arc;
use std::time::Duration;

use iib_ports::{Keyring, Registry, StoreError};
use iib_request::{BundlePlan, IndexPlan, LeaseToken, Plan, Record, RelatedPlan, Update};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::ending::line;
use crate::login;
use crate::stage::leased_until;
use crate::{Deps, StageError, WorkError};

/// How often a change is made anew because somebody else changed the record in between. Each time
/// is a change from outside, of which there are few.
const RACES: u32 = 50;

/// A request while a stage works on it.
pub(crate) struct Job<'a> {
    /// Ports and settings.
    pub(crate) deps: &'a Deps,
    /// The record as it was last written or read by this attempt.
    pub(crate) record: Record,
    /// Whose lease it is.
    pub(crate) token: LeaseToken,
    /// When the work has to be over, and the lease with it.
    pub(crate) deadline: Timestamp,
    /// Lines for the build log that are not written yet.
    pub(crate) lines: Vec<String>,
    /// The client with the logins that came with the request, once it was asked for.
    pub(crate) given: Option<Arc<dyn Registry>>,
}

impl Job<'_> {
    /// Stores a change of the request, tells it and logs it.
    ///
    /// # Errors
    /// Those of [`Job::save`].
    pub(crate) async fn update(&mut self, update: Update) -> Result<(), StageError> {
        self.update_and(update, |_| {}).await
    }

    /// The same with another change of the record in the same write.
    ///
    /// # Errors
    /// Those of [`Job::save`].
    pub(crate) async fn update_and(
        &mut self,
        update: Update,
        change: impl Fn(&mut Record),
    ) -> Result<(), StageError> {
        let stage = self.record.work.stage;
        let now = self.deps.clock.now();
        let new = update.state.as_ref();
        if let Some(new) = new {
            self.lines.push(line(now, stage, &new.state_reason));
        }
        // Whoever sees that a request has ended may read its log, which is whole then.
        if new.is_some_and(|new| new.state.is_final()) {
            self.flush_log().await;
        }
        self.save(|record| {
            record.apply(&update, now);
            change(record);
        })
        .await?;
        if update != Update::default() {
            self.deps.notifier.updated(&self.record, &update).await;
        }
        if update.state.is_some() {
            self.flush_log().await;
        }
        Ok(())
    }

    /// Changes the record. If somebody else has changed it meanwhile, the change is made in what it
    /// is now, as long as the request goes on and the lease is this attempt's: so a change from
    /// outside throws no work away, and is not thrown away by it.
    ///
    /// # Errors
    /// [`StageError::Lost`] if the request has ended, or somebody else works on it;
    /// [`StageError::Store`].
    pub(crate) async fn save(&mut self, change: impl Fn(&mut Record)) -> Result<(), StageError> {
        let mut record = self.record.clone();
        for _ in 0..RACES {
            change(&mut record);
            match self.deps.requests.replace(record).await {
                Ok(saved) => {
                    self.record = saved;
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) => {
                    self.look_again().await?;
                    record = self.record.clone();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict(self.record.id).into())
    }

    /// Renews the lease. To be called right before something outside of the record is changed that
    /// others may change, too: nobody else takes the request over in the time that this takes.
    ///
    /// # Errors
    /// Those of [`Job::save`].
    pub(crate) async fn renew(&mut self) -> Result<(), StageError> {
        let until = leased_until(self.deps.clock.now(), self.deadline);
        self.save(|record| {
            if let Some(lease) = &mut record.work.lease {
                lease.until = until;
            }
        })
        .await
    }

    /// The client for what the request reads, and for the index that it overwrites: with the login that came
    /// with it, where that is for a repository ([`iib_oci::Repository::login_scope`]), else with the
    /// service's own.
    ///
    /// # Errors
    /// Those of [`login::keyring`].
    pub(crate) async fn registry(&mut self) -> Result<Arc<dyn Registry>, StageError> {
        if let Some(registry) = &self.given {
            return Ok(registry.clone());
        }
        let keyring = login::keyring(self.deps, &self.record).await?;
        let registry = match keyring {
            Keyring::Own => self.deps.registry.clone(),
            given @ Keyring::Given(_) => self.deps.registries.with(given),
        };
        self.given = Some(registry.clone());
        Ok(registry)
    }

    /// Reads the record anew, and sees whether this attempt may still change anything.
    async fn look_again(&mut self) -> Result<(), StageError> {
        let found = self.deps.requests.get(self.record.id).await?;
        let ours = found.filter(|record| record.is_worked_on_by(&self.token));
        self.record = ours.ok_or(StageError::Lost)?;
        Ok(())
    }

    /// What pin settled, for a request that makes an index.
    ///
    /// # Errors
    /// [`WorkError::Incomplete`] if there is nothing.
    pub(crate) fn index_plan(&self) -> Result<IndexPlan, WorkError> {
        match &self.record.plan {
            Some(Plan::Index(plan)) => Ok((**plan).clone()),
            Some(Plan::Rollback | Plan::Bundle(_) | Plan::Related(_)) | None => {
                Err(WorkError::Incomplete("pin"))
            }
        }
    }

    /// What pin settled, for a request that makes a bundle anew.
    ///
    /// # Errors
    /// [`WorkError::Incomplete`] if there is nothing.
    pub(crate) fn bundle_plan(&self) -> Result<BundlePlan, WorkError> {
        match &self.record.plan {
            Some(Plan::Bundle(plan)) => Ok((**plan).clone()),
            Some(Plan::Rollback | Plan::Index(_) | Plan::Related(_)) | None => {
                Err(WorkError::Incomplete("pin"))
            }
        }
    }

    /// What pin settled, for a request that looks behind a bundle.
    ///
    /// # Errors
    /// [`WorkError::Incomplete`] if there is nothing.
    pub(crate) fn related_plan(&self) -> Result<RelatedPlan, WorkError> {
        match &self.record.plan {
            Some(Plan::Related(plan)) => Ok(plan.clone()),
            Some(Plan::Rollback | Plan::Index(_) | Plan::Bundle(_)) | None => {
                Err(WorkError::Incomplete("pin"))
            }
        }
    }

    /// A folder for this attempt, which goes with the value.
    ///
    /// # Errors
    /// [`WorkError::Scratch`].
    pub(crate) fn scratch_folder(&self) -> Result<TempDir, WorkError> {
        let folder = self.deps.scratch.begin();
        folder.map_err(|source| WorkError::Scratch {
            action: "created",
            source,
        })
    }

    /// Adds a line to the build log. It is written with the next state, or when the stage ends: a line
    /// is a write, and a change of many bundles has many.
    pub(crate) fn log(&mut self, text: impl AsRef<str>) {
        let (now, stage) = (self.deps.clock.now(), self.record.work.stage);
        self.lines.push(line(now, stage, text.as_ref()));
    }

    /// Writes the lines that are not written yet.
    pub(crate) async fn flush_log(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if !lines.is_empty() {
            self.deps.ending().log(self.record.id, &lines).await;
        }
    }

    /// Gives the lease back after an attempt that failed; the message comes again after `wait`.
    pub(crate) async fn give_back(&mut self, wait: Duration) -> Result<(), StageError> {
        let due = self.deps.clock.now().saturating_add(wait).ok();
        self.save(|record| {
            record.work.lease = None;
            record.work.due = due;
        })
        .await
    }

    /// The same for an attempt that does not count: what it failed for is not the request's.
    pub(crate) async fn give_back_uncounted(&mut self, wait: Duration) -> Result<(), StageError> {
        let due = self.deps.clock.now().saturating_add(wait).ok();
        self.save(|record| {
            record.release();
            record.work.due = due;
        })
        .await
    }
}
