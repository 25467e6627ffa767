//! Names of results (worker flows §5.2 and §6).

use iib_oci::{Arch, PullSpec};
use iib_request::WorkSettings;

use crate::WorkError;

/// The result under this tag: the push template filled in.
///
/// # Errors
/// [`WorkError::OutputName`]: the setting gives no pull spec.
pub(crate) fn output(work: &WorkSettings, tag: &str) -> Result<PullSpec, WorkError> {
    let text = work
        .image_push_template
        .replace("{registry}", &work.registry)
        .replace("{request_id}", tag);
    text.parse().map_err(WorkError::OutputName)
}

/// The tag of one architecture's image beside the result.
pub(crate) fn arch_tag(output: &PullSpec, arch: &Arch) -> String {
    format!("{}-{arch}", output.reference())
}

/// The result as users are to see it: the first mention of our registry is replaced by the name
/// they know.
pub(crate) fn shown_name(internal: &str, work: &WorkSettings) -> String {
    match &work.index_image_output_registry {
        Some(other) => internal.replacen(&work.registry, other, 1),
        None => internal.to_owned(),
    }
}
