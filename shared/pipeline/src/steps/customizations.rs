//! What an organization wants of its bundles, as the settings have it.

use iib_regenerate::{Customization, customizations};

use crate::job::Job;
use crate::{BundleError, StageError};

/// The steps for the organization of a request.
///
/// # Errors
/// [`BundleError::Customizations`].
pub(crate) fn of(
    job: &Job<'_>,
    organization: Option<&str>,
) -> Result<Vec<Customization>, StageError> {
    let all = &job.deps.work.organization_customizations;
    let configured = organization.and_then(|organization| all.get(organization));
    let steps = customizations(configured.map(Vec::as_slice));
    Ok(steps.map_err(|fault| BundleError::Customizations {
        organization: organization.unwrap_or_default().to_owned(),
        fault,
    })?)
}

/// The organization that a request is for, if it names one; an empty name is none, as for today's service.
pub(crate) fn organization(named: &Option<String>) -> Option<&str> {
    named.as_deref().filter(|name| !name.is_empty())
}
