//! Annotations, dependencies and properties from the files of `/metadata` (spec index-database §3
//! "Metadata").

use std::collections::BTreeMap;

use crate::document::{Document, METADATA, Source, first_document};
use crate::json::{self, Json};
use crate::properties::{Typed, raw_items, raw_member};
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
/// No annotations, or a file beyond the limits.
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
            found.1 = list(&document, "dependencies", Text::AsWritten);
        }
        if found.2.is_none() {
            found.2 = list(&document, "properties", Text::Compact);
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

fn list(document: &Document<'_>, name: &str, text: Text) -> Option<Vec<Typed>> {
    let Json::Array(items) = member(&document.value, name) else {
        return None;
    };
    let raw = match &document.source {
        Source::Json(whole) => raw_items(raw_member(whole, name)?),
        Source::Yaml => Vec::new(),
    };
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if !matches!(item, Json::Object(_) | Json::Null) {
            return None;
        }
        let kind = string(document, member(item, "type"))?;
        let value = match (&document.source, raw.get(at)) {
            (Source::Json(_), Some(raw)) => raw_member(raw, "value").map(|raw| match text {
                Text::AsWritten => raw.to_owned(),
                Text::Compact => json::compact(raw),
            }),
            _ => item.get("value").map(Json::to_text),
        };
        let missing = match text {
            // A dependency without a value is stored with none.
            Text::AsWritten => String::new(),
            Text::Compact => "null".to_owned(),
        };
        found.push(Typed {
            kind,
            value: value.unwrap_or(missing),
        });
    }
    Some(found).filter(|found| !found.is_empty())
}
