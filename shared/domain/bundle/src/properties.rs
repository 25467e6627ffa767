//! Properties of a bundle (spec index-database §3 "Properties of a bundle", §4 step 4).

use std::collections::BTreeSet;

use crate::ApiKey;
use crate::csv::Csv;
use crate::json::{self, Json, JsonError};
use crate::typed::{Shape, TypeMismatch, member, text};

/// A property or dependency: a type, and a value as JSON text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Typed {
    /// The type, such as `olm.package`.
    pub kind: String,
    /// The value's text, byte for byte as stored.
    pub value: String,
}

/// What is wrong with a list of properties or dependencies, in the reference's words where it says
/// something.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyFault {
    /// The annotation is not JSON.
    #[error("{0}")]
    Json(JsonError),
    /// Not a list of {type, value}, or a known type with a value of the wrong shape.
    #[error("{0}")]
    Type(TypeMismatch),
    /// A property without a value. The reference says so when it reads the index.
    #[error("unexpected end of JSON input")]
    NoValue {
        /// Which one, such as `properties[1]`.
        place: String,
        /// Its type.
        kind: String,
    },
    /// A property without a type.
    #[error("a property has no type")]
    NoType {
        /// Which one.
        place: String,
    },
}

impl PropertyFault {
    /// What is wrong, in words for people.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Json(fault) => format!("{ANNOTATION} is not JSON: {fault}"),
            Self::Type(fault) => fault.told(),
            Self::NoValue { place, kind } => {
                let kind = Json::String(kind.clone()).to_text();
                format!("{place} has the type {kind} and no value")
            }
            Self::NoType { place } => format!("{place} has no type, expected a text"),
        }
    }
}

/// The annotation with properties, as its place is told.
const ANNOTATION: &str = "metadata.annotations[\"olm.properties\"]";

static ITEM: Shape = Shape::Struct(
    "registry.Property",
    &[("type", Shape::Str), ("value", Shape::Any)],
);
static LIST: Shape = Shape::List("[]registry.Property", &Shape::Ref(&ITEM));
static LABEL: Shape = Shape::Struct("registry.LabelProperty", &[("label", Shape::Str)]);
static PACKAGE: Shape = Shape::Struct(
    "registry.PackageProperty",
    &[("packageName", Shape::Str), ("version", Shape::Str)],
);
static REQUIRED_PACKAGE: Shape = Shape::Struct(
    "property.PackageRequired",
    &[("packageName", Shape::Str), ("versionRange", Shape::Str)],
);
static GVK: Shape = Shape::Struct(
    "registry.GVKProperty",
    &[
        ("group", Shape::Str),
        ("kind", Shape::Str),
        ("version", Shape::Str),
    ],
);
static CHANNEL: Shape = Shape::Struct(
    "property.Channel",
    &[("channelName", Shape::Str), ("priority", Shape::Int64)],
);
static OBJECT: Shape = Shape::Struct(
    "property.BundleObject",
    &[("ref", Shape::Str), ("data", Shape::Str)],
);

/// The types whose values the reference reads: some when the bundle is added, all when the index
/// becomes a catalog (spec index-database §4, §13.1). Any other value is only passed on.
fn shape_of(kind: &str) -> Option<&'static Shape> {
    match kind {
        "olm.label" => Some(&LABEL),
        "olm.package" => Some(&PACKAGE),
        "olm.package.required" => Some(&REQUIRED_PACKAGE),
        "olm.gvk" | "olm.gvk.required" => Some(&GVK),
        "olm.channel" => Some(&CHANNEL),
        "olm.bundle.object" => Some(&OBJECT),
        _ => None,
    }
}

/// Checks one property or dependency, the item `at` of the list at this place. One that passes can
/// be read back from the index.
pub(crate) fn check_property(
    list: &[&str],
    at: usize,
    kind: &str,
    value: Option<&Json>,
) -> Result<(), PropertyFault> {
    let place = || match list {
        [name] => format!("{name}[{at}]"),
        _ => format!("{ANNOTATION}[{at}]"),
    };
    if kind.is_empty() {
        return Err(PropertyFault::NoType { place: place() });
    }
    let Some(value) = value.filter(|value| **value != Json::Null) else {
        return Err(PropertyFault::NoValue {
            place: place(),
            kind: kind.to_owned(),
        });
    };
    let checked = shape_of(kind).map_or(Ok(()), |shape| shape.check(value));
    checked.map_err(|fault| PropertyFault::Type(fault.inside(&["value"]).in_item(at).inside(list)))
}

/// Complains of what stands in place of such a list.
pub(crate) fn no_list(name: &'static str, value: &Json) -> PropertyFault {
    let fault = match LIST.check(value) {
        Err(fault) => fault,
        // A list is no such thing.
        Ok(()) => TypeMismatch::of_no_text(value),
    };
    PropertyFault::Type(fault.inside(&[name]))
}

/// Complains of an item of such a list that is no {type, value}.
pub(crate) fn no_property(list: &[&str], at: usize, item: &Json) -> PropertyFault {
    let fault = match ITEM.check(item) {
        Err(fault) => fault,
        // Its type is of a kind that is no text in JSON.
        Ok(()) => TypeMismatch::of_no_text(member(item, "type")).inside(&["type"]),
    };
    PropertyFault::Type(fault.in_item(at).inside(list))
}

/// The properties the CSV's annotation lists, values in the order they are written in.
///
/// # Errors
/// The annotation is not a JSON list of {type, value}, or a property has no value, or a known type
/// one of the wrong shape.
pub(crate) fn annotated(csv: &Csv<'_>) -> Result<Vec<Typed>, PropertyFault> {
    const PLACE: [&str; 3] = ["metadata", "annotations", "olm.properties"];
    let Some(annotation) = csv.annotation("olm.properties") else {
        return Ok(Vec::new());
    };
    let value = json::parse_json(annotation).map_err(PropertyFault::Json)?;
    (LIST.check(&value)).map_err(|fault| PropertyFault::Type(fault.inside(&PLACE)))?;
    let Json::Array(list) = value else {
        return Ok(Vec::new());
    };
    let texts = raw_items(annotation);
    let mut properties = Vec::new();
    for (at, (item, raw)) in list.iter().zip(texts).enumerate() {
        let kind = text(item, "type");
        check_property(&PLACE, at, &kind, Some(member(item, "value")))?;
        let value = raw_member(raw, "value").map(json::compact);
        let value = value.unwrap_or_default();
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
