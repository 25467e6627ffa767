//! Showing what was settled for a request, and what it changed in the catalog of its index, or in the files of its
//! bundle. Ours: the reference has nothing of it.

use std::collections::BTreeMap;
use std::fmt;

use iib_fbc::{CatalogDiff, Picture};
use iib_ports::ArtifactKey;
use iib_regenerate::FilesDiff;
use iib_request::{PlanView, Record, Request, RequestId, State, log_expiration};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::report::Report;
use super::{IntakeDeps, IntakeError, Offer, get};
use crate::changes::Changes;
use crate::ending::read_text;

/// What a completed request changed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestDiff {
    /// In the catalog of its index.
    Catalog(Box<CatalogDiff>),
    /// In the files of its bundle.
    Files(FilesDiff),
}

impl RequestDiff {
    /// Whether nothing is another.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Catalog(diff) => diff.is_empty(),
            Self::Files(diff) => diff.files.is_empty(),
        }
    }
}

impl fmt::Display for RequestDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog(diff) => diff.fmt(f),
            Self::Files(diff) => diff.fmt(f),
        }
    }
}

/// What a completed request changed.
///
/// # Errors
/// [`IntakeError`].
pub async fn diff(deps: &IntakeDeps, id: RequestId) -> Result<RequestDiff, IntakeError> {
    let record = get(deps, id).await?;
    let (diff, _) = changes(deps, &record).await?;
    Ok(diff)
}

/// What a completed request changed, and the packages whose upgrade graphs are kept; both of one look.
///
/// # Errors
/// [`IntakeError`].
pub async fn changes(
    deps: &IntakeDeps,
    record: &Record,
) -> Result<(RequestDiff, Vec<String>), IntakeError> {
    Ok(match record.request {
        Request::RegenerateBundle(_) => {
            let files = kept(deps, record, Offer::Diff).await?;
            (RequestDiff::Files(files), Vec::new())
        }
        _ => {
            let changes: Changes = kept(deps, record, Offer::Diff).await?;
            let drawn = changes
                .graphs
                .into_iter()
                .filter(|(_, graph)| graph.is_some());
            let packages = drawn.map(|(package, _)| package).collect();
            (RequestDiff::Catalog(changes.diff.into()), packages)
        }
    })
}

/// What a completed request changed, or a dry run would change, as Markdown to paste into a pull request: images, diff
/// and graphs.
///
/// # Errors
/// [`IntakeError`].
pub async fn report(deps: &IntakeDeps, id: RequestId) -> Result<String, IntakeError> {
    let record = get(deps, id).await?;
    let mut graphs = BTreeMap::new();
    let diff = match record.request {
        Request::Rollback(_) | Request::RecursiveRelatedBundles(_) => {
            check_complete(&record, Offer::Diff)?;
            None
        }
        Request::RegenerateBundle(_) => {
            Some(RequestDiff::Files(kept(deps, &record, Offer::Diff).await?))
        }
        _ => {
            let changes: Changes = kept(deps, &record, Offer::Diff).await?;
            graphs = changes.graphs;
            Some(RequestDiff::Catalog(changes.diff.into()))
        }
    };
    let report = Report {
        record: &record,
        diff: diff.as_ref(),
        graphs: &graphs,
    };
    Ok(report.to_string())
}

/// What was settled for a request, from when its images are resolved.
///
/// # Errors
/// [`IntakeError`].
pub async fn plan(deps: &IntakeDeps, id: RequestId) -> Result<PlanView, IntakeError> {
    let record = get(deps, id).await?;
    let plan = record.plan.as_ref();
    let shown = plan.and_then(|plan| PlanView::of(&record.request, plan));
    shown.ok_or(match record.state() {
        State::InProgress => IntakeError::NotPlanned(id),
        State::Failed => IntakeError::Failed(id, Offer::Plan),
        State::Complete => IntakeError::NeverKept(id, Offer::Plan),
    })
}

/// The upgrade graph of a package in the index of a completed request. The package may be left
/// out where the bundles of the request are all in one.
///
/// # Errors
/// [`IntakeError`].
pub async fn graph(
    deps: &IntakeDeps,
    id: RequestId,
    package: Option<&str>,
) -> Result<Picture, IntakeError> {
    let record = get(deps, id).await?;
    let changes: Changes = kept(deps, &record, Offer::Graph).await?;
    let mut graphs = changes.graphs;
    let found = match package {
        Some(package) => graphs.remove_entry(package),
        None if graphs.len() == 1 => graphs.pop_first(),
        None => None,
    };
    match (found, package) {
        (Some((_, Some(picture))), _) => Ok(picture),
        (Some((package, None)), _) => Err(IntakeError::GraphTooLarge { package }),
        (None, _) if graphs.is_empty() => Err(IntakeError::NoPackages(id)),
        (None, Some(asked)) => Err(IntakeError::OtherPackages {
            id,
            asked: asked.to_owned(),
            packages: graphs.into_keys().collect(),
        }),
        (None, None) => Err(IntakeError::SeveralPackages {
            id,
            packages: graphs.into_keys().collect(),
        }),
    }
}

/// What was kept of a request that is complete.
async fn kept<T: DeserializeOwned>(
    deps: &IntakeDeps,
    record: &Record,
    offer: Offer,
) -> Result<T, IntakeError> {
    let id = record.id;
    check_complete(record, offer)?;
    if matches!(record.request, Request::Rollback(_)) {
        return Err(IntakeError::PutBack(id, offer));
    }
    if !has(&record.request, offer) {
        return Err(IntakeError::NoCatalog(id, offer));
    }
    let key = ArtifactKey::changes(id);
    match read_text(&*deps.artifacts, &key).await? {
        Some(text) => {
            serde_json::from_str(&text).map_err(|source| IntakeError::Unreadable { key, source })
        }
        None if record.data_removed || deps.clock.now() > log_expiration(record, &deps.api) => {
            Err(IntakeError::Expired(id))
        }
        None => Err(IntakeError::NeverKept(id, offer)),
    }
}

fn check_complete(record: &Record, offer: Offer) -> Result<(), IntakeError> {
    match record.state() {
        State::InProgress => Err(IntakeError::NotFinished(record.id, offer)),
        // A stage may have written it before another one failed; it is of an index nobody has.
        State::Failed => Err(IntakeError::Failed(record.id, offer)),
        State::Complete => Ok(()),
    }
}

/// Whether requests of this kind have such a thing.
fn has(request: &Request, offer: Offer) -> bool {
    match request {
        Request::RecursiveRelatedBundles(_) => false,
        Request::RegenerateBundle(_) => offer == Offer::Diff,
        _ => true,
    }
}
