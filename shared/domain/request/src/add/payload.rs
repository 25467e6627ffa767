//! Reading parameters out of a JSON object.

use serde_json::{Map, Value};

use crate::Refusal;

/// The parameters of a call.
pub(super) type Payload = Map<String, Value>;

/// Whether a value counts as not given: `""`, `0`, `[]`, `{}` and `null` do, `false` does not
/// (spec rest-api, preface).
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// The value of a parameter, if it is set.
pub(super) fn set<'a>(payload: &'a Payload, name: &str) -> Option<&'a Value> {
    payload.get(name).filter(|value| !is_empty(value))
}

/// A list of non-empty texts; `None` if it is anything else.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |item: &Value| {
        item.as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    value.as_array()?.iter().map(text).collect()
}

/// Drops repeats; the first of each is kept in its place.
pub(super) fn without_repeats(texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    texts
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

/// Refuses an image that has neither tag nor digest (spec rest-api §4.1).
pub(super) fn check_image(image: &str) -> Result<(), Refusal> {
    if image == "scratch" || image.contains([':', '@']) {
        return Ok(());
    }
    Err(Refusal::Image(image.to_owned()))
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
            assert_eq!(check_image(image), Err(Refusal::Image(image.to_owned())));
        }
    }
}
