//! Properties of a bundle (spec index-database §3 "Properties of a bundle", §4 step 4).

use std::collections::BTreeSet;

use crate::ApiKey;
use crate::csv::Csv;
use crate::json::{self, Json, JsonError};
use crate::typed::{Shape, TypeMismatch, text};

/// A property or dependency: a type, and a value as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Typed {
    /// The type, such as `olm.package`.
    pub kind: String,
    /// The value's text, byte for byte as stored.
    pub value: String,
}

/// What is wrong with the annotation `olm.properties`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyFault {
    /// Not JSON.
    #[error("{0}")]
    Json(JsonError),
    /// Not a list of {type, value}, or a known type with a value of the wrong shape.
    #[error("{0}")]
    Type(TypeMismatch),
}

static LIST: Shape = Shape::List(
    "[]registry.Property",
    &Shape::Struct(
        "registry.Property",
        &[("type", Shape::Str), ("value", Shape::Any)],
    ),
);
static LABEL: Shape = Shape::Struct("registry.LabelProperty", &[("label", Shape::Str)]);
static PACKAGE: Shape = Shape::Struct(
    "registry.PackageProperty",
    &[("packageName", Shape::Str), ("version", Shape::Str)],
);
static GVK: Shape = Shape::Struct(
    "registry.GVKProperty",
    &[
        ("group", Shape::Str),
        ("kind", Shape::Str),
        ("version", Shape::Str),
    ],
);

/// The properties the CSV's annotation lists, values in the order they are written in.
///
/// # Errors
/// The annotation is not a JSON list of {type, value}, or a known type has a value of the wrong
/// shape.
pub(crate) fn annotated(csv: &Csv<'_>) -> Result<Vec<Typed>, PropertyFault> {
    let Some(annotation) = csv.annotation("olm.properties") else {
        return Ok(Vec::new());
    };
    let value = json::parse_json(annotation).map_err(PropertyFault::Json)?;
    LIST.check(&value).map_err(PropertyFault::Type)?;
    let Json::Array(list) = value else {
        return Ok(Vec::new());
    };
    let texts = raw_items(annotation);
    let mut properties = Vec::new();
    for (item, raw) in list.iter().zip(texts) {
        let kind = text(item, "type");
        let known = match kind.as_str() {
            "olm.label" => Some(&LABEL),
            "olm.package" => Some(&PACKAGE),
            "olm.gvk" => Some(&GVK),
            _ => None,
        };
        let raw = raw_member(raw, "value");
        if let Some(shape) = known {
            let value = raw.map_or(Err(JsonError::End), json::parse_json);
            let value = value.map_err(PropertyFault::Json)?;
            shape.check(&value).map_err(PropertyFault::Type)?;
        }
        let value = raw.map_or_else(|| "null".to_owned(), json::compact);
        properties.push(Typed { kind, value });
    }
    Ok(properties)
}

/// `olm.package` {packageName, version}.
pub(crate) fn package(package: &str, version: &str) -> Typed {
    Typed {
        kind: "olm.package".to_owned(),
        value: package_text(package, version),
    }
}

/// The JSON text `{"packageName","version"}`.
pub(crate) fn package_text(package: &str, version: &str) -> String {
    let mut value = String::from("{\"packageName\":");
    json::write_string(&mut value, package);
    value.push_str(",\"version\":");
    json::write_string(&mut value, version);
    value.push('}');
    value
}

/// The set that is stored: what the file lists, the package, what the annotation lists, the
/// provided APIs. Duplicates by type and text are dropped, the first of them stays.
pub(crate) fn assemble(
    listed: Vec<Typed>,
    package: Option<Typed>,
    annotated: Vec<Typed>,
    provided: &BTreeSet<ApiKey>,
) -> Vec<Typed> {
    let gvks = provided.iter().map(|key| Typed {
        kind: "olm.gvk".to_owned(),
        value: key.gvk_text(),
    });
    let mut seen = BTreeSet::new();
    listed
        .into_iter()
        .chain(package)
        .chain(annotated)
        .chain(gvks)
        .filter(|property| seen.insert(property.clone()))
        .collect()
}

/// The texts of the items of a JSON list that is known to be well-formed.
pub(crate) fn raw_items(list: &str) -> Vec<&str> {
    parts(list).into_iter().map(|(_, item)| item).collect()
}

/// The text of a member of a JSON object that is known to be well-formed; of several the last.
pub(crate) fn raw_member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let found = parts(object).into_iter().rev();
    found
        .filter_map(|(key, member)| Some((key?, member)))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, member)| member)
}

/// Keys and texts of the members of a list or object.
fn parts(text: &str) -> Vec<(Option<String>, &str)> {
    let text = text.trim();
    let object = text.starts_with('{');
    let mut rest = text.get(1..text.len().max(2) - 1).unwrap_or_default();
    let mut parts = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        let mut key = None;
        if object {
            let Ok((Json::String(name), raw)) = json::first_value(rest) else {
                return parts;
            };
            rest = rest.get(raw.len()..).unwrap_or_default();
            rest = rest.trim_start_matches([':', ' ', '\t', '\r', '\n']);
            key = Some(name);
        }
        let Ok((_, raw)) = json::first_value(rest) else {
            return parts;
        };
        rest = rest.get(raw.len()..).unwrap_or_default();
        parts.push((key, raw));
    }
}

#[cfg(test)]
mod tests {
    use super::{raw_items, raw_member};

    #[test]
    fn raw_texts_are_cut_out_of_lists_and_objects() {
        assert_eq!(
            raw_items(" [ 1 , {\"a\":[2]} , \"],\" ] "),
            ["1", "{\"a\":[2]}", "\"],\""]
        );
        assert_eq!(raw_items("[]"), [""; 0]);
        assert_eq!(raw_items("null"), [""; 0]);
        let object = "{\"type\": \"t\", \"Value\": { \"b\": 1, \"a\": 2 }}";
        assert_eq!(raw_member(object, "value"), Some("{ \"b\": 1, \"a\": 2 }"));
        assert_eq!(raw_member(object, "other"), None);
    }
}
