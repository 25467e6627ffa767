//! What the properties of a bundle say (spec index-database §13.1).

use std::borrow::Cow;

use base64::Engine as _;

use crate::base64::{BASE64, without_line_breaks};
use crate::blob::{CatalogBundle, PACKAGE, Property};
use crate::csv_metadata::{CSV_METADATA, CsvMetadata};
use crate::fields::{Fields, WrongType};

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
    /// An object that is neither JSON nor YAML.
    #[error("convert object[{number}] to JSON: {problem}")]
    Object {
        /// Its place among the objects, from 0.
        number: usize,
        /// What is wrong.
        problem: String,
    },
    /// A value that is no object's, in the words of the newest version.
    #[error("parse property at index {at} as bundle object: {problem}")]
    Value {
        /// Its place among the properties, from 0.
        at: usize,
        /// What is wrong.
        problem: String,
    },
    /// An object that is neither JSON nor YAML, in the words of the newest version.
    #[error("convert bundle object property at index {at} to JSON: {problem}")]
    Text {
        /// Its place among the properties, from 0.
        at: usize,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageProperty {
    pub(crate) package_name: String,
    pub(crate) version: String,
    /// Empty for none, and where it is no text: 1.26.4 does not look at it (newest-opm §6).
    pub(crate) release: String,
}

/// `olm.package.required`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequiredPackage {
    pub(crate) package_name: String,
    pub(crate) version_range: String,
}

/// `olm.gvk` and `olm.gvk.required`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gvk {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) version: String,
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
    known_value(property).map_err(|problem| ObjectFault::Property {
        at,
        kind: property.kind.clone(),
        problem,
    })
}

/// The same without the place.
pub(crate) fn known_value(property: &Property) -> Result<Known, String> {
    let Some(value) = &property.value else {
        return Err("unexpected end of JSON input: it has no value".to_owned());
    };
    let fields = || Fields::of(value);
    let typed = || -> Result<Option<Known>, WrongType> {
        Ok(Some(match property.kind.as_str() {
            PACKAGE => {
                let fields = fields()?;
                Known::Package(PackageProperty {
                    package_name: fields.string("packageName")?,
                    version: fields.string("version")?,
                    release: fields.string("release").unwrap_or_default(),
                })
            }
            "olm.package.required" => {
                let fields = fields()?;
                Known::RequiredPackage(RequiredPackage {
                    package_name: fields.string("packageName")?,
                    version_range: fields.string("versionRange")?,
                })
            }
            "olm.gvk" => Known::Gvk(gvk(&fields()?)?),
            "olm.gvk.required" => Known::RequiredGvk(gvk(&fields()?)?),
            OBJECT => return Ok(None),
            "olm.channel" => {
                let fields = fields()?;
                fields.string("channelName")?;
                fields.integer("priority")?;
                Known::Other
            }
            _ => Known::Other,
        }))
    };
    match typed().map_err(|wrong| wrong.to_string())? {
        Some(known) => Ok(known),
        None => object(&fields().map_err(|wrong| wrong.to_string())?).map(Known::Object),
    }
}

/// Reads one property as the newest version does (newest-opm §4 "Load").
pub(crate) fn known_newest(property: &Property) -> Result<Known, String> {
    let fields = |value| Fields::of(value).map_err(|wrong: WrongType| wrong.to_string());
    match (property.kind.as_str(), property.value.as_deref()) {
        (PACKAGE, Some(value)) => {
            let release = fields(value)?.string("release");
            release.map_err(|wrong| wrong.to_string())?;
            known_value(property)
        }
        (OBJECT, Some(value)) => {
            data(&fields(value)?).map(|data| Known::Object(Source::Data(data)))
        }
        (CSV_METADATA, Some(value)) => {
            let read = CsvMetadata::read(value);
            read.map_err(|wrong| wrong.to_string())?;
            Ok(Known::Other)
        }
        ("olm.channel", Some(_)) => Ok(Known::Other),
        _ => known_value(property),
    }
}

fn gvk(fields: &Fields<'_>) -> Result<Gvk, WrongType> {
    Ok(Gvk {
        group: fields.string("group")?,
        kind: fields.string("kind")?,
        version: fields.string("version")?,
    })
}

fn object(fields: &Fields<'_>) -> Result<Source, String> {
    let text = |name| fields.text(name).map_err(|wrong| wrong.to_string());
    let (file, data) = (text("ref")?, text("data")?);
    if !file.is_empty() && !data.is_empty() {
        return Err("fields 'ref' and 'data' are mutually exclusive".to_owned());
    }
    if !file.is_empty() {
        return Ok(Source::File(file.into_owned()));
    }
    decoded(&data).map(Source::Data)
}

/// The data of an object; none where it only names a file, to which the newest version does not go.
fn data(fields: &Fields<'_>) -> Result<Vec<u8>, String> {
    let data = fields.text("data").map_err(|wrong| wrong.to_string())?;
    decoded(&data)
}

fn decoded(data: &str) -> Result<Vec<u8>, String> {
    let bytes = BASE64.decode(&*without_line_breaks(data));
    bytes.map_err(|error| format!("illegal base64 data: {error}"))
}

/// Checks the objects of a bundle as the newest version does when it reads a catalog.
///
/// # Errors
/// [`ObjectFault::Value`] and [`ObjectFault::Text`], the first.
pub fn check_objects(bundle: &CatalogBundle) -> Result<(), ObjectFault> {
    newest_objects(bundle).map(drop)
}

/// The objects of a bundle as JSON texts, in their order, as the newest version reads them.
pub(crate) fn newest_objects(bundle: &CatalogBundle) -> Result<Vec<String>, ObjectFault> {
    let mut texts = Vec::new();
    let properties = bundle.properties.iter().enumerate();
    for (at, found) in properties.filter(|(_, found)| found.kind == OBJECT) {
        let known = known_newest(found);
        let known = known.map_err(|problem| ObjectFault::Value { at, problem })?;
        if let Known::Object(Source::Data(bytes)) = known {
            let text = as_json(&bytes).map_err(|problem| ObjectFault::Text { at, problem })?;
            texts.push(text.into_owned());
        }
    }
    Ok(texts)
}

/// The objects of a bundle as JSON texts, in their order.
pub(crate) fn objects(bundle: &CatalogBundle) -> Result<Vec<String>, ObjectFault> {
    let mut texts = Vec::new();
    for (at, property) in bundle.properties.iter().enumerate() {
        if property.kind != OBJECT {
            continue;
        }
        if let Known::Object(Source::Data(bytes)) = known(at, property)? {
            let number = texts.len();
            let text =
                as_json(&bytes).map_err(|problem| ObjectFault::Object { number, problem })?;
            texts.push(text.into_owned());
        }
    }
    Ok(texts)
}

/// JSON stays as it is, byte for byte; YAML is converted.
pub(crate) fn as_json(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(String::from_utf8_lossy(bytes));
    }
    let value = iib_bundle::yaml_text(bytes).and_then(iib_bundle::parse_yaml);
    let value = value.map_err(|error| format!("error converting YAML to JSON: yaml: {error}"))?;
    Ok(value.to_text().into())
}

/// Checks a bundle's properties and objects, and puts objects in place of the files they are in.
/// `read` gives the content of a file by the name it has in the property, or says what is wrong.
///
/// # Errors
/// [`ObjectFault`], the first: properties come before objects.
pub fn take_objects_in(
    bundle: &mut CatalogBundle,
    mut read: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<(), ObjectFault> {
    let properties = bundle.properties.iter().enumerate();
    let known: Vec<Known> = properties
        .map(|(at, property)| known(at, property))
        .collect::<Result<_, _>>()?;
    let mut number = 0;
    for (property, known) in bundle.properties.iter_mut().zip(known) {
        let Known::Object(source) = known else {
            continue;
        };
        let bytes = match source {
            Source::Data(bytes) => bytes,
            Source::File(name) => {
                let object = read(&name).and_then(|bytes| {
                    let value = format!(r#"{{"data":"{}"}}"#, BASE64.encode(&bytes));
                    *property = Property::new(OBJECT, &value).map_err(|error| error.to_string())?;
                    Ok(bytes)
                });
                object.map_err(|problem| ObjectFault::File { name, problem })?
            }
        };
        as_json(&bytes).map_err(|problem| ObjectFault::Object { number, problem })?;
        number += 1;
    }
    Ok(())
}

/// The same for `olm.package` only; anything else, and what cannot be read, is nothing.
pub(crate) fn known_package(at: usize, property: &Property) -> Option<Known> {
    (property.kind == PACKAGE)
        .then(|| known(at, property).ok())
        .flatten()
}
