//! `add-deprecations`: say in an index what of an operator is deprecated.

use std::borrow::Cow;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{Asked, Kind};
use crate::payload::{
    FROM_INDEX, INDEX, IndexParameters, Parameter, ParameterForm, Parameters, Payload, ReadContext,
    check_names, check_package,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, Copies, From, Shown};
use crate::{Facts, Refusal, Unknown};

/// What `POST /builds/add-deprecations` asks for, checked (spec rest-api §4.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddDeprecations {
    /// The package of the operator.
    pub operator_package: String,
    /// The deprecations: a JSON document as it was sent, which is how it is given back.
    pub deprecation_schema: String,
    /// The index they are put into.
    pub from_index: String,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// Tags of the result besides the request's id, sorted, repeats dropped.
    pub build_tags: Vec<String>,
    /// Whether the index is to be replaced by the result.
    pub overwrite_from_index: bool,
    /// Which documents the result is to have; none: as the settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

const SCHEMA: &str = "deprecation_schema";

impl Kind for AddDeprecations {
    const NAME: &'static str = "add-deprecations";
    const ABOUT: &'static str = "Says in an index what of an operator is deprecated";
    const FORMAT: u32 = format::WITH_ALL_KINDS;

    type View<'a> = AddDeprecationsView<'a>;

    /// A version that takes this kind in and cannot do it would end the request.
    fn format(&self) -> u32 {
        format::WITH_CATALOGS
    }

    fn closing(&self) -> Cow<'static, str> {
        "The deprecation schema was successfully added to the index image".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        let binary = self.binary_image.as_deref();
        let binary = binary.map(|image| ("binary_image", image));
        let index = ("from_index", self.from_index.as_str());
        [index].into_iter().chain(binary).collect()
    }

    fn first_facts(&self) -> Facts {
        Facts::of_inputs(self.binary_image.as_deref(), None)
    }

    fn queued_by(&self) -> Option<&str> {
        Some(&self.from_index)
    }

    fn overwritten(&self) -> Option<&str> {
        Some(self.from_index.as_str()).filter(|_| self.overwrite_from_index)
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

    fn view<'a>(&'a self, shown: &Shown<'a>) -> AddDeprecationsView<'a> {
        let facts = shown.facts();
        AddDeprecationsView {
            base: Base::new(shown),
            from: From::new(Some(&self.from_index), facts),
            copies: Copies::new(facts),
            build_tags: &self.build_tags,
            operator_package: &self.operator_package,
            deprecation_schema_url: shown.url("deprecation-schema"),
        }
    }
}

/// The parameters that only this endpoint has, and the index.
const OWN: &[Parameter] = &[
    Parameter::required(
        "operator_package",
        ParameterForm::Text,
        "The package of the operator.",
    ),
    Parameter::required(
        SCHEMA,
        ParameterForm::Text,
        "What of it is deprecated: a text that is a JSON document of the schema `olm.deprecations`.",
    ),
    Parameter {
        is_required: true,
        ..FROM_INDEX
    },
];

impl Asked for AddDeprecations {
    const EXAMPLE: &'static str = r#"{"operator_package": "lantern", "deprecation_schema": "{\"schema\":\"olm.deprecations\",\"package\":\"lantern\",\"entries\":[{\"reference\":{\"schema\":\"olm.bundle\",\"name\":\"lantern.v0.1.0\"},\"message\":\"Use v0.3.0.\"}]}", "from_index": "registry.example.com/catalog/index:v4.16", "binary_image": "registry.example.com/catalog/base:v4.16"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[OWN, INDEX]);

    /// Scope and architectures are taken and without effect, as in the reference.
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let operator_package = text(payload, "operator_package")?;
        check_package("operator_package", &operator_package)?;
        let deprecation_schema = text(payload, SCHEMA)?;
        if serde_json::from_str::<IgnoredAny>(&deprecation_schema).is_err() {
            let text = format!("\"{SCHEMA}\" string should be valid JSON");
            return Err(Refusal::new(Rule::Type, SCHEMA, text));
        }
        check_names(payload, Self::PARAMETERS)?;
        let shared = IndexParameters::read(payload, context)?;
        Ok(Self {
            operator_package,
            deprecation_schema,
            from_index: shared.from_index.unwrap_or_default(),
            binary_image: shared.binary_image,
            build_tags: shared.build_tags,
            overwrite_from_index: shared.overwrite_from_index,
            output_format: shared.output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AddDeprecationsView<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    #[serde(flatten)]
    from: From<'a>,
    #[serde(flatten)]
    copies: Copies<'a>,
    /// Tags that the result gets besides the number of the request.
    build_tags: &'a [String],
    /// The package that they are of.
    operator_package: &'a str,
    /// Where the deprecations are as they were sent.
    deprecation_schema_url: String,
}

fn text(payload: &Payload, name: &'static str) -> Result<String, Refusal> {
    let given = payload.get(name).and_then(serde_json::Value::as_str);
    let given = given.filter(|text| !text.is_empty()).map(str::to_owned);
    let text = format!("\"{name}\" should be a non-empty string");
    given.ok_or_else(|| Refusal::new(Rule::Type, name, text))
}
