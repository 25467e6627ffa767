//! Taking in requests, and what became of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, TryFutureExt};
use iib_oci::hosts::HostRules;
use iib_oci::{Digest, Repository};
use iib_ports::{
    ArtifactError, ArtifactKey, Artifacts, Class, Classify, Clock, Figures, Lines, Logs, Notifier,
    OperatorStore, Queue, QueueError, Registry, Requests, SecretError, Secrets, StoreError, Traces,
    Waited, Watch, chain,
};
use iib_request::{
    ApiSettings, BinaryImages, NotCancelled, Record, Refusal, RequestId, RequestSettings,
};
use tokio::sync::Mutex;

use crate::{Deps, line};

mod cancel;
mod changes;
mod documents;
mod key;
mod listing;
mod log;
mod patch;
mod report;
mod submit;
mod uploads;

pub use cancel::cancel;
pub use changes::{RequestDiff, changes, diff, graph, plan, report};
pub use documents::{Document, deprecation_schema, document};
pub use key::{Key, KeyError};
pub use listing::{check_live, list, older, operators_of};
pub use log::{LogContent, LogPart, is_cut, logs};
pub use patch::patch;
pub use submit::{Asker, Schedule, Submission, read, read_rollback, repeated, submit, submit_all};
pub use uploads::{Upload, UploadContent, upload, uploads};

/// What intake works with: fewer ports than [`Deps`] has. Taking a request in needs neither a
/// registry nor an index database, and cannot reach one from here.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct IntakeDeps {
    /// The store of requests.
    pub requests: Arc<dyn Requests>,
    /// The operators of bundles.
    pub operators: Arc<dyn OperatorStore>,
    /// The queues in front of the stages.
    pub queue: Arc<dyn Queue>,
    /// Whose turn it is to overwrite an index.
    pub lines: Arc<dyn Lines>,
    /// The build logs of requests that go on.
    pub logs: Arc<dyn Logs>,
    /// The build logs of requests that have ended, and what those changed.
    pub artifacts: Arc<dyn Artifacts>,
    /// Secrets that come with requests.
    pub secrets: Arc<dyn Secrets>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told about changes.
    pub notifier: Arc<dyn Notifier>,
    /// Where figures go.
    pub figures: Arc<dyn Figures>,
    /// In which trace something is done.
    pub traces: Arc<dyn Traces>,
    /// Settings of the API.
    pub api: ApiSettings,
    /// Settings of new requests.
    pub new: RequestSettings,
    /// Binary images by scope and version; makes `binary_image` optional in requests.
    pub binary_images: BinaryImages,
    /// Which hosts images may be at.
    pub hosts: HostRules,
    /// Where results go, if that can be reached from here.
    pub results: Option<Results>,
}

/// Where results go.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Results {
    registry: Arc<dyn Registry>,
    repository: Repository,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// How the registry answered when it was asked last, and when that was.
struct Seen {
    at: Instant,
    answer: Result<(), String>,
}

impl From<Deps> for IntakeDeps {
    fn from(deps: Deps) -> Self {
        let output = deps.work.output("1").ok();
        let results = output.map(|output| Results {
            registry: deps.registry,
            repository: output.repository().clone(),
            seen: Arc::default(),
        });
        Self {
            results,
            requests: deps.requests,
            operators: deps.operators,
            queue: deps.queue,
            lines: deps.lines,
            logs: deps.logs,
            artifacts: deps.artifacts,
            secrets: deps.secrets,
            clock: deps.clock,
            notifier: deps.notifier,
            figures: deps.figures,
            traces: deps.traces,
            api: deps.api,
            new: deps.new,
            binary_images: deps.work.binary_images,
            hosts: deps.hosts,
        }
    }
}

/// What there is of a request only when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Its whole log.
    Logs,
    /// The bundles that its bundle refers to.
    RelatedBundles,
    /// The bundles behind its bundle.
    NestedBundles,
    /// What was settled for it.
    Plan,
    /// What it changed.
    Diff,
    /// The graph of a package.
    Graph,
}

impl fmt::Display for Offer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Logs => "logs",
            Self::RelatedBundles => "related_bundles",
            Self::NestedBundles => "nested_bundles",
            Self::Plan => "plan",
            Self::Diff => "diff",
            Self::Graph => "graph",
        })
    }
}

/// Why a call could not be served. `Display` is what the user reads, but for those that a store
/// is to blame for.
/// Not `non_exhaustive`: the API gives every variant its status by an exhaustive match.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// There is no such request.
    #[error("The requested resource was not found")]
    NotFound(RequestId),
    /// It is there only when the request has ended (spec rest-api §9).
    #[error(
        "The request {0} is not complete yet. {1} will be available once the request is complete."
    )]
    NotFinished(RequestId, Offer),
    /// Its images are not resolved yet.
    #[error("The request {0} has no plan yet: it has one once its images are resolved")]
    NotPlanned(RequestId),
    /// A request that failed changed nothing.
    #[error("The request {0} failed and made nothing, so it has no {1}: its logs say why")]
    Failed(RequestId, Offer),
    /// The request was completed by a version that kept no such thing, or somebody removed it.
    #[error(
        "The request {0} has no {1}: an older version of this service completed it, or it was \
         removed; what it made is in the registry"
    )]
    NeverKept(RequestId, Offer),
    /// The request changed no catalog: it only moved a tag.
    #[error(
        "The request {0} put back what an index named before, so it has no {1}: see the request that it rolled back"
    )]
    PutBack(RequestId, Offer),
    /// Requests of its kind have no such thing.
    #[error("The request {0} changes no catalog, so it has no {1}")]
    NoCatalog(RequestId, Offer),
    /// The request added no bundles, so no package is its own.
    #[error(
        "The request {0} names no bundles, so there is no package to draw: `iib catalog graph` draws those of its index"
    )]
    NoPackages(RequestId),
    /// Which package is meant has to be said.
    #[error(
        "\"package\" is missing: the bundles of the request {id} are in several packages: {}",
        packages.join(", ")
    )]
    SeveralPackages {
        /// The request.
        id: RequestId,
        /// The packages of its bundles.
        packages: Vec<String>,
    },
    /// Another package than those of the request.
    #[error(
        "\"package\" is \"{asked}\", but the bundles of the request {id} are in: {}",
        packages.join(", ")
    )]
    OtherPackages {
        /// The request.
        id: RequestId,
        /// What was asked for.
        asked: String,
        /// The packages of its bundles.
        packages: Vec<String>,
    },
    /// The graph of a package was not kept for its size.
    #[error(
        "The graph of the package \"{package}\" is too large for an answer: `iib catalog graph` \
         draws it from the index image"
    )]
    GraphTooLarge {
        /// The package.
        package: String,
    },
    /// Something of ours in the store of artifacts is not what it should be.
    #[error("the artifact {key} cannot be read")]
    Unreadable {
        /// Which.
        key: ArtifactKey,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// What was asked for, or all that belongs to the request, is gone, as announced.
    #[error("The data for the build request {0} no longer exist")]
    Expired(RequestId),
    /// There is no such document, or the settings do not offer it.
    #[error("The requested resource was not found")]
    NoDocument(RequestId),
    /// There is no such document in the folder of the settings.
    #[error("IIB is done processing the request and could not find {1}.")]
    NotInFolder(RequestId, Offer),
    /// The same of related bundles that an organization may have.
    #[error(
        "IIB is done processing the request and cannot find related_bundles. Please make sure the \
         iib_organization_customizations for organization {1} has related_bundles customization \
         type set"
    )]
    NotCustomized(RequestId, String),
    /// The same, and the request ended longer ago than documents are kept.
    #[error("The {1} for the build request {0} no longer exist")]
    ExpiredInFolder(RequestId, Offer),
    /// Requests of another kind have such a document.
    #[error(
        "The request {id} is of type {kind}. This endpoint is only valid for requests of type \
         {wanted}."
    )]
    OtherKind {
        /// The request.
        id: RequestId,
        /// Its kind.
        kind: &'static str,
        /// The kind that has it.
        wanted: &'static str,
    },
    /// What is asked for is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The user has as many requests that go on as the settings allow. Ours.
    #[error(
        "The user {user} has {live} requests that go on, and at most {limit} may at once: wait until \
         some have ended"
    )]
    TooManyLive {
        /// Who asks.
        user: String,
        /// Requests of theirs that go on.
        live: u64,
        /// The limit.
        limit: u32,
    },
    /// The request is that of another user. Ours.
    #[error(
        "The request {0} is somebody else's: whoever made it may cancel it, and users who may change requests"
    )]
    SomebodyElses(RequestId),
    /// The request cannot be cancelled any more. Ours.
    #[error("The request {0} cannot be cancelled: {1}")]
    NotCancelled(RequestId, NotCancelled),
    /// The key of a call is that of another one. Ours.
    #[error(
        "The Idempotency-Key was sent before, with another call that made the request {0}: send the same again, or another key"
    )]
    OtherCall(RequestId),
    /// Nothing was asked for.
    #[error("no request was stored")]
    Nothing,
    /// Requests are stored, but their work could not be handed over.
    #[error("{}", not_handed_over(ids, *schedule))]
    Schedule {
        /// The requests; they are marked as failed.
        ids: Vec<RequestId>,
        /// Whether they came in a batch.
        schedule: Schedule,
        /// Why.
        source: QueueError,
    },
    /// The store failed.
    #[error("the store of requests failed")]
    Store(#[from] StoreError),
    /// What came with the request as a secret cannot be kept.
    #[error("The \"{name}\" cannot be kept: {source}")]
    Secret {
        /// The parameter.
        name: &'static str,
        /// Why not.
        source: SecretError,
    },
    /// The store of artifacts failed.
    #[error("the store of artifacts failed")]
    Artifact(#[from] ArtifactError),
}

impl Classify for IntakeError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_)
            | Self::NotFinished(..)
            | Self::NotPlanned(_)
            | Self::Failed(..)
            | Self::NeverKept(..)
            | Self::PutBack(..)
            | Self::NoCatalog(..)
            | Self::NoPackages(_)
            | Self::SeveralPackages { .. }
            | Self::OtherPackages { .. }
            | Self::GraphTooLarge { .. }
            | Self::Expired(_)
            | Self::NotInFolder(..)
            | Self::NotCustomized(..)
            | Self::ExpiredInFolder(..)
            | Self::OtherKind { .. }
            | Self::Refused(_)
            | Self::TooManyLive { .. }
            | Self::OtherCall(_)
            | Self::SomebodyElses(_)
            | Self::NotCancelled(..)
            | Self::NoDocument(_) => Class::Reject,
            Self::Unreadable { .. } | Self::Nothing => Class::Bug,
            Self::Schedule { source, .. } => source.class(),
            Self::Store(source) => source.class(),
            Self::Secret { source, .. } => source.class(),
            Self::Artifact(source) => source.class(),
        }
    }
}

/// Reads a request.
///
/// # Errors
/// [`IntakeError::NotFound`] and [`IntakeError::Store`].
pub async fn get(deps: &IntakeDeps, id: RequestId) -> Result<Record, IntakeError> {
    let record = deps.requests.get(id).await?;
    record.ok_or(IntakeError::NotFound(id))
}

/// Reads a request once it is of a newer version than `known`, or than it is now; after `patience` as it is then. One
/// that has ended is not waited for, nor is one by somebody who may not wait.
///
/// # Errors
/// As [`get`].
pub async fn newer(
    deps: &IntakeDeps,
    watch: &dyn Watch,
    id: RequestId,
    known: Option<u64>,
    patience: Duration,
) -> Result<Record, IntakeError> {
    let record = get(deps, id).await?;
    let known = known.unwrap_or(record.version);
    if record.version > known || record.state().is_final() || patience.is_zero() {
        return Ok(record);
    }
    match watch.changed(id, known, patience).await? {
        Waited::Refused => Ok(record),
        Waited::Changed | Waited::Unchanged => get(deps, id).await,
    }
}

/// How many requests come before one that waits to overwrite an index; `None` if it does not wait.
///
/// # Errors
/// [`IntakeError::Store`].
pub async fn ahead(deps: &IntakeDeps, record: &Record) -> Result<Option<u64>, IntakeError> {
    Ok(line::ahead(&*deps.lines, record).await?)
}

/// The reference's words (spec rest-api §11).
fn not_handed_over(ids: &[RequestId], schedule: Schedule) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(", ");
    match schedule {
        Schedule::One => format!("The scheduling of the build request with ID {ids} failed"),
        Schedule::Several => format!("The scheduling of the build requests with IDs {ids} failed"),
    }
}

/// Asks the store for something that cannot be there, to see whether it answers.
///
/// # Errors
/// [`StoreError`].
pub async fn check_health(deps: &IntakeDeps) -> Result<(), StoreError> {
    // Ids count from 1, so this reads one key and never a record.
    deps.requests.get(RequestId(0)).await.map(drop)
}

/// How long a store may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long the registry may, which those who ask do not wait for.
const REGISTRY_WITHIN: Duration = Duration::from_millis(500);
/// How long it is not asked again: anybody may ask how it is.
const SEEN_FOR: Duration = Duration::from_secs(30);

/// A dependency of the API.
#[derive(Debug)]
pub struct Reached {
    /// What it keeps.
    pub name: &'static str,
    /// Whether calls fail without it. Requests are taken while the registry is away, and wait for it.
    pub is_needed: bool,
    /// Why it does not answer as it should.
    pub fault: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Asks each store for something that cannot be there, to see which of them answer, and likewise the
/// registry of the results where it can be reached from here.
pub async fn check_dependencies(deps: &IntakeDeps) -> Vec<Reached> {
    let nothing = RequestId(0);
    let key = ArtifactKey::log(nothing);
    let documents = async {
        match deps.artifacts.get(&key).await {
            Ok(_) | Err(ArtifactError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    let logs = deps.logs.read(nothing).map_ok(drop);
    let mut asked: Vec<(&'static str, bool, BoxFuture<'_, Answer>)> = vec![
        ("requests", true, check_health(deps).err_into().boxed()),
        ("logs", true, logs.err_into().boxed()),
        ("documents", true, documents.boxed()),
        ("queue", true, deps.queue.check()),
    ];
    if let Some(results) = &deps.results {
        asked.push(("registry", false, results.check().boxed()));
    }
    let answers = asked.into_iter().map(async |(name, is_needed, asked)| {
        let answer = tokio::time::timeout(ANSWERS_WITHIN, asked).await;
        Reached {
            name,
            is_needed,
            fault: answer.unwrap_or_else(|late| Err(late.into())).err(),
        }
    });
    join_all(answers).await
}

/// Whether something answers, and how not.
type Answer = Result<(), Box<dyn std::error::Error + Send + Sync>>;

impl Results {
    /// Asks with the right to push, whether or not the repository is there.
    async fn check(&self) -> Answer {
        let mut seen = self.seen.lock().await;
        if let Some(Seen { at, answer }) = &*seen
            && at.elapsed() < SEEN_FOR
        {
            return Ok(answer.clone()?);
        }
        let nothing = Digest::of(b"");
        let asked = self.registry.has_blob(&self.repository, &nothing);
        let answer = match tokio::time::timeout(REGISTRY_WITHIN, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(late) => Err(late.to_string()),
        };
        *seen = Some(Seen {
            at: Instant::now(),
            answer: answer.clone(),
        });
        Ok(answer?)
    }
}

#[cfg(test)]
mod tests;
