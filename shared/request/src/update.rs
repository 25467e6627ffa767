//! Changes to a request, in the form in which the reference's workers send them.

use std::collections::BTreeMap;

use iib_oci::Arch;
use serde::Serialize;

use crate::{Scope, State};

/// One change of a request: fields and, mostly, a new state (spec rest-api §8). It serialises
/// as the body of the reference's PATCH call, fields that are not set left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Update {
    /// New state; always together with its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why, or what is going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Architectures of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<Arch>>,
    /// The binary image used, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_image: Option<String>,
    /// The binary image used, pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_image_resolved: Option<String>,
    /// `from_index`, pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_index_resolved: Option<String>,
    /// Bundles of the request by package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_mapping: Option<BTreeMap<String, Vec<String>>>,
    /// The settled scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution_scope: Option<Scope>,
    /// The result, for users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_image: Option<String>,
    /// The result, pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_image_resolved: Option<String>,
    /// The result under the service's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_index_image_copy: Option<String>,
    /// The same, pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_index_image_copy_resolved: Option<String>,
}

impl Update {
    /// A change of state alone.
    pub fn state(state: State, reason: impl Into<String>) -> Self {
        Self {
            state: Some(state),
            state_reason: Some(reason.into()),
            ..Self::default()
        }
    }

    /// The request goes on, doing this.
    pub fn doing(reason: impl Into<String>) -> Self {
        Self::state(State::InProgress, reason)
    }
}
