//! Checks of the parameters that all index requests share (spec rest-api §4.3).

use iib_oci::{Arch, is_tag};
use serde_json::Value;

use super::payload::{Payload, check_image, set, texts};
use super::read::OVERWRITE_TOKEN;
use crate::{BinaryImages, Refusal, Scope};

/// The shared parameters, checked in the order of spec rest-api §4.3.
pub(super) struct Shared {
    pub(super) overwrite_from_index: bool,
    pub(super) distribution_scope: Option<Scope>,
    pub(super) add_arches: Vec<String>,
    pub(super) binary_image: Option<String>,
    pub(super) from_index: Option<String>,
    pub(super) build_tags: Vec<String>,
}

impl Shared {
    /// Empty values count as not given here (§4.2).
    pub(super) fn read(
        payload: &Payload,
        binary_images: &BinaryImages,
        user: Option<&str>,
    ) -> Result<Self, Refusal> {
        if set(payload, "from_index").is_none() && set(payload, "add_arches").is_none() {
            return Err(Refusal::NoArchitectures);
        }
        let overwrite_from_index = match set(payload, "overwrite_from_index") {
            None => false,
            Some(Value::Bool(overwrite)) => *overwrite,
            Some(_) => return Err(Refusal::ParameterNotBoolean("overwrite_from_index")),
        };
        let token = set(payload, OVERWRITE_TOKEN);
        if token.is_some_and(|token| !token.is_string()) {
            return Err(Refusal::ParameterNotString(OVERWRITE_TOKEN));
        }
        if token.is_some() && !overwrite_from_index {
            return Err(Refusal::TokenWithoutOverwrite);
        }
        let distribution_scope = match set(payload, "distribution_scope") {
            None => None,
            Some(value) => {
                let scope = value.as_str().and_then(Scope::parse);
                Some(scope.ok_or(Refusal::Scope)?)
            }
        };
        if user.is_some() && overwrite_from_index && token.is_none() {
            return Err(Refusal::OverwriteWithoutToken);
        }
        Ok(Self {
            overwrite_from_index,
            distribution_scope,
            add_arches: arches(set(payload, "add_arches"))?,
            binary_image: binary_image(set(payload, "binary_image"), binary_images)?,
            from_index: from_index(set(payload, "from_index"))?,
            build_tags: tags(set(payload, "build_tags"))?,
        })
    }
}

fn arches(value: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let arches = texts(value).ok_or(Refusal::Architectures)?;
    for arch in &arches {
        arch.parse::<Arch>().map_err(Refusal::Architecture)?;
    }
    Ok(arches)
}

fn binary_image(
    value: Option<&Value>,
    configured: &BinaryImages,
) -> Result<Option<String>, Refusal> {
    match value {
        Some(Value::String(image)) => check_image(image).map(|()| Some(image.clone())),
        Some(_) => Err(Refusal::BinaryImage),
        None if configured.is_empty() => Err(Refusal::NoBinaryImage),
        None => Ok(None),
    }
}

fn from_index(value: Option<&Value>) -> Result<Option<String>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::String(image)) => check_image(image).map(|()| Some(image.clone())),
        Some(_) => Err(Refusal::NotString("from_index")),
    }
}

/// Sorted, repeats dropped. The reference does not check them: a text becomes one tag per
/// character, and a tag that registries refuse fails the request at its very end (spec rest-api
/// §4.3, §13).
fn tags(value: Option<&Value>) -> Result<Vec<String>, Refusal> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut tags = texts(value).ok_or(Refusal::NotStrings("build_tags"))?;
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        return Err(Refusal::Tag(bad.clone()));
    }
    if let Some(other) = tags.iter().find(|tag| is_of_a_request(tag)) {
        return Err(Refusal::RequestTag(other.clone()));
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Whether a tag is one that a request's result gets: its number, or that and an architecture.
fn is_of_a_request(tag: &str) -> bool {
    let (number, arch) = match tag.split_once('-') {
        Some((number, arch)) => (number, Some(arch)),
        None => (tag, None),
    };
    let of_arch = |arch: &str| arch.parse::<Arch>().is_ok_and(|arch| arch.is_common());
    number.bytes().all(|b| b.is_ascii_digit()) && arch.is_none_or(of_arch)
}

/// Refuses names the endpoint does not know (spec rest-api §4.2).
pub(super) fn check_names(payload: &Payload, known: &[&str]) -> Result<(), Refusal> {
    let mut unknown: Vec<String> = payload
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .cloned()
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort();
    Err(Refusal::UnknownParameters(unknown))
}
