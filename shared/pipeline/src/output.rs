//! Names of results: what they are, and that nobody else has them.

use iib_oci::{PullSpec, RawManifest};
use iib_request::WorkSettings;

use crate::job::Job;
use crate::{ImageError, InputError, StageError, WorkError};

/// The result under this tag ([`WorkSettings::output`]).
///
/// # Errors
/// [`WorkError::OutputName`].
pub(crate) fn output(work: &WorkSettings, tag: &str) -> Result<PullSpec, WorkError> {
    work.output(tag).map_err(WorkError::OutputName)
}

/// Sees that the name of the result is free, and notes what will be under it: from here on what is under the
/// number of the request is its own.
///
/// # Errors
/// Those of [`check_free`] and [`Job::save`].
pub(crate) async fn claim(
    job: &mut Job<'_>,
    output: &PullSpec,
    list: &RawManifest,
) -> Result<(), StageError> {
    check_free(job, output, list).await?;
    let result = list.digest();
    if !job.record.results.contains(&result) {
        job.save(|record| record.results.push(result.clone()))
            .await?;
    }
    Ok(())
}

/// Sees that the tag of the result is free, or names what this request has made, if the settings want that
/// (`requests.keep_others`).
///
/// # Errors
/// [`InputError::OutputTaken`]; [`ImageError::Inspect`].
pub(crate) async fn check_free(
    job: &Job<'_>,
    output: &PullSpec,
    list: &RawManifest,
) -> Result<(), StageError> {
    if !job.deps.new.keep_others {
        return Ok(());
    }
    let tag = output.reference().to_string();
    let now = job.deps.registry.tagged(output.repository(), &tag).await;
    let now = now.map_err(|source| ImageError::Inspect {
        image: output.to_string(),
        source,
    })?;
    match now {
        Some(now) if now != list.digest() && !job.record.results.contains(&now) => {
            Err(InputError::OutputTaken {
                output: output.to_string(),
                now: now.to_string(),
            }
            .into())
        }
        Some(_) | None => Ok(()),
    }
}
