//! The parameters that all index requests share (spec rest-api §4.3).

use iib_oci::{Arch, ImageFormat, TAG_GRAMMAR, is_tag};
use serde_json::Value;

use super::{
    Parameter, ParameterForm, Parameters, Payload, ReadContext, check_image, given, is_truthy, set,
    set_text, texts,
};
use crate::refusal::Rule;
use crate::{BinaryImages, Refusal, Scope};

/// The parameter with the login for overwriting.
pub(crate) const OVERWRITE_TOKEN: &str = "overwrite_from_index_token";

/// The shared parameters, checked in the order of §4.3. What an endpoint does not take is refused
/// by name before.
#[derive(Debug)]
pub(crate) struct IndexParameters {
    pub(crate) overwrite_from_index: bool,
    pub(crate) distribution_scope: Option<Scope>,
    pub(crate) add_arches: Vec<String>,
    pub(crate) binary_image: Option<String>,
    pub(crate) from_index: Option<String>,
    pub(crate) build_tags: Vec<String>,
    pub(crate) output_format: Option<ImageFormat>,
}

pub(crate) const FROM_INDEX: Parameter = Parameter::optional(
    "from_index",
    ParameterForm::Image,
    "The index to start from. `request:<id>` is the result of that request, which is waited for.",
);
pub(crate) const BINARY_IMAGE: Parameter = Parameter::optional(
    "binary_image",
    ParameterForm::Image,
    "The image on which the index is built, or `scratch`. It may be left out where the settings of the service name one.",
);
pub(crate) const DISTRIBUTION_SCOPE: Parameter = Parameter::optional(
    "distribution_scope",
    ParameterForm::OneOf(&["dev", "stage", "prod"]),
    "How far the index may travel. It may only be lower than that of the index to start from.",
);
pub(crate) const BUILD_TAGS: Parameter = Parameter::optional(
    "build_tags",
    ParameterForm::Texts,
    "Tags that the result gets besides the number of the request.",
);
/// Which documents the result has. The reference has none such.
pub(crate) const OUTPUT_FORMAT: Parameter = Parameter::optional(
    "output_format",
    ParameterForm::OneOf(&["docker", "oci"]),
    "Which documents the result has: those of Docker's schema 2, or those of OCI. The settings of the service say what it has otherwise.",
);
pub(crate) const GRAPH_UPDATE_MODE: Parameter = Parameter::optional(
    "graph_update_mode",
    ParameterForm::Text,
    "How the upgrade graph is updated: `replaces`, `semver` or `semver-skippatch`, as far as the settings of the service take it, and of the indexes that they name.",
);
pub(crate) const ORGANIZATION: Parameter = Parameter::optional(
    "organization",
    ParameterForm::Text,
    "Whose customizations are applied.",
);

/// What requests share that make an index of another one, beside that one.
pub(crate) const INDEX: &[Parameter] = &[
    BINARY_IMAGE,
    Parameter::optional(
        "add_arches",
        ParameterForm::Texts,
        "Architectures the result is for, besides those of the index to start from: `amd64`, `arm64`, `ppc64le`, `s390x` and so on.",
    ),
    DISTRIBUTION_SCOPE,
    BUILD_TAGS,
    Parameter::optional(
        "overwrite_from_index",
        ParameterForm::Flag,
        "Whether the tag of the index to start from is to name the result.",
    ),
    Parameter::optional(
        OVERWRITE_TOKEN,
        ParameterForm::Secret,
        "The login for that, as `user:password`. Who is known to the service needs one. It is kept apart from the request, until that has ended.",
    ),
    OUTPUT_FORMAT,
];

/// What a rollback takes.
pub(crate) const ROLLBACK: Parameters = Parameters::of(&[&[Parameter::optional(
    OVERWRITE_TOKEN,
    ParameterForm::Secret,
    "The login with which the tag of the index is put back, as `user:password`. Who is known to the service needs one.",
)]]);

impl IndexParameters {
    /// Empty values count as not given here (§4.2).
    pub(crate) fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        if !given(payload, "from_index") && !given(payload, "add_arches") {
            let text = "One of \"from_index\" or \"add_arches\" must be specified";
            return Err(Refusal::new(Rule::Missing, "from_index", text));
        }
        let overwrite_from_index = overwriting(payload)?;
        let distribution_scope = scope(set(payload, "distribution_scope"))?;
        let token = set(payload, OVERWRITE_TOKEN);
        if context.user.is_some() && overwrite_from_index && token.is_none() {
            let text =
                "You must set \"overwrite_from_index_token\" to use \"overwrite_from_index\"";
            return Err(Refusal::new(Rule::TokenNeeded, OVERWRITE_TOKEN, text));
        }
        Ok(Self {
            overwrite_from_index,
            distribution_scope,
            add_arches: arches(set(payload, "add_arches"))?,
            binary_image: binary_image(set(payload, "binary_image"), context.binary_images)?,
            from_index: from_index(payload)?,
            build_tags: tags(set(payload, "build_tags"))?,
            output_format: output_format(payload)?,
        })
    }
}

/// Whether the index is to be overwritten; a token is only taken if so.
fn overwriting(payload: &Payload) -> Result<bool, Refusal> {
    const NAME: &str = "overwrite_from_index";
    let overwrite = match set(payload, NAME) {
        None => false,
        Some(Value::Bool(overwrite)) => *overwrite,
        Some(_) => return Err(Refusal::parameter_is_not(NAME, "a boolean")),
    };
    match set(payload, OVERWRITE_TOKEN).filter(|token| is_truthy(token)) {
        Some(Value::String(_)) if !overwrite => Err(Refusal::new(
            Rule::Needs,
            OVERWRITE_TOKEN,
            "The \"overwrite_from_index\" parameter is required when the \"overwrite_from_index_token\" parameter is used",
        )),
        None | Some(Value::String(_)) => Ok(overwrite),
        Some(_) => Err(Refusal::parameter_is_not(OVERWRITE_TOKEN, "a string")),
    }
}

pub(crate) fn scope(value: Option<&Value>) -> Result<Option<Scope>, Refusal> {
    let Some(value) = value.filter(|value| is_truthy(value)) else {
        return Ok(None);
    };
    let scope = value.as_str().and_then(Scope::parse);
    let text = "The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"";
    let refused = || Refusal::new(Rule::Choice, "distribution_scope", text);
    scope.map(Some).ok_or_else(refused)
}

/// The documents that the result is to have; none: as the settings say.
pub(crate) fn output_format(payload: &Payload) -> Result<Option<ImageFormat>, Refusal> {
    const NAME: &str = OUTPUT_FORMAT.name;
    let Some(value) = set(payload, NAME) else {
        return Ok(None);
    };
    let format = value.as_str().and_then(|text| text.parse().ok());
    let text = format!("The \"{NAME}\" value must be one of \"docker\" or \"oci\"");
    let refused = || Refusal::new(Rule::Choice, NAME, text);
    format.map(Some).ok_or_else(refused)
}

fn arches(value: Option<&Value>) -> Result<Vec<String>, Refusal> {
    const NAME: &str = "add_arches";
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let text = "Architectures should be specified as a non-empty array of strings";
    let arches = texts(value).ok_or_else(|| Refusal::new(Rule::Type, NAME, text))?;
    for arch in &arches {
        // The reference finds out when it builds.
        let refused = |error| format!("\"{NAME}\" cannot be used: {error}");
        let read = arch.parse::<Arch>().map_err(refused);
        read.map_err(|text| Refusal::new(Rule::Choice, NAME, text))?;
    }
    Ok(arches)
}

pub(crate) fn binary_image(
    value: Option<&Value>,
    configured: &BinaryImages,
) -> Result<Option<String>, Refusal> {
    const NAME: &str = "binary_image";
    let refused = |rule, wanted| {
        let text = format!("The \"{NAME}\" value must be a {wanted}");
        Refusal::new(rule, NAME, text)
    };
    match value {
        Some(Value::String(image)) => check_image(image).map(|()| Some(image.clone())),
        Some(_) => Err(refused(Rule::Type, "string")),
        None if configured.is_empty() => Err(refused(Rule::Missing, "non-empty string")),
        None => Ok(None),
    }
}

fn from_index(payload: &Payload) -> Result<Option<String>, Refusal> {
    let image = set_text(payload, "from_index")?;
    image.as_deref().map_or(Ok(()), check_image)?;
    Ok(image)
}

/// Sorted, repeats dropped. The reference does not check them: a text becomes one tag per
/// character, and a tag that registries refuse fails the request at its very end (spec rest-api
/// §4.3, §13).
pub(crate) fn tags(value: Option<&Value>) -> Result<Vec<String>, Refusal> {
    const NAME: &str = "build_tags";
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let mut tags = texts(value).ok_or_else(|| Refusal::not_strings(NAME))?;
    if let Some(bad) = tags.iter().find(|tag| !is_tag(tag)) {
        let text = format!("\"{NAME}\" cannot hold `{bad}`: {TAG_GRAMMAR}");
        return Err(Refusal::new(Rule::Tag, NAME, text));
    }
    // The reference takes it, and one result replaces another.
    if let Some(other) = tags.iter().find(|tag| is_of_a_request(tag)) {
        let text = format!(
            "\"{NAME}\" cannot hold `{other}`: digits alone, or digits with an architecture, are the tags of requests; put a letter in front, such as `v{other}`"
        );
        return Err(Refusal::new(Rule::Tag, NAME, text));
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// Whether a tag is one that a request's result gets: its number, or that and an architecture.
fn is_of_a_request(tag: &str) -> bool {
    let (number, arch) = match tag.split_once('-') {
        Some((number, arch)) => (number, Some(arch)),
        None => (tag, None),
    };
    let of_arch = |arch: &str| arch.parse::<Arch>().is_ok_and(|arch| arch.is_common());
    number.bytes().all(|b| b.is_ascii_digit()) && arch.is_none_or(of_arch)
}
