//! The record of a request: the truth about it.

pub(crate) mod format;

use std::collections::{BTreeMap, BTreeSet};

use iib_oci::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Annotations, BaseUrl, BatchId, Built, Facts, LeaseToken, Outcome, Plan, Request, RequestId,
    SecretRef, Stage, State, StateEntry, Task, TraceParent, Transition, Unknown, Update, Work,
};

pub use format::RecordError;

/// Everything the service knows about a request.
///
/// It is changed by conditional writes on `version` only: whoever read an older version loses
/// and looks again. As text it is read and written by [`Record::from_stored`] and
/// [`Record::to_stored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format it is written in: the oldest that can say what it says.
    pub format: u32,
    /// Number of the request.
    pub id: RequestId,
    /// Number of its batch.
    pub batch: BatchId,
    /// Who asked, if known.
    #[serde(default)]
    pub user: Option<String>,
    /// The address under which it was asked for; URLs that are not in an answer begin with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<BaseUrl>,
    /// The queue that the settings have for it; none: the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// What was noted on its batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// The requests of its batch, if there are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siblings: Option<Siblings>,
    /// What is asked for.
    pub request: Request,
    /// Whether it is only to be seen what it would do: it ends before anything is pushed, waits for no turn, and nobody
    /// is told of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_dry_run: bool,
    /// Whether it ended because somebody cancelled it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cancelled: bool,
    /// Requests that wait for its result, to be told when it has ended.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub followers: BTreeSet<RequestId>,
    /// Where the work stands.
    pub work: Work,
    /// Counts the writes; 1 for a new record.
    pub version: u64,
    /// States, oldest first; never empty.
    #[serde(default)]
    pub history: Vec<StateEntry>,
    /// What became known on the way.
    #[serde(default)]
    pub facts: Facts,
    /// What pin settled.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// What mutate made.
    #[serde(default)]
    pub built: Option<Built>,
    /// What each build tag named before push moved the first of them, if anything: an attempt that
    /// comes after another one leaves a tag alone that somebody else has moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_before: Option<BTreeMap<String, Option<Digest>>>,
    /// What the tag with its number was made to name, in any round of work; noted before it is moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Digest>,
    /// What became of the index whose place the result takes; noted right before its tag moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwritten: Option<Overwritten>,
    /// What was committed to the Git repository of that index; noted before it is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Committed>,
    /// Secrets that came with it, by what they are for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// What the call said that asked for it under a key, as a digest; its secrets are not in it. Who asks again
    /// under that key has to say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<Digest>,
    /// The place in a trace that the work on it goes on from, whatever stage it is at.
    #[serde(
        default,
        deserialize_with = "TraceParent::if_it_is_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub traceparent: Option<TraceParent>,
    /// Whether its log, uploads and intermediate tags are gone, as the settings say they will be.
    #[serde(default)]
    pub data_removed: bool,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A tag that was moved to a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwritten {
    /// The pull spec with the tag.
    pub index: String,
    /// What it named before.
    pub replaced: Digest,
    /// What it names from then on.
    pub result: Digest,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A commit with the packages that a request changed, in the Git repository of its index. It counts for nothing once the
/// request is complete; else it is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The repository.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// The commit that takes it back; noted before it is pushed, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back_by: Option<String>,
    /// Whether nothing is left to be done about it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_settled: bool,
    /// How often it was left to the reader of the dead letters.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dead_letters: u32,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over references"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over references"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The requests of a batch: their numbers follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Siblings {
    /// The number of the first.
    pub first: RequestId,
    /// How many there are.
    pub count: u64,
}

impl Siblings {
    /// Their numbers, in order.
    pub fn ids(self) -> impl Iterator<Item = RequestId> {
        let Self { first, count } = self;
        (first.0..first.0.saturating_add(count)).map(RequestId)
    }
}

impl Record {
    /// Takes in what pin settled.
    pub fn set_plan(&mut self, plan: Plan) {
        self.format = self.format.max(plan.format());
        self.plan = Some(plan);
    }

    /// The same request, of which it is only to be seen what it would do.
    #[must_use]
    pub fn as_dry_run(self) -> Self {
        Self {
            format: self.format.max(format::WITH_DRY_RUNS),
            is_dry_run: true,
            ..self
        }
    }

    /// A new request (spec rest-api §3).
    pub fn new(
        id: RequestId,
        batch: BatchId,
        user: Option<String>,
        request: Request,
        now: Timestamp,
    ) -> Self {
        let facts = request.first_facts();
        Self {
            format: request.format(),
            id,
            batch,
            user,
            asked_at: None,
            queue: None,
            annotations: None,
            siblings: None,
            request,
            is_dry_run: false,
            is_cancelled: false,
            followers: BTreeSet::new(),
            work: Work::queued(),
            version: 1,
            history: vec![StateEntry {
                state: State::InProgress,
                state_reason: "The request was initiated".to_owned(),
                updated: now,
                version: Some(1),
                unknown: Unknown::default(),
            }],
            facts,
            plan: None,
            built: None,
            tags_before: None,
            results: Vec::new(),
            overwritten: None,
            committed: None,
            secrets: BTreeMap::new(),
            asked_for: None,
            traceparent: None,
            data_removed: false,
            unknown: Unknown::default(),
        }
    }

    /// The message that asks for the work of a stage on it. Those of one queue, else of one user, take
    /// turns with those of others.
    pub fn task(&self, stage: Stage) -> Task {
        let group = self.queue.as_ref().or(self.user.as_ref());
        Task {
            group: group.cloned(),
            traceparent: self.traceparent.clone(),
            ..Task::new(self.id, stage)
        }
    }

    /// The state users see.
    pub fn state(&self) -> State {
        self.history
            .last()
            .map_or(State::InProgress, |entry| entry.state)
    }

    /// The latest reason.
    pub fn state_reason(&self) -> &str {
        self.history.last().map_or("", |entry| &entry.state_reason)
    }

    /// When it was asked for.
    pub fn began(&self) -> Timestamp {
        self.history
            .first()
            .map_or(Timestamp::UNIX_EPOCH, |entry| entry.updated)
    }

    /// What of it stands in a Git repository and has to go, because the request did not come to its end.
    pub fn left_in_git(&self) -> Option<&Committed> {
        let is_left = self.work.stage == Stage::Done && self.state() != State::Complete;
        let committed = self.committed.as_ref().filter(|_| is_left);
        committed.filter(|committed| !committed.is_settled)
    }

    /// When it was asked for.
    pub fn created(&self) -> Timestamp {
        self.history
            .first()
            .map_or(Timestamp::UNIX_EPOCH, |entry| entry.updated)
    }

    /// When the latest state began.
    pub fn updated(&self) -> Timestamp {
        self.history
            .last()
            .map_or(Timestamp::UNIX_EPOCH, |entry| entry.updated)
    }

    /// Since when, or from when on, somebody should work on it, if nobody does. An older version notes
    /// no more than the states.
    pub fn due(&self) -> Timestamp {
        self.work.due.unwrap_or_default().max(self.updated())
    }

    /// The requests of its batch, itself among them.
    pub fn batch_mates(&self) -> Siblings {
        self.siblings.unwrap_or(Siblings {
            first: self.id,
            count: 1,
        })
    }

    /// Whether the write that made this version gave it a state that others are told of.
    pub fn has_news(&self) -> bool {
        let latest = self.history.last().and_then(|entry| entry.version);
        !self.is_dry_run && latest == Some(self.version)
    }

    /// The index whose place the result takes: the tag that is moved.
    pub fn overwritten_index(&self) -> Option<&str> {
        self.request.overwritten().filter(|_| !self.is_dry_run)
    }

    /// How the present stage has ended once its work is done.
    pub fn after_work(&self) -> Outcome {
        match (self.is_dry_run, self.work.stage) {
            (true, Stage::Mutate) => Outcome::Shown,
            _ => Outcome::Completed,
        }
    }

    /// The images that it uses in any role, which is what a listing calls seen (spec rest-api §7).
    pub fn images(&self) -> BTreeSet<&str> {
        let named = self.request.images().into_iter().map(|(_, image)| image);
        named.chain(self.facts.images()).collect()
    }

    /// Takes in a change. A final state stays (spec rest-api §6), and a state that came in this round
    /// of work with the same reason is not recorded twice, so that a stage which runs again leaves
    /// the same history.
    pub fn apply(&mut self, update: &Update, now: Timestamp) {
        self.facts.merge(&update.facts);
        let Some(new) = &update.state else { return };
        let repeated = self
            .history
            .iter()
            .skip(self.work.round_from)
            .any(|entry| entry.state == new.state && entry.state_reason == new.state_reason);
        if !self.state().is_final() && !repeated {
            self.history.push(StateEntry {
                state: new.state,
                state_reason: new.state_reason.clone(),
                // Somebody else may have noted something later.
                updated: now.max(self.updated()),
                version: Some(self.version + 1),
                unknown: Unknown::default(),
            });
        }
    }

    /// Ends the work of the present stage: on to the next one, to the first one again, or to the
    /// end. The lease is given back and attempts count anew. What a round has settled and made that
    /// begins anew does not count any more; its artifacts go when the request ends.
    pub fn conclude(&mut self, outcome: Outcome) -> Transition {
        let transition = self.work.stage.next(outcome);
        match transition {
            Transition::To(stage) => self.work.stage = stage,
            Transition::Finish(_) => self.work.stage = Stage::Done,
            Transition::Ended => return transition,
        }
        if outcome == Outcome::Rebase {
            self.work.rebases += 1;
            self.work.repeats += 1;
            self.work.round_from = self.history.len();
            self.plan = None;
            self.built = None;
            self.tags_before = None;
            self.overwritten = None;
        }
        self.work.attempts = 0;
        self.work.interruptions = 0;
        self.work.lease = None;
        transition
    }

    /// Ends the request in `failed` with this reason.
    pub fn fail(&mut self, reason: impl Into<String>, now: Timestamp) {
        self.apply(&Update::state(State::Failed, reason), now);
        self.conclude(Outcome::Rejected);
    }

    /// Gives a lease back without counting the attempt: the service was stopped, the request is
    /// not to blame.
    pub fn release(&mut self) {
        let work = &mut self.work;
        if work.lease.take().is_some() {
            work.attempts = work.attempts.saturating_sub(1);
            work.interruptions = work.interruptions.saturating_add(1);
        }
    }

    /// Whether this attempt may still write: the lease is its own, and the request goes on.
    pub fn is_worked_on_by(&self, token: &LeaseToken) -> bool {
        self.work.is_held_by(token) && !self.state().is_final()
    }
}
