//! What is read from the ClusterServiceVersion (spec index-database §3 "Other fields").

use std::fmt;

use crate::json::{Json, Number};
use crate::typed::{Shape, TypeMismatch, member, text};

/// A member of `metadata` with the wrong type, in the words of the reference's converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFault(String);

impl fmt::Display for MetadataFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A group, version, kind and name, as the CSV lists owned and required APIs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// Owned and required definitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Definitions {
    pub(crate) owned: Vec<Definition>,
    pub(crate) required: Vec<Definition>,
}

static SPEC: Shape = Shape::Map("map[string]*json.RawMessage", &Shape::Any);
static STRING: Shape = Shape::Str;
static STRINGS: Shape = Shape::List("[]string", &Shape::Str);
static DEFINITION: Shape = Shape::Struct(
    "registry.DefinitionKey",
    &[
        ("group", Shape::Str),
        ("kind", Shape::Str),
        ("name", Shape::Str),
        ("version", Shape::Str),
    ],
);
// The reference's structure has no name; an empty one makes a complaint about a member name the
// innermost structure, as it does there.
static DEFINITIONS: Shape = Shape::Struct(
    "struct { Owned []*registry.DefinitionKey \"json:\\\"owned\\\"\"; Required []*registry.DefinitionKey \"json:\\\"required\\\"\" }",
    &[
        (
            "owned",
            Shape::List("[]*registry.DefinitionKey", &Shape::Ref(&DEFINITION)),
        ),
        (
            "required",
            Shape::List("[]*registry.DefinitionKey", &Shape::Ref(&DEFINITION)),
        ),
    ],
);

/// The CSV of a bundle.
pub(crate) struct Csv<'a> {
    object: &'a Json,
}

impl<'a> Csv<'a> {
    /// Takes the CSV apart.
    ///
    /// # Errors
    /// `metadata` is no object, or has members of the wrong type.
    pub(crate) fn read(object: &'a Json) -> Result<Self, MetadataFault> {
        match object.get("metadata") {
            None | Some(Json::Null) => {}
            Some(Json::Object(metadata)) => {
                for name in [
                    "name",
                    "namespace",
                    "generateName",
                    "uid",
                    "resourceVersion",
                ] {
                    metadata.get(name).map_or(Ok(()), convert_text)?;
                }
                for name in ["annotations", "labels"] {
                    match metadata.get(name) {
                        None | Some(Json::Null) => {}
                        Some(Json::Object(texts)) => texts.values().try_for_each(convert_text)?,
                        Some(other) => return Err(cannot_restore("map from", other)),
                    }
                }
            }
            Some(other) => return Err(cannot_restore("struct from:", other)),
        }
        Ok(Self { object })
    }

    fn metadata(&self, name: &str) -> Option<&'a Json> {
        self.object.get("metadata")?.get(name)
    }

    /// `metadata.name`; empty when there is none.
    pub(crate) fn name(&self) -> String {
        self.metadata("name")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&'a str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    pub(crate) fn has_spec(&self) -> bool {
        self.object.get("spec").is_some()
    }

    pub(crate) fn spec(&self) -> &'a Json {
        self.object.get("spec").unwrap_or(&Json::Null)
    }

    /// A member of `spec` by its exact name; `None` when it is absent or null.
    fn spec_member(&self, name: &str) -> Result<Option<&'a Json>, TypeMismatch> {
        SPEC.check(self.spec())?;
        Ok(self.spec().get(name).filter(|value| **value != Json::Null))
    }

    fn spec_text(&self, name: &str) -> Result<String, TypeMismatch> {
        let Some(value) = self.spec_member(name)? else {
            return Ok(String::new());
        };
        STRING.check(value)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn version(&self) -> Result<String, TypeMismatch> {
        self.spec_text("version")
    }

    pub(crate) fn replaces(&self) -> Result<String, TypeMismatch> {
        self.spec_text("replaces")
    }

    pub(crate) fn skips(&self) -> Result<Vec<String>, TypeMismatch> {
        let Some(value) = self.spec_member("skips")? else {
            return Ok(Vec::new());
        };
        STRINGS.check(value)?;
        let Json::Array(items) = value else {
            return Ok(Vec::new());
        };
        Ok(items
            .iter()
            .map(|item| item.as_str().unwrap_or_default().to_owned())
            .collect())
    }

    pub(crate) fn crd_definitions(&self) -> Result<Definitions, TypeMismatch> {
        self.definitions("customresourcedefinitions")
    }

    pub(crate) fn api_service_definitions(&self) -> Result<Definitions, TypeMismatch> {
        self.definitions("apiservicedefinitions")
    }

    fn definitions(&self, name: &str) -> Result<Definitions, TypeMismatch> {
        let Some(value) = self.spec_member(name)? else {
            return Ok(Definitions::default());
        };
        DEFINITIONS.check(value)?;
        let list = |name| match member(value, name) {
            Json::Array(items) => items.iter().map(definition).collect(),
            _ => Vec::new(),
        };
        Ok(Definitions {
            owned: list("owned"),
            required: list("required"),
        })
    }

    pub(crate) fn related_images(&self) -> Result<Option<&'a Json>, TypeMismatch> {
        self.spec_member("relatedImages")
    }
}

fn definition(value: &Json) -> Definition {
    Definition {
        group: text(value, "group"),
        version: text(value, "version"),
        kind: text(value, "kind"),
        name: text(value, "name"),
    }
}

fn convert_text(value: &Json) -> Result<(), MetadataFault> {
    match value {
        Json::Null | Json::String(_) => Ok(()),
        // Integers can be converted to strings in the reference's language, but are not.
        Json::Number(Number::Int(_)) => {
            Err(MetadataFault("cannot convert int64 to string".to_owned()))
        }
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            Err(MetadataFault("unrecognized type: string".to_owned()))
        }
    }
}

fn cannot_restore(what: &str, value: &Json) -> MetadataFault {
    let kind = match value {
        Json::Null => "nil",
        Json::Bool(_) => "bool",
        Json::Number(Number::Int(_)) => "int64",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    };
    MetadataFault(format!("cannot restore {what} {kind}"))
}
