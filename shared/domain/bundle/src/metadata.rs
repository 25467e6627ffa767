//! Annotations, dependencies and properties from the files of `/metadata` (spec index-database §3
//! "Metadata").

use std::collections::BTreeMap;

use crate::document::{Document, METADATA, Source, first_document};
use crate::json::{self, Json};
use crate::properties::{Typed, check_property, no_list, no_property, raw_items, raw_member};
use crate::typed::member;
use crate::yaml::string_form;
use crate::{BundleError, Unreadable};

const PREFIX: &str = "operators.operatorframework.io.bundle.";

/// What the annotations file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Annotations {
    pub(crate) package: String,
    pub(crate) channels: String,
    pub(crate) default_channel: String,
}

/// What the files of `/metadata` say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata {
    pub(crate) annotations: Annotations,
    pub(crate) dependencies: Vec<Typed>,
    pub(crate) properties: Vec<Typed>,
}

/// Reads the files. For each of the three things the first file that yields it is taken. Those that
/// cannot be read are noted and passed over.
///
/// # Errors
/// No annotations, a file beyond the limits, or one with a property or dependency that could not be
/// read back from the index.
pub(crate) fn read(
    files: &BTreeMap<String, Vec<u8>>,
    unreadable: &mut Vec<Unreadable>,
) -> Result<Metadata, BundleError> {
    let mut found = (None, None, None);
    for (name, bytes) in files {
        let document = match first_document(&format!("{METADATA}{name}"), bytes) {
            Ok(document) => document,
            Err(fault) => {
                fault.note(unreadable)?;
                continue;
            }
        };
        if found.0.is_none() {
            found.0 = annotations(&document);
        }
        if found.1.is_none() {
            found.1 = list(name, &document, "dependencies", Text::AsWritten)?;
        }
        if found.2.is_none() {
            found.2 = list(name, &document, "properties", Text::Compact)?;
        }
    }
    let (Some(annotations), dependencies, properties) = found else {
        return Err(BundleError::NoAnnotations);
    };
    Ok(Metadata {
        annotations,
        dependencies: dependencies.unwrap_or_default(),
        properties: properties.unwrap_or_default(),
    })
}

/// A string member; `None` when its type keeps the file from being decoded.
fn string(document: &Document<'_>, value: &Json) -> Option<String> {
    match (value, &document.source) {
        (Json::Null, _) => Some(String::new()),
        (Json::String(text), _) => Some(text.clone()),
        (other, Source::Yaml) => string_form(other),
        (_, Source::Json(_)) => None,
    }
}

fn annotations(document: &Document<'_>) -> Option<Annotations> {
    let (Json::Object(_), Json::Object(_)) =
        (&document.value, member(&document.value, "annotations"))
    else {
        return None;
    };
    let mapping = member(&document.value, "annotations");
    let get = |name| string(document, member(mapping, &format!("{PREFIX}{name}")));
    let found = Annotations {
        package: get("package.v1")?,
        channels: get("channels.v1")?,
        default_channel: get("channel.default.v1")?,
    };
    Some(found).filter(|found| *found != Annotations::default())
}

/// Dependencies of a JSON file are stored as they are written there, properties compactly.
#[derive(Clone, Copy)]
enum Text {
    AsWritten,
    Compact,
}

/// The items of a list; `None` when there is none or it is empty. The reference passes over a file
/// that it cannot decode and keeps values that it cannot read back; both would be noticed late.
///
/// # Errors
/// Something else in place of the list, an item that is no {type, value}, or has a value of the wrong shape.
fn list(
    file: &str,
    document: &Document<'_>,
    name: &'static str,
    text: Text,
) -> Result<Option<Vec<Typed>>, BundleError> {
    let refused = |fault| BundleError::Property {
        file: format!("{METADATA}{file}"),
        fault,
    };
    let items = match member(&document.value, name) {
        Json::Array(items) => items,
        Json::Null => return Ok(None),
        other => return Err(refused(no_list(name, other))),
    };
    let raw = match &document.source {
        Source::Json(whole) => raw_items(raw_member(whole, name).unwrap_or_default()),
        Source::Yaml => Vec::new(),
    };
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let kind = match item {
            Json::Object(_) => string(document, member(item, "type")),
            _ => None,
        };
        let kind = kind.ok_or_else(|| refused(no_property(&[name], at, item)))?;
        let own = match document.source {
            Source::Json(_) => Some(member(item, "value")),
            Source::Yaml => item.get("value"),
        };
        check_property(&[name], at, &kind, own).map_err(refused)?;
        let value = match (&document.source, raw.get(at)) {
            (Source::Json(_), Some(raw)) => raw_member(raw, "value").map(|raw| match text {
                Text::AsWritten => raw.to_owned(),
                Text::Compact => json::compact(raw),
            }),
            _ => own.map(Json::to_text),
        };
        let value = value.unwrap_or_default();
        found.push(Typed { kind, value });
    }
    Ok(Some(found).filter(|found| !found.is_empty()))
}
