//! `merge-index-image`: put what one index has and another has not into the other.

use std::borrow::Cow;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind};
use crate::payload::{
    BINARY_IMAGE, BUILD_TAGS, DISTRIBUTION_SCOPE, GRAPH_UPDATE_MODE, OUTPUT_FORMAT, Parameter,
    ParameterForm, Parameters, Payload, ReadContext, binary_image, check_graph_mode, check_image,
    check_names, distinct, is_truthy, output_format, scope, set, tags, texts,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, Shown};
use crate::{Facts, Refusal, Scope, Unknown};

/// What `POST /builds/merge-index-image` asks for, checked (spec rest-api §4.9).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MergeIndexImage {
    /// The index that is put into the other.
    pub source_from_index: String,
    /// The other; none: the result is the source, cleaned.
    pub target_index: Option<String>,
    /// Bundles to deprecate, repeats dropped.
    pub deprecation_list: Vec<String>,
    /// How the graph is updated; none: `replaces`.
    pub graph_update_mode: Option<String>,
    /// Whether the target is to be replaced by the result.
    pub overwrite_target_index: bool,
    /// The image the index is built on.
    pub binary_image: Option<String>,
    /// The scope asked for.
    pub distribution_scope: Option<Scope>,
    /// Tags of the result besides the request's id, sorted, repeats dropped.
    pub build_tags: Vec<String>,
    /// Whether bundles are taken over whatever versions of the cluster they are for; shown as sent.
    pub ignore_bundle_ocp_version: Option<bool>,
    /// Which documents the result is to have; none: as the settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

const SOURCE: &str = "source_from_index";
const TARGET: &str = "target_index";
const OVERWRITE: &str = "overwrite_target_index";
const OVERWRITE_TOKEN: &str = "overwrite_target_index_token";
const MODE: &str = "graph_update_mode";
const DEPRECATIONS: &str = "deprecation_list";
const IGNORE_VERSION: &str = "ignore_bundle_ocp_version";

impl Kind for MergeIndexImage {
    const NAME: &'static str = "merge-index-image";
    const ABOUT: &'static str = "Puts what one index has and another has not into the other";
    const FORMAT: u32 = format::WITH_ALL_KINDS;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = MergeIndexImageView<'a>;

    /// A version that takes this kind in and cannot do it would end the request.
    fn format(&self) -> u32 {
        format::WITH_CATALOGS
    }

    fn closing(&self) -> Cow<'static, str> {
        "The index image was successfully cleaned and updated.".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        let list = self.deprecation_list.iter();
        let list = list.map(|image| (DEPRECATIONS, image.as_str()));
        let optional = [
            (TARGET, self.target_index.as_deref()),
            ("binary_image", self.binary_image.as_deref()),
        ];
        let optional = optional.into_iter();
        let optional = optional.filter_map(|(field, image)| Some((field, image?)));
        let source = (SOURCE, self.source_from_index.as_str());
        list.chain([source]).chain(optional).collect()
    }

    fn first_facts(&self) -> Facts {
        Facts::of_inputs(self.binary_image.as_deref(), self.distribution_scope)
    }

    /// Also where there is no target, which is nothing to overwrite.
    fn overwrites(&self) -> bool {
        self.overwrite_target_index
    }

    fn overwritten(&self) -> Option<&str> {
        self.target_index
            .as_deref()
            .filter(|_| self.overwrite_target_index)
    }

    fn output_format(&self) -> Option<ImageFormat> {
        self.output_format
    }

    fn start(&self) -> Option<&str> {
        Some(&self.source_from_index)
    }

    fn start_from(&mut self, index: String) {
        self.source_from_index = index;
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> MergeIndexImageView<'a> {
        let facts = shown.facts();
        MergeIndexImageView {
            base: Base::new(shown),
            distribution_scope: facts.distribution_scope.as_deref(),
            build_tags: &self.build_tags,
            deprecation_list: &self.deprecation_list,
            graph_update_mode: self.graph_update_mode.as_deref(),
            source_from_index: &self.source_from_index,
            source_from_index_resolved: facts.source_from_index_resolved.as_deref(),
            target_index: self.target_index.as_deref(),
            target_index_resolved: facts.target_index_resolved.as_deref(),
            ignore_bundle_ocp_version: self.ignore_bundle_ocp_version,
        }
    }
}

impl Asked for MergeIndexImage {
    const EXAMPLE: &'static str = r#"{"source_from_index": "registry.example.com/catalog/index:v4.16", "target_index": "registry.example.com/catalog/index:v4.17", "binary_image": "registry.example.com/catalog/base:v4.16"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[&[
        Parameter::required(
            SOURCE,
            ParameterForm::Image,
            "The index that is put into the other. `request:<id>` is the result of that request, which is waited for.",
        ),
        Parameter::optional(
            TARGET,
            ParameterForm::Image,
            "The other. Without it the result is the first one, cleaned.",
        ),
        Parameter::optional(
            DEPRECATIONS,
            ParameterForm::Images,
            "Bundles that are deprecated in the result.",
        ),
        GRAPH_UPDATE_MODE,
        BINARY_IMAGE,
        DISTRIBUTION_SCOPE,
        BUILD_TAGS,
        Parameter::optional(
            OVERWRITE,
            ParameterForm::Flag,
            "Whether the tag of the other index is to name the result.",
        ),
        Parameter::optional(
            OVERWRITE_TOKEN,
            ParameterForm::Secret,
            "The login for that, as `user:password`. It is kept apart from the request, until that has ended.",
        ),
        Parameter::optional(
            IGNORE_VERSION,
            ParameterForm::Flag,
            "Whether bundles are taken over whatever versions of the cluster they are for.",
        ),
        OUTPUT_FORMAT,
    ]]);

    /// The checks come in the order of the reference, which passes over §4.2 here; names that are
    /// unknown crash it, so their refusal comes last.
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let deprecation_list = deprecations(payload)?;
        let source_from_index = match payload.get(SOURCE) {
            Some(Value::String(image)) if !image.is_empty() => image.clone(),
            _ => return Err(Refusal::value_is_not(SOURCE, "a string")),
        };
        check_image(&source_from_index)?;
        let graph_update_mode = graph_mode(payload, context)?;
        let target_index = target(payload)?;
        let overwrite_target_index = overwriting(payload)?;
        let binary = payload.get("binary_image").filter(|value| !value.is_null());
        let empty = binary.is_some_and(|value| value.as_str() == Some(""));
        let binary_image = binary_image(binary.filter(|_| !empty), context.binary_images)?;
        let distribution_scope = scope(set(payload, "distribution_scope"))?;
        let build_tags = tags(payload.get("build_tags"))?;
        let ignore_bundle_ocp_version = match payload.get(IGNORE_VERSION) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(ignore)) => Some(*ignore),
            Some(_) => return Err(Refusal::value_is_not(IGNORE_VERSION, "a boolean")),
        };
        let output_format = output_format(payload)?;
        check_names(payload, Self::PARAMETERS)?;
        Ok(Self {
            source_from_index,
            target_index,
            deprecation_list,
            graph_update_mode,
            overwrite_target_index,
            binary_image,
            distribution_scope,
            build_tags,
            ignore_bundle_ocp_version,
            output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MergeIndexImageView<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    /// How far the result may travel.
    distribution_scope: Option<&'a str>,
    /// Tags that the result gets besides the number of the request.
    build_tags: &'a [String],
    /// Bundles that are deprecated in the result.
    deprecation_list: &'a [String],
    /// How the upgrade graph is updated.
    graph_update_mode: Option<&'a str>,
    /// The index that is put into the other.
    source_from_index: &'a str,
    /// The same by its digest.
    source_from_index_resolved: Option<&'a str>,
    /// The other one.
    target_index: Option<&'a str>,
    /// The same by its digest.
    target_index_resolved: Option<&'a str>,
    /// Whether bundles are taken over whatever versions of the cluster they are for.
    ignore_bundle_ocp_version: Option<bool>,
}

fn deprecations(payload: &Payload) -> Result<Vec<String>, Refusal> {
    let Some(value) = payload.get(DEPRECATIONS) else {
        return Ok(Vec::new());
    };
    let Some(images) = texts(value) else {
        let text =
            format!("The \"{DEPRECATIONS}\" value should be an empty array or an array of strings");
        return Err(Refusal::new(Rule::Type, DEPRECATIONS, text));
    };
    images.iter().try_for_each(|image| check_image(image))?;
    Ok(distinct(images))
}

fn graph_mode(payload: &Payload, context: &ReadContext<'_>) -> Result<Option<String>, Refusal> {
    let Some(mode) = set(payload, MODE) else {
        return Ok(None);
    };
    // What is no text is none of the modes.
    let mode = mode.as_str().unwrap_or_default();
    let index = payload.get(TARGET).and_then(Value::as_str);
    check_graph_mode(mode, index, context.api)?;
    Ok(Some(mode.to_owned()))
}

fn target(payload: &Payload) -> Result<Option<String>, Refusal> {
    match set(payload, TARGET).filter(|target| is_truthy(target)) {
        None => Ok(None),
        Some(Value::String(image)) => check_image(image).map(|()| Some(image.clone())),
        Some(_) => Err(Refusal::value_is_not(TARGET, "a string")),
    }
}

/// Here a token goes with it whoever asks, and null is none of both.
fn overwriting(payload: &Payload) -> Result<bool, Refusal> {
    let overwrite = match payload.get(OVERWRITE) {
        None => false,
        Some(Value::Bool(overwrite)) => *overwrite,
        Some(_) => return Err(Refusal::value_is_not(OVERWRITE, "a boolean")),
    };
    let needs = |needed: &'static str, for_what: &str, verb: &str| {
        let text =
            format!("The \"{needed}\" value is required when the \"{for_what}\" value is {verb}");
        Err(Refusal::new(Rule::Needs, needed, text))
    };
    match set(payload, OVERWRITE_TOKEN).filter(|token| is_truthy(token)) {
        Some(Value::String(_)) if !overwrite => needs(OVERWRITE, OVERWRITE_TOKEN, "used"),
        Some(Value::String(_)) => Ok(overwrite),
        Some(_) => Err(Refusal::value_is_not(OVERWRITE_TOKEN, "a string")),
        None if overwrite => needs(OVERWRITE_TOKEN, OVERWRITE, "set"),
        None => Ok(false),
    }
}
