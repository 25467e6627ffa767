//! An index without operators, made of another one (spec rest-api §4.10).

use std::borrow::Cow;
use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind};
use crate::payload::{
    BINARY_IMAGE, DISTRIBUTION_SCOPE, FROM_INDEX, IndexParameters, OUTPUT_FORMAT, OVERWRITE_TOKEN,
    Parameter, ParameterForm, Parameters, Payload, ReadContext, check_names, set, string_map,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, From, Shown};
use crate::{Facts, Refusal, Scope, Unknown};

/// What `POST /builds/create-empty-index` asks for, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateEmptyIndex {
    /// The index whose architectures, version and scope the new one gets.
    pub from_index: String,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// The scope asked for.
    pub distribution_scope: Option<Scope>,
    /// Whether the new index is to be a file-based catalog.
    pub output_fbc: Option<bool>,
    /// Labels of the new index, which win over those that the service sets; none given: `None`.
    pub labels: Option<BTreeMap<String, String>>,
    /// Which documents the result is to have; none: as the settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Kind for CreateEmptyIndex {
    const NAME: &'static str = "create-empty-index";
    const ABOUT: &'static str = "Makes an index without operators of another one";

    const FORMAT: u32 = format::WITH_EMPTY_INDEXES;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = CreateEmptyIndexView<'a>;

    fn format(&self) -> u32 {
        match self.output_fbc {
            Some(true) => format::WITH_CATALOGS,
            Some(false) | None => Self::FORMAT,
        }
    }

    fn closing(&self) -> Cow<'static, str> {
        "The empty index image was successfully created".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        let binary = self.binary_image.as_deref();
        let binary = binary.map(|image| ("binary_image", image));
        let index = ("from_index", self.from_index.as_str());
        [index].into_iter().chain(binary).collect()
    }

    fn first_facts(&self) -> Facts {
        Facts::of_inputs(self.binary_image.as_deref(), self.distribution_scope)
    }

    fn listed_index(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn output_format(&self) -> Option<ImageFormat> {
        self.output_format
    }

    fn start(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn start_from(&mut self, index: String) {
        self.from_index = index;
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> CreateEmptyIndexView<'a> {
        let facts = shown.facts();
        CreateEmptyIndexView {
            base: Base::new(shown),
            from: From::new(Some(&self.from_index), facts),
            distribution_scope: facts.distribution_scope.as_deref(),
            labels: self.labels.as_ref(),
        }
    }
}

impl Asked for CreateEmptyIndex {
    const EXAMPLE: &'static str = r#"{"from_index": "registry.example.com/catalog/index:v4.16", "binary_image": "registry.example.com/catalog/base:v4.16", "output_fbc": true}"#;
    const PARAMETERS: Parameters = Parameters::of(&[&[
        Parameter {
            is_required: true,
            about: "The index whose architectures, version and scope the new one gets. `request:<id>` is the result of that request, which is waited for.",
            ..FROM_INDEX
        },
        BINARY_IMAGE,
        DISTRIBUTION_SCOPE,
        Parameter::optional(
            "output_fbc",
            ParameterForm::Flag,
            "Whether the new index is a file-based catalog.",
        ),
        Parameter::optional(
            "labels",
            ParameterForm::TextsByName,
            "Labels of the new index.",
        ),
        OUTPUT_FORMAT,
    ]]);

    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let from_index = from_index(payload)?;
        let output_fbc = output_fbc(payload)?;
        let labels = labels(payload)?;
        if let Some(name) = NOT_TAKEN
            .into_iter()
            .find(|name| payload.contains_key(*name))
        {
            let text = format!(
                "The \"{name}\" arg is invalid for the {} endpoint.",
                Self::NAME
            );
            return Err(Refusal::new(Rule::UnknownParameter, name, text));
        }
        check_names(payload, Self::PARAMETERS)?;
        let shared = IndexParameters::read(payload, context)?;
        Ok(Self {
            from_index,
            binary_image: shared.binary_image,
            distribution_scope: shared.distribution_scope,
            output_fbc,
            labels,
            output_format: shared.output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CreateEmptyIndexView<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    #[serde(flatten)]
    from: From<'a>,
    /// How far the result may travel.
    distribution_scope: Option<&'a str>,
    /// Labels that were asked for.
    labels: Option<&'a BTreeMap<String, String>>,
}

/// Shared parameters that this endpoint refuses, whatever their value, in this order.
const NOT_TAKEN: [&str; 4] = [
    "add_arches",
    "overwrite_from_index",
    OVERWRITE_TOKEN,
    "build_tags",
];

/// Here it is a text that is not empty; that it names a tag or digest is checked with the shared
/// parameters.
fn from_index(payload: &Payload) -> Result<String, Refusal> {
    const NAME: &str = "from_index";
    let (rule, wanted) = match payload.get(NAME) {
        Some(Value::String(image)) if !image.is_empty() => return Ok(image.clone()),
        // The reference's words.
        None | Some(Value::Null) => (Rule::Missing, "a specified"),
        Some(Value::String(_)) => (Rule::Missing, "a non-empty string"),
        Some(_) => (Rule::Type, "a non-empty string"),
    };
    let text = format!("\"{NAME}\" must be {wanted}");
    Err(Refusal::new(rule, NAME, text))
}

fn output_fbc(payload: &Payload) -> Result<Option<bool>, Refusal> {
    const NAME: &str = "output_fbc";
    match set(payload, NAME) {
        None => Ok(None),
        Some(Value::Bool(output)) => Ok(Some(*output)),
        Some(_) => {
            let text = format!("\"{NAME}\" should be boolean");
            Err(Refusal::new(Rule::Type, NAME, text))
        }
    }
}

/// Labels without which nobody finds what is in an index (worker flows §15).
const OWN_LABELS: [&str; 2] = [
    "operators.operatorframework.io.index.configs.v1",
    "operators.operatorframework.io.index.database.v1",
];

/// An empty object is none.
fn labels(payload: &Payload) -> Result<Option<BTreeMap<String, String>>, Refusal> {
    const NAME: &str = "labels";
    let given = match payload.get(NAME) {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => string_map(given, NAME)?,
    };
    if let Some(label) = OWN_LABELS.iter().find(|own| given.contains_key(**own)) {
        let text = format!(
            "\"{NAME}\" must not have \"{label}\": the service says there where the new index has its content"
        );
        return Err(Refusal::new(Rule::Choice, NAME, text));
    }
    Ok(Some(given).filter(|labels| !labels.is_empty()))
}

#[cfg(test)]
mod tests;
