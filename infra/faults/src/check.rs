//! What has to hold of requests when all is over.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::TryStreamExt;
use iib_oci::{Digest, PullSpec};
use iib_pipeline::Deps;
use iib_ports::{ArtifactError, ArtifactKey, ArtifactRoot, RegistryError};
use iib_request::{Record, Request, RequestId, Stage, State};
use iib_testkit::Pull as _;

use crate::drive::total;
use crate::input::TOKEN;
use crate::platform::Process;
use crate::tally::Tally;

/// Checks a request that has to have ended well, with this digest if it is known. Gives the digest
/// it has.
pub(crate) async fn complete(
    tally: &mut Tally,
    when: &str,
    deps: &Deps,
    id: RequestId,
    expected: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let Some(record) = deps.requests.get(id).await? else {
        tally.lost(&format!("{when}: request {id}"));
        return Ok(None);
    };
    if record.work.stage != Stage::Done {
        tally.stuck(&format!("{when}: request {id} at {}", record.work.stage));
        return Ok(None);
    }
    if record.state() != State::Complete {
        tally.lost(&format!("{when}: request {id}: {}", record.state_reason()));
        return Ok(None);
    }
    // What is done anew on top of another one's is told anew.
    if record.work.rebases == 0 {
        history(tally, when, &record);
    }
    leftovers(tally, when, deps, &record).await?;
    log(tally, when, deps, id).await?;
    let Some(digest) = made(tally, when, deps, &record).await? else {
        tally.lost(&format!("{when}: request {id} has made nothing"));
        return Ok(None);
    };
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let what = format!("{when}: request {id} made {digest}, not {expected}");
        tally.lost(&what);
    }
    Ok(Some(digest))
}

/// The digest of what a request made, which is where it belongs: a list of images, and for a bundle the document
/// beside it; or the document alone.
async fn made(
    tally: &mut Tally,
    when: &str,
    deps: &Deps,
    record: &Record,
) -> anyhow::Result<Option<String>> {
    let document = match &record.request {
        Request::RecursiveRelatedBundles(_) => Some(ArtifactKey::nested_bundles(record.id)),
        Request::RegenerateBundle(_) => Some(ArtifactKey::related_bundles(record.id)),
        _ => None,
    };
    let document = match document {
        Some(key) => match read(deps, &key).await? {
            Some(text) => Some(Digest::of(text.as_bytes()).to_string()),
            None => return Ok(None),
        },
        None => None,
    };
    let facts = &record.facts;
    let digest = match (&facts.index_image_resolved, &facts.bundle_image) {
        (Some(index), _) => index.rsplit_once('@').map(|(_, digest)| digest.to_owned()),
        (None, Some(bundle)) => {
            let there = deps.registry.pull(&bundle.parse::<PullSpec>()?).await;
            there.ok().map(|list| list.digest().to_string())
        }
        (None, None) => return Ok(document),
    };
    if let Some(digest) = &digest {
        images(tally, when, deps, record, digest).await?;
    }
    Ok(digest)
}

/// Every state was told once.
fn history(tally: &mut Tally, when: &str, record: &Record) {
    let told: Vec<_> = record
        .history
        .iter()
        .map(|entry| (entry.state.to_string(), &entry.state_reason))
        .collect();
    if told.iter().collect::<BTreeSet<_>>().len() != told.len() {
        tally.duplicated(&format!(
            "{when}: states of request {}: {told:?}",
            record.id
        ));
    }
}

/// Nothing is left between the stages, and the request's secrets are forgotten.
async fn leftovers(
    tally: &mut Tally,
    when: &str,
    deps: &Deps,
    record: &Record,
) -> anyhow::Result<()> {
    let id = record.id;
    let work = deps.artifacts.list(ArtifactRoot::Work, Some(id), None, 10);
    if let Some(left) = work.await?.first() {
        tally.duplicated(&format!("{when}: {} is left behind", left.key));
    }
    for reference in record.secrets.values() {
        if deps.secrets.read(reference).await?.is_some() {
            tally.duplicated(&format!(
                "{when}: the secret of request {id} is left behind"
            ));
        }
    }
    Ok(())
}

/// The log is where it is kept and nowhere else, each line once, and holds no secret.
async fn log(tally: &mut Tally, when: &str, deps: &Deps, id: RequestId) -> anyhow::Result<()> {
    if deps.logs.read(id).await?.is_some() {
        tally.duplicated(&format!("{when}: the log of request {id} is in two places"));
    }
    let Some(text) = sealed_log(deps, id).await? else {
        tally.lost(&format!("{when}: the log of request {id}"));
        return Ok(());
    };
    // Each line begins with the time, to the microsecond.
    let lines: BTreeSet<&str> = text.lines().collect();
    if lines.len() != text.lines().count() {
        tally.duplicated(&format!("{when}: lines in the log of request {id}: {text}"));
    }
    if !text.contains(" pin Resolving ") {
        tally.lost(&format!("{when}: lines of the log of request {id}: {text}"));
    }
    if text.contains(TOKEN) || text.contains(&BASE64.encode(TOKEN)) {
        tally.duplicated(&format!("{when}: a secret is in the log of request {id}"));
    }
    Ok(())
}

/// Checks that the work of each step was done once. That holds where nothing breaks off: of those
/// that come at the same time all but one are turned away.
pub(crate) async fn worked_once(
    tally: &mut Tally,
    when: &str,
    deps: &Deps,
    id: RequestId,
) -> anyhow::Result<()> {
    let text = sealed_log(deps, id).await?.unwrap_or_default();
    let steps: Vec<_> = text.lines().map(|line| line.split_once(' ')).collect();
    let told: BTreeSet<_> = steps.iter().flatten().map(|(_, step)| step).collect();
    if told.len() != steps.len() {
        tally.duplicated(&format!("{when}: work on request {id}: {text}"));
    }
    Ok(())
}

/// The log of a request that has ended, if there is one.
async fn sealed_log(deps: &Deps, id: RequestId) -> anyhow::Result<Option<String>> {
    read(deps, &ArtifactKey::log(id)).await
}

/// The text of an artifact, if it is there.
async fn read(deps: &Deps, key: &ArtifactKey) -> anyhow::Result<Option<String>> {
    let content = match deps.artifacts.get(key).await {
        Ok(content) => content,
        Err(ArtifactError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let pieces: Vec<_> = content.try_collect().await?;
    Ok(Some(String::from_utf8(pieces.concat())?))
}

/// The result and the images it is of are in the registry, under their tags.
async fn images(
    tally: &mut Tally,
    when: &str,
    deps: &Deps,
    record: &Record,
    digest: &str,
) -> anyhow::Result<()> {
    let facts = &record.facts;
    // What overwrites an index is in the service's own copy, too, where nobody comes after it.
    let image = facts.index_image.as_ref().or(facts.bundle_image.as_ref());
    let image = image.map(String::as_str).unwrap_or_default();
    let copy = facts.internal_index_image_copy.as_deref();
    let image = copy.unwrap_or(image);
    let arches = facts.arches.iter().flatten();
    let single = arches.map(|arch| (format!("{image}-{arch}"), None));
    for (name, expected) in [(image.to_owned(), Some(digest))].into_iter().chain(single) {
        match deps.registry.pull(&name.parse::<PullSpec>()?).await {
            Ok(there) => {
                let there = there.digest();
                if expected.is_some_and(|expected| expected != there.as_str()) {
                    tally.lost(&format!("{when}: {name} is {there}, not {digest}"));
                }
            }
            Err(RegistryError::NotFound { .. }) => tally.lost(&format!("{when}: {name}")),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Checks that there are so many requests, no more and no fewer, and that all have ended.
pub(crate) async fn all_ended(
    tally: &mut Tally,
    when: &str,
    process: &Process,
    expected: u64,
) -> anyhow::Result<()> {
    let total = total(process).await?;
    if total > expected {
        tally.duplicated(&format!("{when}: {total} requests, not {expected}"));
    }
    if total < expected {
        tally.lost(&format!("{when}: {total} requests, not {expected}"));
    }
    for listed in process.prune.sweeps.live(None, 1000).await? {
        match listed {
            Ok(record) => tally.stuck(&format!(
                "{when}: request {} at {}",
                record.id, record.work.stage
            )),
            Err(unreadable) => tally.lost(&format!("{when}: {unreadable}")),
        }
    }
    Ok(())
}
