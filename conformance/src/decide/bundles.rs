//! What bundles are adapted by.

use std::collections::BTreeMap;

use iib_bundle::{ImageName, without_reference};
use iib_regenerate::{check_customizations, is_true};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;

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
