//! What bundles are adapted by.

use std::collections::BTreeMap;

use iib_bundle::{ImageName, without_reference};
use iib_pipeline::decisions;
use iib_regenerate::{NestedBundles, check_customizations, is_true};
use iib_request::{RecursiveRelatedBundles, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, words};

#[derive(Deserialize)]
pub(super) struct Label {
    label: Option<String>,
}

/// Whether a label means yes; one that is absent does not.
pub(super) fn label_truth(input: &Label) -> Answer {
    Ok(json!(input.label.as_deref().is_some_and(is_true)))
}

#[derive(Deserialize)]
pub(super) struct Name {
    pullspec: String,
}

/// The parts of a pull spec as bundles hold it.
pub(super) fn image_name(input: &Name) -> Answer {
    let name = ImageName::of(&input.pullspec);
    Ok(json!({
        "registry": name.registry,
        "namespace": name.namespace,
        "repo": name.repo,
        "tag": name.tag,
        "text": name.to_string(),
        "without_reference": without_reference(&input.pullspec),
        "pinned": name.tag.contains(':'),
    }))
}

#[derive(Deserialize)]
pub(super) struct Organizations {
    config: BTreeMap<String, Vec<Value>>,
}

/// The first fault of customizations.
pub(super) fn org_config(input: &Organizations) -> Answer {
    let faults = check_customizations("iib_organization_customizations", &input.config);
    match faults.first() {
        None => Ok(json!(true)),
        Some(fault) => Err(fault.to_string()),
    }
}

#[derive(Deserialize)]
pub(super) struct Behind {
    parent: String,
    #[serde(default)]
    resolved: BTreeMap<String, String>,
    children: BTreeMap<String, Vec<String>>,
    limit: usize,
}

pub(super) fn recursive_related_bundles(input: &Behind) -> Answer {
    let parent = input.resolved.get(&input.parent).unwrap_or(&input.parent);
    let mut walk = NestedBundles::behind(parent.clone(), input.limit);
    while !walk.level().is_empty() {
        for bundle in walk.level().to_vec() {
            let related = input.children.get(&bundle).map(Vec::as_slice);
            walk.add(related.unwrap_or_default()).map_err(words)?;
        }
        walk.descend();
    }
    let told = decisions::told_behind(&input.parent).map(|told| json!(["in_progress", told]));
    let request = RecursiveRelatedBundles::default();
    let closing = json!(["complete", Request::from(request).closing()]);
    let states: Vec<Value> = told.into_iter().chain([closing]).collect();
    Ok(json!({"bundles": walk.document(), "states": states}))
}
