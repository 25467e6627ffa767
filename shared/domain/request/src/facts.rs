//! What became known about a request on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    pub arches: Option<Vec<String>>,
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
    /// The settled scope; a worker elsewhere may send any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution_scope: Option<String>,
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
    /// The bundle that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_image: Option<String>,
    /// `from_bundle_image`, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_bundle_image_resolved: Option<String>,
    /// `parent_bundle_image`, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bundle_image_resolved: Option<String>,
    /// `source_from_index`, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_from_index_resolved: Option<String>,
    /// `target_index`, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_index_resolved: Option<String>,
    /// A fragment that a worker named, in the older form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fbc_fragment: Option<String>,
    /// The same, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fbc_fragment_resolved: Option<String>,
    /// The fragments of the request, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fbc_fragments_resolved: Option<Vec<String>>,
    /// A JSON text that only workers of old send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omps_operator_version: Option<String>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Facts {
    /// What is known from the beginning: what was asked for, where that is shown in the place of what
    /// will be settled.
    pub(crate) fn of_inputs(binary_image: Option<&str>, scope: Option<Scope>) -> Self {
        Self {
            binary_image: binary_image.map(str::to_owned),
            distribution_scope: scope.map(|scope| scope.to_string()),
            ..Self::default()
        }
    }

    /// The value of [`Facts::omps_operator_version`]; nothing is `{}`.
    pub(crate) fn omps_operator_version(&self) -> Value {
        let text = self.omps_operator_version.as_deref();
        let value = text.and_then(|text| serde_json::from_str(text).ok());
        value.unwrap_or(Value::Object(Map::new()))
    }

    /// The images in them.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let single = [
            &self.binary_image,
            &self.binary_image_resolved,
            &self.from_index_resolved,
            &self.index_image,
            &self.index_image_resolved,
            &self.internal_index_image_copy,
            &self.internal_index_image_copy_resolved,
            &self.bundle_image,
            &self.from_bundle_image_resolved,
            &self.parent_bundle_image_resolved,
            &self.source_from_index_resolved,
            &self.target_index_resolved,
            &self.fbc_fragment,
            &self.fbc_fragment_resolved,
        ];
        let lists = self.fbc_fragments_resolved.iter().flatten();
        let mapped = self.bundle_mapping.iter().flat_map(BTreeMap::values);
        let single = single.into_iter().flatten();
        single
            .chain(lists)
            .chain(mapped.flatten())
            .map(String::as_str)
    }

    /// Takes over what is known in `newer`; architectures are added to those known.
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
            bundle_image,
            from_bundle_image_resolved,
            parent_bundle_image_resolved,
            source_from_index_resolved,
            target_index_resolved,
            fbc_fragment,
            fbc_fragment_resolved,
            fbc_fragments_resolved,
            omps_operator_version,
            // A change is made by this version, which knows all it says.
            unknown: _,
        } = newer;
        if let Some(newer) = arches {
            // What a worker elsewhere has added stays (spec rest-api §8).
            let arches = self.arches.get_or_insert_default();
            arches.extend(newer.iter().cloned());
            arches.sort();
            arches.dedup();
        }
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
        take(&mut self.bundle_image, bundle_image);
        take(
            &mut self.from_bundle_image_resolved,
            from_bundle_image_resolved,
        );
        take(
            &mut self.parent_bundle_image_resolved,
            parent_bundle_image_resolved,
        );
        take(
            &mut self.source_from_index_resolved,
            source_from_index_resolved,
        );
        take(&mut self.target_index_resolved, target_index_resolved);
        take(&mut self.fbc_fragment, fbc_fragment);
        take(&mut self.fbc_fragment_resolved, fbc_fragment_resolved);
        take(&mut self.fbc_fragments_resolved, fbc_fragments_resolved);
        take(&mut self.omps_operator_version, omps_operator_version);
    }
}
