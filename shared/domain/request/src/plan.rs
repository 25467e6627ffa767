//! What the stages hand on to one another, through the record.

use std::collections::BTreeMap;

use iib_oci::{Arch, Descriptor, Digest, ImageFormat, Pinned};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::format;
use crate::{Scope, Unknown};

mod view;

pub use view::{IndexView, PlanView};

/// Everything that pin settled, by family of work; the later stages look nothing up by tag again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// An index is made.
    Index(Box<IndexPlan>),
    /// A tag is put back; the request says all there is to say.
    Rollback,
    /// A bundle is made anew.
    Bundle(Box<BundlePlan>),
    /// The bundles behind a bundle are looked for.
    Related(RelatedPlan),
}

/// What was settled for a request that makes a bundle anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundlePlan {
    /// The bundle as the user's pull spec resolved: a list, or a single image.
    pub from: Pinned,
    /// Its images by architecture, each of which the result is built on.
    pub bases: BTreeMap<Arch, Pinned>,
    /// The layers that its files are read from, the lowest first.
    pub layers: Vec<Descriptor>,
    /// Whether its label says that the images in it are pinned.
    pub is_pinned: bool,
    /// When the new bundle is said to have been created: when the old one was.
    #[serde(default, skip_serializing_if = "is_epoch")]
    pub created: Timestamp,
    /// Which documents the new bundle has.
    #[serde(default, skip_serializing_if = "ImageFormat::is_docker")]
    pub output_format: ImageFormat,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What was settled for a request that looks for the bundles behind a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedPlan {
    /// The bundle as the user's pull spec resolved.
    pub parent: Pinned,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// What was settled for a request that makes an index. A plan without one of the last three is
/// damaged: a default would make another index of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexPlan {
    /// The index to start from; none: an empty one.
    #[serde(default)]
    pub from: Option<IndexToRead>,
    /// The index that the first one is merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<IndexToRead>,
    /// The index whose place the result takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<IndexToOverwrite>,
    /// The bundles asked for, in order; several may be the same image.
    #[serde(default)]
    pub bundles: Vec<PinnedBundle>,
    /// The bundles to deprecate, in order; several may be the same image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deprecate: Vec<BundleToDeprecate>,
    /// The fragments of catalogs to put in, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fragments: Vec<IndexToRead>,
    /// The image of each architecture to build on; a `scratch` index has no images here.
    pub bases: BTreeMap<Arch, Option<Pinned>>,
    /// Version label of the new index, such as `v4.6`.
    pub version: String,
    /// Scope of the new index.
    pub scope: Scope,
    /// When the indexes to read were looked up; versions before did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<Timestamp>,
    /// When the new index is said to have been created ([`crate::created_after`]); the epoch where
    /// there is nothing it has to come after.
    #[serde(default, skip_serializing_if = "is_epoch")]
    pub created: Timestamp,
    /// Which documents the new index has. Versions that did not say made those of Docker.
    #[serde(default, skip_serializing_if = "ImageFormat::is_docker")]
    pub output_format: ImageFormat,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

fn is_epoch(time: &Timestamp) -> bool {
    *time == Timestamp::UNIX_EPOCH
}

/// A bundle of the request, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBundle {
    /// As the user wrote it.
    pub requested: String,
    /// The image its contents are read from. Of a manifest list it is the first entry, as the
    /// reference resolves it (worker flows §4).
    pub pinned: Pinned,
    /// The package label of the image, if it has one.
    #[serde(default)]
    pub package: Option<String>,
    /// Its layers, the lowest first, so that nobody has to ask for its manifest again; empty in plans
    /// of versions that did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Descriptor>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// An index whose tag is to name the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexToOverwrite {
    /// As the user wrote it.
    pub requested: String,
    /// What it named when the work began.
    pub digest: Digest,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A bundle of a deprecation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleToDeprecate {
    /// As the user wrote it.
    pub requested: String,
    /// What it is; `None` if there is no such image.
    #[serde(default)]
    pub pinned: Option<Pinned>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// Where the contents of the input index are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexToRead {
    /// The index as the user's pull spec resolved.
    pub resolved: Pinned,
    /// The image of one architecture whose layers hold the contents.
    pub image: Pinned,
    /// What they are and where.
    pub form: IndexForm,
    /// Where the database behind a catalog is, without a leading slash, if the image says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<String>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The form of an index in its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexForm {
    /// A database, at this path in the image, without a leading slash.
    Database(String),
    /// A file-based catalog, in the folder at this path in the image, without a leading slash.
    Catalog(String),
}

/// What an image that is made serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serves {
    /// A database.
    #[default]
    Database,
    /// A file-based catalog.
    Catalog,
}

impl Serves {
    fn is_database(&self) -> bool {
        *self == Self::Database
    }
}

impl Plan {
    /// The oldest format of records that can have such a plan: an older version would pass over what it
    /// does not know.
    pub(crate) fn format(&self) -> u32 {
        let plan = match self {
            Self::Index(plan) => plan,
            Self::Rollback => return format::WITH_ROLLBACKS,
            Self::Bundle(_) | Self::Related(_) => return format::WITH_BUNDLES,
        };
        if !plan.output_format.is_docker() {
            return format::WITH_OUTPUT_FORMATS;
        }
        let is_catalog = |index: &IndexToRead| matches!(index.form, IndexForm::Catalog(_));
        let is_known = plan.into.is_none()
            && plan.overwrite.is_none()
            && plan.deprecate.is_empty()
            && plan.fragments.is_empty()
            && !plan.from.as_ref().is_some_and(is_catalog);
        match is_known {
            true => format::FIRST,
            false => format::WITH_CATALOGS,
        }
    }
}

/// What mutate made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The layers that go on top of each base, the lowest first.
    #[serde(default)]
    pub layers: Vec<BuiltLayer>,
    /// What they are for. Versions that did not say made databases only.
    #[serde(default, skip_serializing_if = "Serves::is_database")]
    pub serves: Serves,
    /// Labels of the new images that the work came to, beside those that every such image has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A layer that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltLayer {
    /// Its name in the artifact store.
    pub artifact: String,
    /// The layer, as a manifest names it.
    pub layer: Descriptor,
    /// Digest of the uncompressed layer.
    pub diff_id: Digest,
    /// What it holds: a path in the image, or what it is of a bundle.
    #[serde(default)]
    pub holds: String,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan for an index from nothing.
    pub(crate) fn index() -> Plan {
        Plan::Index(Box::new(IndexPlan {
            from: None,
            into: None,
            overwrite: None,
            bundles: Vec::new(),
            deprecate: Vec::new(),
            fragments: Vec::new(),
            bases: BTreeMap::new(),
            version: "v4.6".to_owned(),
            scope: Scope::Prod,
            looked_up: None,
            created: Timestamp::UNIX_EPOCH,
            output_format: ImageFormat::Docker,
            unknown: Unknown::default(),
        }))
    }
}
