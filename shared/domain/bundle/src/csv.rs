//! What is read from the ClusterServiceVersion (spec index-database §3 "Other fields").

use crate::deployment::OBJECT_META;
use crate::json::Json;
use crate::typed::{Shape, TypeMismatch, member, text};

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

static OBJECT: Shape = Shape::Struct(
    "registry.ClusterServiceVersion",
    &[
        ("kind", Shape::Str),
        ("apiVersion", Shape::Str),
        ("metadata", Shape::Ref(&OBJECT_META)),
    ],
);
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
    pub(crate) fn read(object: &'a Json) -> Result<Self, TypeMismatch> {
        OBJECT.check_converted(object)?;
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
        (SPEC.check(self.spec())).map_err(|fault| fault.inside(&["spec"]))?;
        Ok(self.spec().get(name).filter(|value| **value != Json::Null))
    }

    fn spec_text(&self, name: &str) -> Result<String, TypeMismatch> {
        let Some(value) = self.spec_member(name)? else {
            return Ok(String::new());
        };
        (STRING.check(value)).map_err(|fault| fault.inside(&["spec", name]))?;
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
        (STRINGS.check(value)).map_err(|fault| fault.inside(&["spec", "skips"]))?;
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
        (DEFINITIONS.check(value)).map_err(|fault| fault.inside(&["spec", name]))?;
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
