//! `rm`: take operators out of an index.

use std::borrow::Cow;
use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, Kind};
use crate::payload::{
    FROM_INDEX, INDEX, IndexParameters, Parameter, ParameterForm, Parameters, Payload, ReadContext,
    check_names, check_package, distinct, texts,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, Copies, From, Shown};
use crate::{Facts, Refusal, Scope, Unknown};

/// What `POST /builds/rm` asks for, checked (spec rest-api §4.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RmRequest {
    /// Packages to take out, repeats dropped.
    pub operators: Vec<String>,
    /// The index they are taken out of.
    pub from_index: String,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// Architectures to build for besides those of the index.
    pub add_arches: Vec<String>,
    /// The scope asked for.
    pub distribution_scope: Option<Scope>,
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

impl Kind for RmRequest {
    const NAME: &'static str = "rm";
    const ABOUT: &'static str = "Takes operators out of an index";
    const FORMAT: u32 = format::WITH_ALL_KINDS;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = RmView<'a>;

    fn closing(&self) -> Cow<'static, str> {
        "The operator(s) were successfully removed from the index image".into()
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

    fn view<'a>(&'a self, shown: &Shown<'a>) -> RmView<'a> {
        let facts = shown.facts();
        RmView {
            base: Base::new(shown),
            from: From::new(Some(&self.from_index), facts),
            copies: Copies::new(facts),
            distribution_scope: facts.distribution_scope.as_deref(),
            build_tags: &self.build_tags,
            bundles: [],
            bundle_mapping: BTreeMap::new(),
            organization: None,
            removed_operators: &self.operators,
            deprecation_list: [],
        }
    }
}

/// The parameters that only this endpoint has, and the index.
const OWN: &[Parameter] = &[
    Parameter::required(
        "operators",
        ParameterForm::Texts,
        "The packages to take out, at least one.",
    ),
    Parameter {
        is_required: true,
        ..FROM_INDEX
    },
];

impl Asked for RmRequest {
    const EXAMPLE: &'static str = r#"{"operators": ["lantern"], "from_index": "registry.example.com/catalog/index:v4.16", "binary_image": "registry.example.com/catalog/base:v4.16"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[OWN, INDEX]);

    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let operators = operators(payload)?;
        check_names(payload, Self::PARAMETERS)?;
        let shared = IndexParameters::read(payload, context)?;
        Ok(Self {
            operators,
            from_index: shared.from_index.unwrap_or_default(),
            binary_image: shared.binary_image,
            add_arches: shared.add_arches,
            distribution_scope: shared.distribution_scope,
            build_tags: shared.build_tags,
            overwrite_from_index: shared.overwrite_from_index,
            output_format: shared.output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5): members of add requests, too, which are empty here.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RmView<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    #[serde(flatten)]
    from: From<'a>,
    #[serde(flatten)]
    copies: Copies<'a>,
    /// How far the result may travel.
    distribution_scope: Option<&'a str>,
    /// Tags that the result gets besides the number of the request.
    build_tags: &'a [String],
    /// Empty: it is there because requests to add bundles have it.
    bundles: [&'a str; 0],
    /// Empty: it is there because requests to add bundles have it.
    bundle_mapping: BTreeMap<&'a str, &'a str>,
    /// Empty: it is there because requests to add bundles have it.
    organization: Option<&'a str>,
    /// The packages that are taken out.
    removed_operators: &'a [String],
    /// Empty: it is there because requests to add bundles have it.
    deprecation_list: [&'a str; 0],
}

fn operators(payload: &Payload) -> Result<Vec<String>, Refusal> {
    const NAME: &str = "operators";
    let given = payload.get(NAME).and_then(texts).map(distinct);
    let given = given.filter(|operators| !operators.is_empty());
    let text = format!("\"{NAME}\" should be a non-empty array of strings");
    let given = given.ok_or_else(|| Refusal::new(Rule::Type, NAME, text))?;
    for operator in &given {
        check_package(NAME, operator)?;
    }
    Ok(given)
}
