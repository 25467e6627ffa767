//! Removing the data of requests whose time has come.

use std::collections::BTreeSet;

use iib_oci::Arch;
use iib_ports::{ArtifactRoot, Class, Classify, RegistryError, StoreError, chain};
use iib_request::{Plan, Record, Request, State, arch_tag};
use tracing::warn;

use super::{PruneDeps, PruneError, PruneReport, Time, kept_for};
use crate::output::output;

/// Requests listed at once. Each takes some calls to registry and stores, so a page is as much as
/// a function does in some minutes.
const PAGE: u32 = 100;

/// Requests that expire in one run at most: where a run has no deadline, the next one is to begin
/// before long.
const MOST: u64 = 1000;

/// Artifacts of a request listed at once.
const ARTIFACTS: u32 = 1000;

/// How the registry takes it that tags are to go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    Possible,
    /// It said no; asking for every tag anew would only take time.
    Refused,
}

/// Removes artifacts, log, secrets and intermediate tags of requests that ended long ago, and
/// marks their records. A record that somebody changes meanwhile is left to the next run. Where a
/// store or a registry is not there, the rest is left to the next run.
pub(super) async fn expire(
    deps: &PruneDeps,
    time: Time<'_>,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let until = time.before(kept_for(&deps.api));
    let mut removal = Removal::Possible;
    loop {
        let page = deps.sweeps.ended_before(until, PAGE).await?;
        let last = page.len() < PAGE as usize;
        let before = report.expired;
        for record in page {
            if !time.is_left() || report.expired >= MOST {
                report.more = true;
                return Ok(());
            }
            let id = record.id;
            match expire_one(deps, record, &mut removal, report).await {
                Ok(()) => report.expired += 1,
                Err(PruneError::Store(StoreError::Conflict(_))) => report.more = true,
                Err(PruneError::Registry(error)) if error.class() == Class::Retry => {
                    warn!(request.id = id.0, error = %chain(&error), "its data goes later");
                    report.more = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // The same requests again would change nothing.
        if last || report.expired == before {
            return Ok(());
        }
    }
}

/// Removes what belongs to one request; the record says so last.
async fn expire_one(
    deps: &PruneDeps,
    record: Record,
    removal: &mut Removal,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let id = record.id;
    for root in [ArtifactRoot::Kept, ArtifactRoot::Work] {
        loop {
            let found = deps.artifacts.list(root, Some(id), None, ARTIFACTS).await?;
            for artifact in &found {
                deps.artifacts.delete(&artifact.key).await?;
                report.removed_objects += 1;
            }
            if found.len() < ARTIFACTS as usize {
                break;
            }
        }
    }
    deps.logs.remove(id).await?;
    for reference in record.secrets.values() {
        deps.secrets.forget(reference).await?;
    }
    remove_tags(deps, &record, removal, report).await?;
    let removed = Record {
        data_removed: true,
        ..record
    };
    deps.requests.replace(removed).await?;
    Ok(())
}

/// Removes the tags of the single images; the manifest list names them by digest.
async fn remove_tags(
    deps: &PruneDeps,
    record: &Record,
    removal: &mut Removal,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let arches = arches(record);
    if arches.is_empty() || !has_pushed(record) {
        return Ok(());
    }
    let output = output(&deps.work, &record.id.to_string())
        .map_err(|error| PruneError::OutputName(Box::new(error)))?;
    for arch in arches {
        if *removal == Removal::Refused {
            report.kept_tags += 1;
            continue;
        }
        let tag = arch_tag(&output, &arch);
        match deps.tags.remove_tag(output.repository(), &tag).await {
            Ok(()) => {}
            Err(error) if error.class() == Class::Reject => {
                report.kept_tags += 1;
                if is_for_all(&error) {
                    *removal = Removal::Refused;
                }
                warn!(
                    request.id = record.id.0,
                    error = %chain(&error),
                    "intermediate tags stay, because the registry does not remove them"
                );
            }
            Err(error) => return Err(PruneError::Registry(error)),
        }
    }
    Ok(())
}

/// Whether there may be images of a request under its number: what it has not pushed is another one's. Older
/// versions noted no results.
fn has_pushed(record: &Record) -> bool {
    let makes_image = !matches!(
        record.request,
        Request::Rollback(_) | Request::RecursiveRelatedBundles(_)
    );
    let is_complete = record.state() == State::Complete;
    makes_image && (!record.results.is_empty() || record.tags_before.is_some() || is_complete)
}

/// Whether a refusal is about removing as such: the call is not supported, or not allowed.
fn is_for_all(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Refused {
            status: 405 | 501,
            ..
        } | RegistryError::Denied { .. }
    )
}

/// The architectures of which there may be images: those of the result, or, where the request
/// ended before, those it was to have.
fn arches(record: &Record) -> BTreeSet<Arch> {
    let planned: Vec<&Arch> = match &record.plan {
        Some(Plan::Index(plan)) => plan.bases.keys().collect(),
        Some(Plan::Bundle(plan)) => plan.bases.keys().collect(),
        Some(Plan::Rollback | Plan::Related(_)) | None => Vec::new(),
    };
    let made = record.facts.arches.iter().flatten();
    // A worker elsewhere may have named others, which are those of no image here.
    let made = made.filter_map(|arch| arch.parse().ok());
    planned.into_iter().cloned().chain(made).collect()
}
