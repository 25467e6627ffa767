//! Names of results, where a setting that gives none is our fault.

use iib_oci::PullSpec;
use iib_request::WorkSettings;

use crate::WorkError;

/// The result under this tag ([`WorkSettings::output`]).
///
/// # Errors
/// [`WorkError::OutputName`].
pub(crate) fn output(work: &WorkSettings, tag: &str) -> Result<PullSpec, WorkError> {
    work.output(tag).map_err(WorkError::OutputName)
}
