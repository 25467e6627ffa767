//! What became known about a request on the way.

use std::collections::BTreeMap;

use iib_oci::Arch;
use serde::{Deserialize, Serialize};

use crate::{Scope, Unknown};

/// Every value that the API shows of a request beside what was asked for; what is not known yet is
/// `None`.
///
/// They come in changes, too, in the form in which the reference's workers send them (spec
/// rest-api §8): as members of the body of its PATCH call, those that are not known left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Architectures of the result, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<Arch>>,
    /// The binary image used, as written by the user or the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_image: Option<String>,
    /// The same, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_image_resolved: Option<String>,
    /// `from_index`, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_index_resolved: Option<String>,
    /// Bundles of the request by package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_mapping: Option<BTreeMap<String, Vec<String>>>,
    /// The settled scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution_scope: Option<Scope>,
    /// The result, for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_image: Option<String>,
    /// The result, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_image_resolved: Option<String>,
    /// The result under the service's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_index_image_copy: Option<String>,
    /// The same, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_index_image_copy_resolved: Option<String>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Facts {
    /// Takes over what is known in `newer`.
    pub fn merge(&mut self, newer: &Self) {
        fn take<T: Clone>(known: &mut Option<T>, newer: &Option<T>) {
            if newer.is_some() {
                known.clone_from(newer);
            }
        }
        // Without `..`, so that a value which is added cannot be forgotten here.
        let Self {
            arches,
            binary_image,
            binary_image_resolved,
            from_index_resolved,
            bundle_mapping,
            distribution_scope,
            index_image,
            index_image_resolved,
            internal_index_image_copy,
            internal_index_image_copy_resolved,
            // A change is made by this version, which knows all it says.
            unknown: _,
        } = newer;
        take(&mut self.arches, arches);
        self.arches.iter_mut().for_each(|arches| arches.sort());
        take(&mut self.binary_image, binary_image);
        take(&mut self.binary_image_resolved, binary_image_resolved);
        take(&mut self.from_index_resolved, from_index_resolved);
        take(&mut self.bundle_mapping, bundle_mapping);
        take(&mut self.distribution_scope, distribution_scope);
        take(&mut self.index_image, index_image);
        take(&mut self.index_image_resolved, index_image_resolved);
        take(
            &mut self.internal_index_image_copy,
            internal_index_image_copy,
        );
        take(
            &mut self.internal_index_image_copy_resolved,
            internal_index_image_copy_resolved,
        );
    }
}
