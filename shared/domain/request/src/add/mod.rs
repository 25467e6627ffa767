//! The payload of an add request.

use serde::{Deserialize, Serialize};

use crate::{Scope, Unknown};

mod own;
mod payload;
mod read;
mod shared;

pub use read::OVERWRITE_TOKEN;

/// What `POST /builds/add` asks for, checked and with defaults filled in (spec rest-api §4.3,
/// §4.4). Images are kept as the texts that were sent, because that is how they are shown.
/// Tokens are not part of it: they are neither stored nor shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddRequest {
    /// Bundles to add, repeats dropped, first kept.
    pub bundles: Vec<String>,
    /// The index to start from; none: an empty one.
    pub from_index: Option<String>,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// Architectures to build for besides those of `from_index`.
    pub add_arches: Vec<String>,
    /// The scope asked for.
    pub distribution_scope: Option<Scope>,
    /// Tags of the result besides the request's id, sorted, repeats dropped.
    pub build_tags: Vec<String>,
    /// Bundles to deprecate.
    pub deprecation_list: Vec<String>,
    /// Whether related images are to be checked; shown as sent.
    pub check_related_images: Option<bool>,
    /// How the graph is updated; none: `replaces`.
    pub graph_update_mode: Option<String>,
    /// Shown only (the service has no use for it, as the reference).
    pub organization: Option<String>,
    /// Whether `from_index` is to be replaced by the result.
    pub overwrite_from_index: bool,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl AddRequest {
    /// The parameters that ask for work which this version does not do. A request with any of
    /// them ends in `failed`, naming them; none is ever passed over in silence.
    pub fn not_built(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.overwrite_from_index {
            names.push("overwrite_from_index");
        }
        if !self.deprecation_list.is_empty() {
            names.push("deprecation_list");
        }
        if self.check_related_images == Some(true) {
            names.push("check_related_images");
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_not_built_is_named() {
        assert!(AddRequest::default().not_built().is_empty());
        let request = AddRequest {
            overwrite_from_index: true,
            deprecation_list: vec!["r.example/a:b".to_owned()],
            check_related_images: Some(true),
            ..AddRequest::default()
        };
        assert_eq!(
            request.not_built(),
            [
                "overwrite_from_index",
                "deprecation_list",
                "check_related_images"
            ]
        );
    }
}
