//! Build tags, which other requests move too.
//!
//! An attempt may have moved a tag and died before anybody knew. When the next one comes, a newer
//! request may have moved the tag on, and it must not go back. Registries offer no
//! compare-and-swap, so what a tag named is noted before the first push and looked at before a
//! later one.

use std::collections::BTreeMap;

use iib_oci::Digest;

use crate::job::Job;
use crate::output::output;
use crate::{ImageError, StageError};

/// What each tag names now; nothing for one that is not there.
pub(super) async fn named(
    job: &Job<'_>,
    tags: &[String],
) -> Result<BTreeMap<String, Option<Digest>>, StageError> {
    let mut found = BTreeMap::new();
    for tag in tags {
        found.insert(tag.clone(), now(job, tag).await?);
    }
    Ok(found)
}

/// Whether a tag names neither what it did before the first attempt nor this request's own list.
pub(super) async fn was_moved(job: &Job<'_>, tag: &str, own: &Digest) -> Result<bool, StageError> {
    let now = now(job, tag).await?;
    let known = job.record.tags_before.as_ref();
    let before = known.and_then(|known| known.get(tag)).cloned().flatten();
    Ok(now.as_ref() != Some(own) && now != before)
}

async fn now(job: &Job<'_>, tag: &str) -> Result<Option<Digest>, StageError> {
    let target = output(&job.deps.work, tag)?;
    let look = job.deps.registry.tagged(target.repository(), tag);
    let found = look.await.map_err(|source| ImageError::Registry {
        doing: format!("Failed to look at the tag {target}"),
        source,
    })?;
    Ok(found)
}
