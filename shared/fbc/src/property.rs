//! What the properties of a bundle say (spec index-database §13.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::blob::{CatalogBundle, Property, or_default};

pub(crate) const OBJECT: &str = "olm.bundle.object";

/// A property cannot be read, or the object it stands for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectFault {
    /// A value of the wrong shape, or none.
    #[error("parse properties: parse property[{at}] of type {kind:?}: {problem}")]
    Property {
        /// Its place in the list, from 0.
        at: usize,
        /// Its type.
        kind: String,
        /// What is wrong.
        problem: String,
    },
    /// A file that an object is in cannot be read.
    #[error("get data for bundle object {name:?}: {problem}")]
    File {
        /// The file, as the property names it.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// `olm.package`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PackageProperty {
    #[serde(deserialize_with = "or_default")]
    pub(crate) package_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) version: String,
}

/// `olm.package.required`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RequiredPackage {
    #[serde(deserialize_with = "or_default")]
    pub(crate) package_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) version_range: String,
}

/// `olm.gvk` and `olm.gvk.required`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Gvk {
    #[serde(deserialize_with = "or_default")]
    pub(crate) group: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) version: String,
}

/// `olm.bundle.object`: its content, or the file that has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct ObjectProperty {
    #[serde(rename = "ref", deserialize_with = "or_default")]
    file: String,
    #[serde(deserialize_with = "or_default")]
    data: String,
}

/// A property whose type is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    Package(PackageProperty),
    RequiredPackage(RequiredPackage),
    Gvk(Gvk),
    RequiredGvk(Gvk),
    Object(Source),
    Other,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Here.
    Data(Vec<u8>),
    /// In a file relative to the catalog's.
    File(String),
}

/// Reads one property, which is at this place in its list.
pub(crate) fn known(at: usize, property: &Property) -> Result<Known, ObjectFault> {
    let fault = |problem: String| ObjectFault::Property {
        at,
        kind: property.kind.clone(),
        problem,
    };
    if property.value.is_none() {
        return Err(fault(
            "unexpected end of JSON input: it has no value".to_owned(),
        ));
    }
    Ok(match property.kind.as_str() {
        "olm.package" => Known::Package(typed(property).map_err(fault)?),
        "olm.package.required" => Known::RequiredPackage(typed(property).map_err(fault)?),
        "olm.gvk" => Known::Gvk(typed(property).map_err(fault)?),
        "olm.gvk.required" => Known::RequiredGvk(typed(property).map_err(fault)?),
        OBJECT => Known::Object(object(property).map_err(fault)?),
        _ => Known::Other,
    })
}

fn typed<T: DeserializeOwned + Default>(property: &Property) -> Result<T, String> {
    // Read by position, a list would pass for an object.
    if property.text().starts_with('[') {
        return Err("json: cannot unmarshal array: the value has to be an object".to_owned());
    }
    let value: Option<T> = serde_json::from_str(property.text())
        .map_err(|error| format!("json: cannot unmarshal: {error}"))?;
    Ok(value.unwrap_or_default())
}

fn object(property: &Property) -> Result<Source, String> {
    let ObjectProperty { file, data } = typed(property)?;
    if !file.is_empty() && !data.is_empty() {
        return Err("fields 'ref' and 'data' are mutually exclusive".to_owned());
    }
    if !file.is_empty() {
        return Ok(Source::File(file));
    }
    // Line breaks inside are passed over, as the reference does.
    let lines: String = data.split(['\n', '\r']).collect();
    let bytes = STANDARD.decode(lines);
    Ok(Source::Data(bytes.map_err(|error| {
        format!("illegal base64 data: {error}")
    })?))
}

/// The objects of a bundle as JSON texts, in their order.
pub(crate) fn objects(bundle: &CatalogBundle) -> Result<Vec<String>, ObjectFault> {
    let mut texts = Vec::new();
    for (at, property) in bundle.properties.iter().enumerate() {
        if property.kind != OBJECT {
            continue;
        }
        if let Known::Object(Source::Data(bytes)) = known(at, property)? {
            texts.push(as_json(&bytes).map_err(|problem| ObjectFault::Property {
                at,
                kind: OBJECT.to_owned(),
                problem,
            })?);
        }
    }
    Ok(texts)
}

/// JSON stays as it is, byte for byte; YAML is converted.
fn as_json(bytes: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim_start().starts_with('{') {
        return Ok(text.into_owned());
    }
    let value = iib_bundle::parse_yaml(&text);
    let value = value.map_err(|error| format!("error converting YAML to JSON: yaml: {error}"))?;
    Ok(value.to_text())
}

/// Checks a bundle's properties, and puts objects in place of the files they are in. `read` gives
/// the content of a file by the name it has in the property, or says what is wrong.
///
/// # Errors
/// [`ObjectFault`], the first.
pub fn take_objects_in(
    bundle: &mut CatalogBundle,
    mut read: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<(), ObjectFault> {
    for (at, property) in bundle.properties.iter_mut().enumerate() {
        let Known::Object(Source::File(name)) = known(at, property)? else {
            continue;
        };
        let object = read(&name).and_then(|bytes| {
            let value = format!(r#"{{"data":"{}"}}"#, STANDARD.encode(bytes));
            Property::new(OBJECT, &value).map_err(|error| error.to_string())
        });
        *property = object.map_err(|problem| ObjectFault::File { name, problem })?;
    }
    Ok(())
}

/// The same for `olm.package` only; anything else, and what cannot be read, is nothing.
pub(crate) fn known_package(at: usize, property: &Property) -> Option<Known> {
    (property.kind == "olm.package")
        .then(|| known(at, property).ok())
        .flatten()
}
