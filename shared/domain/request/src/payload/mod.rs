//! Reading the parameters of a call (spec rest-api §4, preface to §4.3).
//!
//! What an endpoint takes stands in [`crate::kinds`]; here is how values are read, and what
//! several endpoints share.

mod auths;
mod graph_mode;
mod index;
mod parameter;

use std::collections::{BTreeMap, BTreeSet};

use iib_oci::PullSpec;
use iib_oci::hosts::HostRules;
use serde_json::{Map, Value};

use crate::refusal::Rule;
use crate::{ApiSettings, BinaryImages, Refusal};

pub(crate) use auths::{LOGINS, check_registry_auths};
pub(crate) use graph_mode::check_graph_mode;
pub(crate) use index::{
    BINARY_IMAGE, BUILD_TAGS, DISTRIBUTION_SCOPE, FROM_INDEX, GRAPH_UPDATE_MODE, INDEX,
    IndexParameters, ORGANIZATION, OUTPUT_FORMAT, OVERWRITE_TOKEN, ROLLBACK, binary_image,
    output_format, scope, tags,
};
pub use parameter::{Parameter, ParameterForm, Parameters};

/// The parameters of a call.
pub type Payload = Map<String, Value>;

/// What reading a payload depends on besides the payload.
#[derive(Debug, Clone, Copy)]
pub struct ReadContext<'a> {
    /// Settings of the API.
    pub api: &'a ApiSettings,
    /// Binary images of the settings; if there are any, a call may leave its own out.
    pub binary_images: &'a BinaryImages,
    /// Which hosts images may be at.
    pub hosts: &'a HostRules,
    /// Who asks, if known: such a user needs a token to overwrite (§2).
    pub user: Option<&'a str>,
}

/// Whether a value counts as not given: `""`, `0`, `[]`, `{}` and `null` do, `false` does not
/// (spec rest-api, preface).
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Whether a value says yes, or is one at all: where the reference asks this, `false` counts as not given,
/// too.
pub(crate) fn is_truthy(value: &Value) -> bool {
    !is_empty(value) && *value != Value::Bool(false)
}

/// Whether a parameter is given where `false` counts as not given.
pub(crate) fn given(payload: &Payload, name: &str) -> bool {
    payload.get(name).is_some_and(is_truthy)
}

/// The value of a parameter, if it is set.
pub(crate) fn set<'a>(payload: &'a Payload, name: &str) -> Option<&'a Value> {
    payload.get(name).filter(|value| !is_empty(value))
}

/// A text; an empty one counts as not given, and null is none.
pub(crate) fn text(payload: &Payload, name: &'static str) -> Result<Option<String>, Refusal> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::not_a_string(name)),
    }
}

/// A text where an empty value of any type counts as not given (§4.2).
pub(crate) fn set_text(payload: &Payload, name: &'static str) -> Result<Option<String>, Refusal> {
    match set(payload, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::not_a_string(name)),
    }
}

/// An object of texts (§4.6, §4.10).
pub(crate) fn string_map(
    value: &Value,
    name: &'static str,
) -> Result<BTreeMap<String, String>, Refusal> {
    let Value::Object(given) = value else {
        return Err(Refusal::not_an_object(name));
    };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        _ => {
            let text = format!("The key and value of \"{key}\" must be a string");
            Err(Refusal::new(Rule::Type, name, text))
        }
    };
    given.iter().map(pair).collect()
}

/// A list of non-empty texts; `None` if it is anything else.
pub(crate) fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |item: &Value| {
        item.as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    value.as_array()?.iter().map(text).collect()
}

/// A list of texts without repeats, of which the first is kept; null is none.
pub(crate) fn list(payload: &Payload, name: &'static str) -> Result<Vec<String>, Refusal> {
    let Some(value) = payload.get(name) else {
        return Ok(Vec::new());
    };
    let texts = texts(value).ok_or_else(|| Refusal::not_strings(name))?;
    Ok(distinct(texts))
}

/// Texts without repeats, of which the first is kept.
pub(crate) fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let first = texts.into_iter().filter(|text| seen.insert(text.clone()));
    first.collect()
}

/// Refuses an image that has neither tag nor digest (§4.1).
pub(crate) fn check_image(image: &str) -> Result<(), Refusal> {
    if image == "scratch" || image.contains([':', '@']) {
        return Ok(());
    }
    let text = format!("Image {image} should have a tag or a digest specified.");
    Err(Refusal::new(Rule::Image, None, text))
}

/// Longest pull spec that is taken, bytes: far longer than registries' names, and short enough for every
/// key that it is part of.
pub const LONGEST_IMAGE: usize = 1024;

/// Refuses what no pull spec is, whatever else may be wrong with it, naming its parameter. Ours.
pub(crate) fn check_form(field: &'static str, image: &str) -> Result<(), Refusal> {
    if image.len() > LONGEST_IMAGE {
        let text = format!(
            "\"{field}\" has an image of {} bytes, at most {LONGEST_IMAGE} are taken: write its pull spec and nothing more",
            image.len()
        );
        return Err(Refusal::new(Rule::Image, field, text));
    }
    if image.contains(|c: char| c.is_control() || c.is_whitespace()) {
        // Line breaks stay out of the text, which is logged.
        let shown = image.escape_debug();
        let text = format!(
            "\"{field}\" has the image \"{shown}\", in which there are spaces or control characters: write its pull spec and nothing more"
        );
        return Err(Refusal::new(Rule::Image, field, text));
    }
    Ok(())
}

/// Longest name of a package, bytes: that of a Kubernetes object.
const LONGEST_NAME: usize = 253;

/// Refuses what names no package, naming its parameter: it is logged and listed. Ours.
pub(crate) fn check_package(field: &'static str, name: &str) -> Result<(), Refusal> {
    let fault = match name.len() > LONGEST_NAME {
        true => format!(
            "a name of {} bytes, at most {LONGEST_NAME} are taken",
            name.len()
        ),
        false if name.contains(char::is_control) => {
            let shown = name.escape_debug();
            format!("the name \"{shown}\", in which there are control characters")
        }
        false => return Ok(()),
    };
    let text = format!("\"{field}\" has {fault}: write the name of the package and nothing more");
    Err(Refusal::new(Rule::Type, field, text))
}

/// Refuses images at hosts that are not spoken to, each with its parameter. What is no pull spec is
/// left to the stage that looks it up, which says what is wrong with it.
pub(crate) fn check_hosts<'a>(
    images: impl IntoIterator<Item = (&'static str, &'a str)>,
    hosts: &HostRules,
) -> Result<(), Refusal> {
    for (field, image) in images {
        let Ok(spec) = image.parse::<PullSpec>() else {
            continue;
        };
        let checked = hosts.check_repository(spec.repository());
        checked.map_err(|refused| Refusal::host(field, image, &refused))?;
    }
    Ok(())
}

/// Refuses a call without a required name, with a name the endpoint does not know, or with nothing
/// for a required one, in this order (§4.2). Several names are sorted.
pub(crate) fn check_names(payload: &Payload, taken: Parameters) -> Result<(), Refusal> {
    let required = || taken.iter().filter(|parameter| parameter.is_required);
    let required = || required().map(|parameter| parameter.name);
    let missing = required().filter(|name| !payload.contains_key(*name));
    if let Some(text) = sorted("Missing required parameter(s): ", missing.collect()) {
        return Err(Refusal::new(Rule::Missing, None, text));
    }
    let names = payload.keys().map(String::as_str);
    let unknown = |name: &&str| taken.iter().all(|parameter| parameter.name != *name);
    let unknown = names.filter(unknown).collect();
    if let Some(text) = sorted("The following parameters are invalid: ", unknown) {
        return Err(Refusal::new(Rule::UnknownParameter, None, text));
    }
    let nothing = required().find(|name| !given(payload, name));
    nothing.map_or(Ok(()), |name| {
        let text = format!("\"{name}\" must be set");
        Err(Refusal::new(Rule::Missing, name, text))
    })
}

/// A text that ends in these names; `None` if there are none.
fn sorted(text: &str, mut names: Vec<&str>) -> Option<String> {
    names.sort_unstable();
    (!names.is_empty()).then(|| format!("{text}{}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn false_is_a_value_and_nothing_is_not() {
        for value in [
            json!(null),
            json!(""),
            json!(0),
            json!(0.0),
            json!([]),
            json!({}),
        ] {
            assert!(is_empty(&value), "{value}");
        }
        for value in [
            json!(false),
            json!(1),
            json!("0"),
            json!([null]),
            json!({"a": null}),
        ] {
            assert!(!is_empty(&value), "{value}");
        }
    }

    #[test]
    fn an_image_needs_a_tag_or_a_digest() {
        for image in [
            "scratch",
            "r.example/a:1",
            "r.example/a@sha256:00",
            "r.example:5000/a",
        ] {
            assert_eq!(check_image(image), Ok(()), "{image}");
        }
        for image in ["r.example/a", "scratch2", "Scratch"] {
            let refused = check_image(image).unwrap_err();
            assert_eq!((refused.rule(), refused.status()), (Rule::Image, 400));
        }
    }
}
