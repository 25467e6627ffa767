//! Adding bundles to an index (spec rest-api §4.4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind};
use crate::payload::{
    FROM_INDEX, GRAPH_UPDATE_MODE, INDEX, IndexParameters, ORGANIZATION, Parameter, ParameterForm,
    Parameters, Payload, ReadContext, check_graph_mode, check_image, check_names, given, is_truthy,
    list, text,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, Copies, From, Shown};
use crate::{Facts, Refusal, Scope, Unknown};

/// What `POST /builds/add` asks for, checked and with defaults filled in (spec rest-api §4.3,
/// §4.4). Images are kept as the texts that were sent, because that is how they are shown.
/// Tokens are not part of it: they are neither stored nor shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AddRequest {
    /// Bundles to add, repeats dropped, first kept.
    pub bundles: Vec<String>,
    /// The index to start from; none: an empty one.
    pub from_index: Option<String>,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// Architectures to build for besides those of `from_index`.
    pub add_arches: Vec<String>,
    /// The scope asked for.
    pub distribution_scope: Option<Scope>,
    /// Tags of the result besides the request's id, sorted, repeats dropped.
    pub build_tags: Vec<String>,
    /// Bundles to deprecate.
    pub deprecation_list: Vec<String>,
    /// Whether related images are to be checked; shown as sent.
    pub check_related_images: Option<bool>,
    /// How the graph is updated; none: `replaces`.
    pub graph_update_mode: Option<String>,
    /// Shown only (the service has no use for it, as the reference).
    pub organization: Option<String>,
    /// Whether `from_index` is to be replaced by the result.
    pub overwrite_from_index: bool,
    /// Which documents the result is to have; none: as the settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Kind for AddRequest {
    const NAME: &'static str = "add";
    const ABOUT: &'static str = "Adds bundles to an index, or makes a new one of them";

    const FORMAT: u32 = format::FIRST;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = AddView<'a>;

    fn format(&self) -> u32 {
        match self.overwrite_from_index || !self.deprecation_list.is_empty() {
            true => format::WITH_CATALOGS,
            false => Self::FORMAT,
        }
    }

    fn closing(&self) -> Cow<'static, str> {
        "The operator bundle(s) were successfully added to the index image".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        let lists = [
            ("bundles", &self.bundles),
            ("deprecation_list", &self.deprecation_list),
        ];
        let single = [
            ("from_index", &self.from_index),
            ("binary_image", &self.binary_image),
        ];
        let mut images = Vec::new();
        for (field, list) in lists {
            images.extend(list.iter().map(|image| (field, image.as_str())));
        }
        for (field, image) in single {
            images.extend(image.as_deref().map(|image| (field, image)));
        }
        images
    }

    fn first_facts(&self) -> Facts {
        Facts::of_inputs(self.binary_image.as_deref(), self.distribution_scope)
    }

    fn listed_index(&self) -> Option<&str> {
        self.from_index.as_deref()
    }

    fn bundles(&self) -> &[String] {
        &self.bundles
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn queued_by(&self) -> Option<&str> {
        self.from_index.as_deref()
    }

    fn overwritten(&self) -> Option<&str> {
        self.from_index
            .as_deref()
            .filter(|_| self.overwrite_from_index)
    }

    fn output_format(&self) -> Option<ImageFormat> {
        self.output_format
    }

    fn start(&self) -> Option<&str> {
        self.from_index.as_deref()
    }

    fn start_from(&mut self, index: String) {
        self.from_index = Some(index);
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> AddView<'a> {
        let facts = shown.facts();
        AddView {
            base: Base::new(shown),
            from: From::new(self.from_index.as_deref(), facts),
            copies: Copies::new(facts),
            distribution_scope: facts.distribution_scope.as_deref(),
            build_tags: &self.build_tags,
            bundles: &self.bundles,
            bundle_mapping: shown.operators_of(&self.bundles),
            organization: self.organization.as_deref(),
            removed_operators: [],
            deprecation_list: &self.deprecation_list,
            graph_update_mode: self.graph_update_mode.as_deref(),
            check_related_images: self.check_related_images,
            omps_operator_version: facts.omps_operator_version(),
        }
    }
}

impl Asked for AddRequest {
    const EXAMPLE: &'static str = r#"{"bundles": ["registry.example.com/team/lantern-bundle:v0.3.0"], "from_index": "registry.example.com/catalog/index:v4.16", "binary_image": "registry.example.com/catalog/base:v4.16"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[OWN, INDEX]);

    /// The checks come in the order of the reference, so that a call with several faults is refused
    /// for the same one: the endpoint's own parameters, names, shared parameters, images in lists;
    /// last comes our own limit on bundles. An explicit null of the own parameters is refused.
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let own = Own::read(payload, context)?;
        check_names(payload, Self::PARAMETERS)?;
        let shared = IndexParameters::read(payload, context)?;
        for image in own.bundles.iter().chain(&own.deprecation_list) {
            check_image(image)?;
        }
        check_count(own.bundles.len(), context.api.max_bundles)?;
        Ok(Self {
            bundles: own.bundles,
            from_index: shared.from_index,
            binary_image: shared.binary_image,
            add_arches: shared.add_arches,
            distribution_scope: shared.distribution_scope,
            build_tags: shared.build_tags,
            deprecation_list: own.deprecation_list,
            check_related_images: own.check_related_images,
            graph_update_mode: own.graph_update_mode,
            organization: own.organization,
            overwrite_from_index: shared.overwrite_from_index,
            output_format: shared.output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What an add request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AddView<'a> {
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
    /// The bundles that are added.
    bundles: &'a [String],
    /// Its bundles by the operators that they are of.
    bundle_mapping: BTreeMap<&'a str, Vec<&'a str>>,
    /// Whose customizations are applied.
    organization: Option<&'a str>,
    /// Empty: it is there because requests to remove operators have it.
    removed_operators: [&'a str; 0],
    /// Bundles that are deprecated in the result.
    deprecation_list: &'a [String],
    /// How the upgrade graph is updated.
    graph_update_mode: Option<&'a str>,
    /// Whether the images that the bundles name have to be there.
    check_related_images: Option<bool>,
    /// Of a service that is no more; workers of today's service may still send it.
    omps_operator_version: Value,
}

/// The parameters that only this endpoint has, and the index.
const OWN: &[Parameter] = &[
    Parameter::optional(
        "bundles",
        ParameterForm::Images,
        "The bundles to add. There may be none where there is an index to start from; without that, `add_arches` has to say what for.",
    ),
    FROM_INDEX,
    Parameter::optional(
        "deprecation_list",
        ParameterForm::Images,
        "Bundles that are deprecated in the result, with all that they replace.",
    ),
    GRAPH_UPDATE_MODE,
    Parameter::optional(
        "check_related_images",
        ParameterForm::Flag,
        "Whether the images that the bundles name have to be there.",
    ),
    ORGANIZATION,
    Parameter::optional("cnr_token", ParameterForm::Dropped, "Without effect."),
    Parameter::optional("force_backport", ParameterForm::NoEffect, "Without effect."),
];

/// The own parameters, checked in the order of §4.4.
struct Own {
    bundles: Vec<String>,
    deprecation_list: Vec<String>,
    check_related_images: Option<bool>,
    graph_update_mode: Option<String>,
    organization: Option<String>,
}

impl Own {
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let bundles = list(payload, "bundles")?;
        let deprecation_list = list(payload, "deprecation_list")?;
        if bundles.is_empty() && !given(payload, "from_index") {
            let text = "\"from_index\" must be specified if no bundles are specified";
            return Err(Refusal::new(Rule::Missing, "from_index", text));
        }
        let check_related_images = check_related_images(payload, &bundles)?;
        // Checked and then dropped, as the reference does (worker flows §7).
        text(payload, "cnr_token")?;
        let graph_update_mode = text(payload, "graph_update_mode")?;
        let organization = text(payload, "organization")?;
        if let Some(mode) = &graph_update_mode {
            let index = payload.get("from_index").and_then(Value::as_str);
            check_graph_mode(mode, index, context.api)?;
        }
        if !matches!(payload.get("force_backport"), None | Some(Value::Bool(_))) {
            let text = "\"force_backport\" must be a boolean";
            return Err(Refusal::new(Rule::Type, "force_backport", text));
        }
        Ok(Self {
            bundles,
            deprecation_list,
            check_related_images,
            graph_update_mode,
            organization,
        })
    }
}

fn check_related_images(payload: &Payload, bundles: &[String]) -> Result<Option<bool>, Refusal> {
    const NAME: &str = "check_related_images";
    match payload.get(NAME) {
        None => Ok(None),
        Some(value) if bundles.is_empty() && is_truthy(value) => {
            let text = format!("\"{NAME}\" must be specified only when bundles are specified");
            Err(Refusal::new(Rule::Needs, NAME, text))
        }
        Some(Value::Bool(check)) => Ok(Some(*check)),
        Some(_) => Err(Refusal::parameter_is_not(NAME, "a boolean")),
    }
}

/// The reference has no such limit.
fn check_count(given: usize, limit: u32) -> Result<(), Refusal> {
    if given <= limit as usize {
        return Ok(());
    }
    let text = format!(
        "\"bundles\" has {given} entries, at most {limit} are taken at once: split the request into several"
    );
    Err(Refusal::new(Rule::TooMany, "bundles", text))
}

#[cfg(test)]
mod tests;
