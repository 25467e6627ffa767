//! Reading catalog texts: streams of JSON or YAML documents (spec index-database §13).

use std::borrow::Cow;

use iib_bundle::{YamlError, parse_yaml};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::blob::{Catalog, Other, or_default};

/// Why a catalog text cannot be read. The texts begin as the reference's do, as far as users meet
/// them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It ends inside a document.
    #[error("unexpected EOF: the JSON text ends inside a document")]
    Cut,
    /// It is not JSON.
    #[error("the JSON text is broken")]
    Json(#[source] serde_json::Error),
    /// It is not YAML.
    #[error("error converting YAML to JSON: yaml: {0}")]
    Yaml(YamlError),
    /// A document is not an object.
    #[error(
        "a document of the file is no object: leave files that are no catalog out with an .indexignore file"
    )]
    NoObject,
    /// An object does not say what it is.
    #[error("object '{0}' is missing root schema field")]
    NoSchema(String),
    /// A member of an object has the wrong type.
    #[error("parse {what}: json: cannot unmarshal: {source}")]
    Type {
        /// What the object is.
        what: &'static str,
        /// What is wrong; part of the message.
        source: serde_json::Error,
    },
}

/// Reads a text into a catalog.
///
/// # Errors
/// The first fault in it; the catalog has what came before.
pub fn read_text(text: &str, catalog: &mut Catalog) -> Result<(), ReadError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let documents = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        for document in documents {
            take(document.map_err(not_json)?.get(), catalog)?;
        }
        return Ok(());
    }
    for part in yaml_parts(text) {
        let value = parse_yaml(part).map_err(ReadError::Yaml)?;
        if value != iib_bundle::Json::Null {
            take(&value.to_text(), catalog)?;
        }
    }
    Ok(())
}

fn not_json(error: serde_json::Error) -> ReadError {
    if error.is_eof() {
        ReadError::Cut
    } else {
        ReadError::Json(error)
    }
}

/// What every object has.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    schema: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "or_default")]
    package: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "or_default")]
    name: Cow<'a, str>,
}

fn take(document: &str, catalog: &mut Catalog) -> Result<(), ReadError> {
    if !document.starts_with('{') {
        return Err(ReadError::NoObject);
    }
    let wrong = |what| move |source| ReadError::Type { what, source };
    let head: Head<'_> = serde_json::from_str(document).map_err(wrong("object"))?;
    match &*head.schema {
        "" => return Err(ReadError::NoSchema(document.to_owned())),
        "olm.package" => catalog
            .packages
            .push(serde_json::from_str(document).map_err(wrong("package"))?),
        "olm.channel" => catalog
            .channels
            .push(serde_json::from_str(document).map_err(wrong("channel"))?),
        "olm.bundle" => catalog
            .bundles
            .push(serde_json::from_str(document).map_err(wrong("bundle"))?),
        _ => catalog.others.push(Other {
            schema: head.schema.into_owned(),
            package: head.package.into_owned(),
            name: head.name.into_owned(),
            blob: serde_json::from_str(document).map_err(ReadError::Json)?,
        }),
    }
    Ok(())
}

/// The documents of a YAML text: what lies between lines that are `---` and nothing else.
fn yaml_parts(text: &str) -> impl Iterator<Item = &str> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        let separates = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim_end().is_empty());
        if separates {
            parts.push(text.get(start..at).unwrap_or_default());
            start = next;
        }
        at = next;
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts.into_iter().filter(|part| !part.trim().is_empty())
}
