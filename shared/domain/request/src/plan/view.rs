//! A plan as the API shows it. Ours: the reference has none.

use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{BundlePlan, IndexPlan, IndexToRead, Plan, RelatedPlan};
use crate::{Request, Scope};

/// What pin settled for a request, as the API shows it: every image by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "makes", rename_all = "snake_case")]
#[schemars(rename = "Plan")]
pub enum PlanView {
    /// An index.
    Index(Box<IndexView>),
    /// A bundle.
    Bundle {
        /// The bundle that it is made of.
        from_bundle_image: String,
        /// Its images by architecture, on each of which the result is built.
        images: BTreeMap<String, String>,
        /// Whether its label says that the images in it are pinned.
        is_pinned: bool,
        /// When the result is said to have been created.
        #[schemars(with = "String")]
        created: Timestamp,
        /// Which documents it has.
        output_format: ImageFormat,
    },
    /// A list of bundles.
    List {
        /// The bundle behind which they are looked for.
        parent_bundle_image: String,
    },
    /// Nothing: a tag is put back.
    Rollback {
        /// The tag.
        index: String,
        /// What it names until then.
        from: String,
        /// What it is to name.
        to: String,
    },
}

/// The plan of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PlannedIndex")]
pub struct IndexView {
    /// The index to start from; none: an empty one.
    from_index: Option<String>,
    /// The index that it is merged into.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_index: Option<String>,
    /// The tag that is to name the result, and what it named when the work began.
    overwrites: Option<Named>,
    /// The bundles that are asked for.
    bundles: Vec<BundleView>,
    /// Those to deprecate; what is not there has no digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deprecates: Vec<Resolved>,
    /// The images with fragments of catalogs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fragments: Vec<String>,
    /// The image of each architecture that the index is built on; none under `scratch`.
    binary_images: BTreeMap<String, Option<String>>,
    /// Version label of the result.
    version: String,
    /// Its scope.
    distribution_scope: Scope,
    /// When it is said to have been created.
    #[schemars(with = "String")]
    created: Timestamp,
    /// Which documents it has.
    output_format: ImageFormat,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PlannedTag", description = "A tag, and what it names.")]
struct Named {
    index: String,
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "PlannedBundle", description = "A bundle.")]
struct BundleView {
    #[serde(flatten)]
    image: Resolved,
    package: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(
    rename = "PlannedImage",
    description = "An image as it was named, and by its digest."
)]
struct Resolved {
    requested: String,
    resolved: Option<String>,
}

impl PlanView {
    /// Shows the plan of a request; none if it is that of another kind.
    pub fn of(request: &Request, plan: &Plan) -> Option<Self> {
        Some(match (plan, request) {
            (Plan::Index(plan), _) => Self::Index(index(plan).into()),
            (Plan::Bundle(plan), _) => bundle(plan),
            (Plan::Related(RelatedPlan { parent, .. }), _) => Self::List {
                parent_bundle_image: parent.to_string(),
            },
            (Plan::Rollback, Request::Rollback(rollback)) => Self::Rollback {
                index: rollback.from_index.clone(),
                from: rollback.result.to_string(),
                to: rollback.replaced.to_string(),
            },
            (Plan::Rollback, _) => return None,
        })
    }
}

fn index(plan: &IndexPlan) -> IndexView {
    let bundles = plan.bundles.iter().map(|bundle| BundleView {
        image: Resolved {
            requested: bundle.requested.clone(),
            resolved: Some(bundle.pinned.to_string()),
        },
        package: bundle.package.clone(),
    });
    let deprecates = plan.deprecate.iter().map(|bundle| Resolved {
        requested: bundle.requested.clone(),
        resolved: bundle.pinned.as_ref().map(ToString::to_string),
    });
    let resolved = |index: &IndexToRead| index.resolved.to_string();
    let bases = plan.bases.iter().map(|(arch, image)| {
        let image = image.as_ref().map(ToString::to_string);
        (arch.to_string(), image)
    });
    IndexView {
        from_index: plan.from.as_ref().map(resolved),
        target_index: plan.into.as_ref().map(resolved),
        overwrites: plan.overwrite.as_ref().map(|overwrites| Named {
            index: overwrites.requested.clone(),
            digest: overwrites.digest.to_string(),
        }),
        bundles: bundles.collect(),
        deprecates: deprecates.collect(),
        fragments: plan.fragments.iter().map(resolved).collect(),
        binary_images: bases.collect(),
        version: plan.version.clone(),
        distribution_scope: plan.scope,
        created: plan.created,
        output_format: plan.output_format,
    }
}

fn bundle(plan: &BundlePlan) -> PlanView {
    let images = plan.bases.iter();
    let images = images.map(|(arch, image)| (arch.to_string(), image.to_string()));
    PlanView::Bundle {
        from_bundle_image: plan.from.to_string(),
        images: images.collect(),
        is_pinned: plan.is_pinned,
        created: plan.created,
        output_format: plan.output_format,
    }
}
