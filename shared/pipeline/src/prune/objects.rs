//! Removing artifacts that nobody refers to.

use iib_ports::{Artifact, ArtifactKey, ArtifactRoot, StoreError};
use iib_request::{RequestId, Stage};
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::{PruneDeps, PruneError, PruneReport, Time, kept_for};

/// Artifacts listed at once, as many as S3 gives.
const PAGE: u32 = 1000;

/// How old a layer has to be before it is looked at: longer than all stages take, so that hardly
/// a request has to be read for it.
const SETTLED: SignedDuration = SignedDuration::from_hours(1);

/// Removes layers whose request is done or was never there, and what is left of documents and
/// uploads after the days for which data is kept.
pub(super) async fn remove(
    deps: &PruneDeps,
    time: Time<'_>,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    remove_layers(deps, time, report).await?;
    for root in [
        ArtifactRoot::Inbox,
        ArtifactRoot::Uploads,
        ArtifactRoot::Results,
    ] {
        remove_old(deps, root, time, report).await?;
    }
    Ok(())
}

async fn remove_layers(
    deps: &PruneDeps,
    time: Time<'_>,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let settled = time.before(SETTLED);
    // Those of one request follow one another.
    let mut asked: Option<(RequestId, bool)> = None;
    let mut after = None;
    while let Some(page) = next_page(deps, ArtifactRoot::Work, &mut after, time, report).await? {
        for artifact in page.iter().filter(|artifact| artifact.stored < settled) {
            let needed = match (artifact.key.request(), asked) {
                (None, _) => false,
                (Some(id), Some((before, needed))) if id == before => needed,
                (Some(id), _) => {
                    let needed = is_live(deps, id).await?;
                    asked = Some((id, needed));
                    needed
                }
            };
            if !needed {
                deps.artifacts.delete(&artifact.key).await?;
                report.removed_objects += 1;
            }
        }
    }
    Ok(())
}

async fn is_live(deps: &PruneDeps, id: RequestId) -> Result<bool, StoreError> {
    Ok(match deps.requests.get(id).await {
        Ok(record) => record.is_some_and(|record| record.work.stage != Stage::Done),
        // Nobody here knows whether it has ended, so what it has stays.
        Err(StoreError::Malformed { .. }) => true,
        Err(error) => return Err(error),
    })
}

async fn remove_old(
    deps: &PruneDeps,
    root: ArtifactRoot,
    time: Time<'_>,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let old: Timestamp = time.before(kept_for(&deps.api));
    let mut after = None;
    while let Some(page) = next_page(deps, root, &mut after, time, report).await? {
        for artifact in page.iter().filter(|artifact| artifact.stored < old) {
            if root != ArtifactRoot::Results {
                // It should have been handled within minutes; its result, if any, goes too.
                warn!(artifact = %artifact.key, "removed unhandled, after all this time");
            }
            deps.artifacts.delete(&artifact.key).await?;
            report.removed_objects += 1;
        }
    }
    Ok(())
}

/// The artifacts after `after`, and moves it on; `None` after the last page, and when there is no
/// time left. What is removed meanwhile does not disturb the order.
async fn next_page(
    deps: &PruneDeps,
    root: ArtifactRoot,
    after: &mut Option<ArtifactKey>,
    time: Time<'_>,
    report: &mut PruneReport,
) -> Result<Option<Vec<Artifact>>, PruneError> {
    if !time.is_left() {
        report.more = true;
        return Ok(None);
    }
    let page = deps
        .artifacts
        .list(root, None, after.as_ref(), PAGE)
        .await?;
    match page.last() {
        Some(last) => *after = Some(last.key.clone()),
        None => return Ok(None),
    }
    Ok(Some(page))
}
