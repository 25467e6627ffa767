//! The record of a request: the truth about it.

use std::collections::BTreeMap;

use iib_oci::{Arch, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AddRequest, BatchId, Built, Outcome, Plan, RequestId, Scope, SecretRef, Stage, State,
    StateEntry, Transition, Update,
};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request_type", rename_all = "kebab-case")]
pub enum Kind {
    /// Add bundles to an index.
    Add(AddRequest),
}

impl Kind {
    /// The name the API uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
        }
    }
}

/// What became known about a request on the way; shown by the API as it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Architectures of the result.
    pub arches: Vec<Arch>,
    /// The binary image used, as written by the user or the settings.
    pub binary_image: Option<String>,
    /// The same, pinned.
    pub binary_image_resolved: Option<String>,
    /// `from_index`, pinned.
    pub from_index_resolved: Option<String>,
    /// Bundles of the request by package.
    pub bundle_mapping: BTreeMap<String, Vec<String>>,
    /// The settled scope.
    pub distribution_scope: Option<Scope>,
    /// The result.
    pub index_image: Option<String>,
    /// The result, pinned.
    pub index_image_resolved: Option<String>,
    /// The result under the service's own name.
    pub internal_index_image_copy: Option<String>,
    /// The same, pinned.
    pub internal_index_image_copy_resolved: Option<String>,
}

/// Everything the service knows about a request.
///
/// It is changed by conditional writes on `version` only: whoever read an older version loses
/// and looks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the request.
    pub id: RequestId,
    /// Number of its batch.
    pub batch: BatchId,
    /// Who asked, if known.
    pub user: Option<String>,
    /// What is asked for.
    pub kind: Kind,
    /// Where it stands.
    pub stage: Stage,
    /// How often the present stage was begun, stops of the service not counted.
    pub attempts: u32,
    /// How often the service stopped in the middle of the present stage.
    #[serde(default)]
    pub interruptions: u32,
    /// Until when somebody works on it.
    pub leased_until: Option<Timestamp>,
    /// Counts the writes; 1 for a new record.
    pub version: u64,
    /// States, oldest first; never empty.
    pub history: Vec<StateEntry>,
    /// What became known on the way.
    pub outputs: Outputs,
    /// What pin settled.
    pub plan: Option<Plan>,
    /// What mutate made.
    pub built: Option<Built>,
    /// What each build tag named before push moved the first of them, if anything: an attempt that
    /// comes after another one leaves a tag alone that somebody else has moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_before: Option<BTreeMap<String, Option<Digest>>>,
    /// Secrets that came with it, by what they are for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Whether its log, uploads and intermediate tags are gone, as the settings say they will be.
    #[serde(default)]
    pub data_removed: bool,
}

impl Record {
    /// A new request (spec rest-api §3).
    pub fn new(
        id: RequestId,
        batch: BatchId,
        user: Option<String>,
        kind: Kind,
        now: Timestamp,
    ) -> Self {
        let outputs = match &kind {
            Kind::Add(add) => Outputs {
                binary_image: add.binary_image.clone(),
                distribution_scope: add.distribution_scope,
                ..Outputs::default()
            },
        };
        Self {
            id,
            batch,
            user,
            kind,
            stage: Stage::Queued,
            attempts: 0,
            interruptions: 0,
            leased_until: None,
            version: 1,
            history: vec![StateEntry {
                state: State::InProgress,
                state_reason: "The request was initiated".to_owned(),
                updated: now,
            }],
            outputs,
            plan: None,
            built: None,
            tags_before: None,
            secrets: BTreeMap::new(),
            data_removed: false,
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

    /// When the latest state began.
    pub fn updated(&self) -> Timestamp {
        self.history
            .last()
            .map_or(Timestamp::UNIX_EPOCH, |entry| entry.updated)
    }

    /// Takes in a change. A final state stays (spec rest-api §6), and a state that repeats the
    /// latest one with the same reason is not recorded twice, so that a stage which runs again
    /// leaves the same history.
    pub fn apply(&mut self, update: &Update, now: Timestamp) {
        fn set<T: Clone>(field: &mut Option<T>, value: &Option<T>) {
            if value.is_some() {
                field.clone_from(value);
            }
        }
        let out = &mut self.outputs;
        if let Some(arches) = &update.arches {
            out.arches.clone_from(arches);
            out.arches.sort();
        }
        if let Some(mapping) = &update.bundle_mapping {
            out.bundle_mapping.clone_from(mapping);
        }
        set(&mut out.binary_image, &update.binary_image);
        set(
            &mut out.binary_image_resolved,
            &update.binary_image_resolved,
        );
        set(&mut out.from_index_resolved, &update.from_index_resolved);
        set(&mut out.distribution_scope, &update.distribution_scope);
        set(&mut out.index_image, &update.index_image);
        set(&mut out.index_image_resolved, &update.index_image_resolved);
        set(
            &mut out.internal_index_image_copy,
            &update.internal_index_image_copy,
        );
        set(
            &mut out.internal_index_image_copy_resolved,
            &update.internal_index_image_copy_resolved,
        );
        let Some(state) = update.state else { return };
        let reason = update.state_reason.clone().unwrap_or_default();
        let repeated = self
            .history
            .iter()
            .any(|e| e.state == state && e.state_reason == reason);
        if !self.state().is_final() && !repeated {
            self.history.push(StateEntry {
                state,
                state_reason: reason,
                updated: now,
            });
        }
    }

    /// Ends the work of the present stage: on to the next one, or to the end. The lease is
    /// given back and attempts count anew.
    pub fn conclude(&mut self, outcome: Outcome) -> Transition {
        let transition = self.stage.next(outcome);
        match transition {
            Transition::To(stage) => self.stage = stage,
            Transition::Finish(_) => self.stage = Stage::Done,
            Transition::Ended => return transition,
        }
        self.attempts = 0;
        self.interruptions = 0;
        self.leased_until = None;
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
        if self.leased_until.take().is_some() {
            self.attempts = self.attempts.saturating_sub(1);
            self.interruptions = self.interruptions.saturating_add(1);
        }
    }
}
