//! Reading the payload of an add request.

use super::AddRequest;
use super::own::Own;
use super::payload::{Payload, check_image, set};
use super::shared::{Shared, check_names};
use crate::{ApiSettings, BinaryImages, Refusal, Unknown};

/// Every name `POST /builds/add` knows (spec rest-api §4.3, §4.4).
const NAMES: [&str; 14] = [
    "add_arches",
    "binary_image",
    "build_tags",
    "bundles",
    "check_related_images",
    "cnr_token",
    "deprecation_list",
    "distribution_scope",
    "force_backport",
    "from_index",
    "graph_update_mode",
    "organization",
    "overwrite_from_index",
    OVERWRITE_TOKEN,
];

/// The parameter whose value is a secret.
pub const OVERWRITE_TOKEN: &str = "overwrite_from_index_token";

impl AddRequest {
    /// The secret in a payload that was read; it is no part of the request itself.
    pub fn overwrite_token(payload: &Payload) -> Option<&str> {
        set(payload, OVERWRITE_TOKEN)?.as_str()
    }

    /// Reads and checks what `POST /builds/add` was sent. The checks come in the order of the
    /// reference, so that a call with several faults is refused for the same one: the endpoint's
    /// own parameters, names, shared parameters, images in lists (spec rest-api §4.4); last comes our
    /// own limit on bundles.
    ///
    /// `binary_images` are those of the settings; if there are any, a call may leave the binary
    /// image out. A known `user` needs a token to overwrite (§2).
    ///
    /// # Errors
    /// [`Refusal`], for the first fault.
    pub fn read(
        payload: &Payload,
        settings: &ApiSettings,
        binary_images: &BinaryImages,
        user: Option<&str>,
    ) -> Result<Self, Refusal> {
        let own = Own::read(payload, settings)?;
        check_names(payload, &NAMES)?;
        let shared = Shared::read(payload, binary_images, user)?;
        for image in own.bundles.iter().chain(&own.deprecation_list) {
            check_image(image)?;
        }
        let limit = settings.max_bundles;
        if own.bundles.len() > limit as usize {
            let given = own.bundles.len();
            return Err(Refusal::TooManyBundles { given, limit });
        }
        Ok(Self {
            bundles: own.bundles,
            from_index: shared.from_index,
            binary_image: shared.binary_image,
            add_arches: shared.add_arches,
            distribution_scope: shared.distribution_scope,
            build_tags: shared.build_tags,
            deprecation_list: own.deprecation_list,
            check_related_images: own.check_related_images,
            graph_update_mode: own.graph_update_mode,
            organization: own.organization,
            overwrite_from_index: shared.overwrite_from_index,
            unknown: Unknown::default(),
        })
    }
}

#[cfg(test)]
mod tests;
