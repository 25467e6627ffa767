//! Tables about names.

use iib_catalog::ServedDigests;
use iib_oci::{Arch, Pinned, PullSpecError};
use iib_pipeline::{InputError, decisions};
use iib_request::{BinaryImages, WorkSettings, arch_tag, settle_binary_image};
use serde::Deserialize;
use serde_json::{Value, json};

use super::images::whole_name;
use super::{Answer, given, words};

#[derive(Deserialize)]
pub(super) struct BinaryImage {
    binary_image: Option<String>,
    config: Option<BinaryImages>,
    ocp_version: String,
    distribution_scope: String,
}

pub(super) fn binary_image(input: &BinaryImage) -> Answer {
    let settled = settle_binary_image(
        given(input.binary_image.as_ref()),
        &input.config.clone().unwrap_or_default(),
        &input.distribution_scope,
        &input.ocp_version,
    );
    settled.map(Value::from).map_err(words)
}

#[derive(Deserialize)]
struct Present {
    #[serde(rename = "bundlePath")]
    image: String,
    #[serde(rename = "packageName")]
    package: String,
}

#[derive(Deserialize)]
pub(super) struct Missing {
    present: Vec<Present>,
    resolved: Vec<String>,
}

pub(super) fn missing_bundles(input: &Missing) -> Answer {
    let present = input.present.iter();
    let served = ServedDigests::of(present.map(|found| (&*found.image, &*found.package)));
    let mut missing = Vec::new();
    for text in &input.resolved {
        let bundle: Pinned = text.parse().map_err(words)?;
        if served.packages_with(bundle.digest()).is_none() {
            missing.push(bundle.to_string());
        }
    }
    Ok(missing.into())
}

#[derive(Deserialize)]
pub(super) struct LoginFor {
    image: String,
}

pub(super) fn docker_auth_key(input: &LoginFor) -> Answer {
    // Its registry is what the table asks for, so only a tag is put in its place.
    let repository = match decisions::repository_of_login(&input.image) {
        Err(InputError::PullSpec {
            source: PullSpecError::NoReference(_),
            ..
        }) => decisions::repository_of_login(&whole_name(&input.image)),
        other => other,
    };
    let key = repository.map(|repository| repository.login_scope());
    key.map(Value::from).map_err(words)
}

#[derive(Deserialize)]
pub(super) struct Output {
    template: String,
    registry: String,
    output_registry: Option<String>,
    request_id: u64,
}

pub(super) fn output_pull_spec(input: &Output) -> Answer {
    let work = WorkSettings {
        registry: input.registry.clone(),
        image_push_template: input.template.clone(),
        index_image_output_registry: input.output_registry.clone(),
        ..WorkSettings::default()
    };
    let tag = input.request_id.to_string();
    let output = work.output(&tag).map_err(words)?;
    let arch = arch_tag(&output, &Arch::amd64());
    Ok(json!({
        "pushed": output,
        "arch": format!("{}:{arch}", output.repository()),
        "reported": work.shown_name(output.as_str()),
        // The name on the machine of the reference that builds it. This service has no such images, so
        // this one says nothing of it.
        "local": format!("containers-storage:localhost/iib-build:{tag}-amd64"),
    }))
}
