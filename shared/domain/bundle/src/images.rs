//! The images a bundle names (spec index-database §3 "Images").

use std::collections::BTreeSet;

use crate::csv::Csv;
use crate::deployment::CSV_SPEC;
use crate::json::Json;
use crate::typed::{Shape, TypeMismatch, items, member, text};

static RELATED: Shape = Shape::List(
    "[]registry.relatedImage",
    &Shape::Struct(
        "registry.relatedImage",
        &[("name", Shape::Str), ("image", Shape::Str)],
    ),
);

/// All images: the bundle's own, those of its deployments, those it names as related. An entry
/// without an image gives the empty string.
///
/// # Errors
/// A deployment or a related image with members of the wrong type.
pub(crate) fn images(image: &str, csv: &Csv<'_>) -> Result<BTreeSet<String>, TypeMismatch> {
    let mut images = BTreeSet::new();
    if !image.is_empty() {
        images.insert(image.to_owned());
    }
    (CSV_SPEC.check(csv.spec())).map_err(|fault| fault.inside(&["spec"]))?;
    let install = member(csv.spec(), "install");
    if text(install, "strategy") == "deployment" {
        for deployment in items(member(install, "spec"), "deployments") {
            let template = member(member(deployment, "spec"), "template");
            let pod = member(template, "spec");
            let containers = items(pod, "containers")
                .iter()
                .chain(items(pod, "initContainers"));
            images.extend(containers.map(|container| text(container, "image")));
        }
    }
    if let Some(related) = csv.related_images()? {
        let checked = RELATED.check(related);
        checked.map_err(|fault| fault.inside(&["spec", "relatedImages"]))?;
        if let Json::Array(related) = related {
            images.extend(related.iter().map(|entry| text(entry, "image")));
        }
    }
    Ok(images)
}
