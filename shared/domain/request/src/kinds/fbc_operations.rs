//! `fbc-operations`: put fragments of a file-based catalog into an index.

use std::borrow::Cow;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind};
use crate::payload::{
    FROM_INDEX, INDEX, IndexParameters, Parameter, ParameterForm, Parameters, Payload, ReadContext,
    check_image, check_names, distinct, texts,
};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Base, Copies, From, Shown};
use crate::{Facts, Refusal, Scope, Unknown};

/// What `POST /builds/fbc-operations` asks for, checked (spec rest-api §4.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FbcOperations {
    /// Images with fragments, repeats dropped.
    pub fbc_fragments: Vec<String>,
    /// Whether it came in the older form, which has one fragment and shows it so.
    pub single: bool,
    /// The index they are put into.
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

/// The older form's parameter.
const FRAGMENT: &str = "fbc_fragment";
/// The newer form's.
const FRAGMENTS: &str = "fbc_fragments";

impl Kind for FbcOperations {
    const NAME: &'static str = "fbc-operations";
    const ABOUT: &'static str = "Puts fragments of a file-based catalog into an index";
    const FORMAT: u32 = format::WITH_ALL_KINDS;
    const FOUND_BY_RESULT: bool = true;

    type View<'a> = FbcOperationsView<'a>;

    /// A version that takes this kind in and cannot do it would end the request.
    fn format(&self) -> u32 {
        format::WITH_CATALOGS
    }

    fn closing(&self) -> Cow<'static, str> {
        let count = self.fbc_fragments.len();
        format!("The {count} FBC fragment(s) were successfully added in the index image").into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        let fragments = self.fbc_fragments.iter();
        let fragments = fragments.map(|image| (FRAGMENTS, image.as_str()));
        let binary = self.binary_image.as_deref();
        let binary = binary.map(|image| ("binary_image", image));
        let index = ("from_index", self.from_index.as_str());
        fragments.chain([index]).chain(binary).collect()
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

    fn view<'a>(&'a self, shown: &Shown<'a>) -> FbcOperationsView<'a> {
        let facts = shown.facts();
        let asked = self.single.then(|| self.fbc_fragments.first()).flatten();
        // A worker that names one switches to the older form, as in the reference.
        let fragment = facts.fbc_fragment.as_ref().or(asked).map(String::as_str);
        let resolved = facts.fbc_fragments_resolved.as_deref().unwrap_or_default();
        let (fragments, all, first): (&[String], &[String], _) = match fragment {
            Some(_) => (&[], &[], resolved.first().map(String::as_str)),
            None => (&self.fbc_fragments, resolved, None),
        };
        FbcOperationsView {
            base: Base::new(shown),
            from: From::new(Some(&self.from_index), facts),
            copies: Copies::new(facts),
            distribution_scope: facts.distribution_scope.as_deref(),
            build_tags: &self.build_tags,
            fbc_fragment: fragment,
            fbc_fragment_resolved: fragment.and(facts.fbc_fragment_resolved.as_deref().or(first)),
            fbc_fragments: fragments,
            fbc_fragments_resolved: all,
        }
    }
}

/// The parameters that only this endpoint has, and the index.
const OWN: &[Parameter] = &[
    Parameter::required(
        FRAGMENTS,
        ParameterForm::Images,
        "Images with fragments of file-based catalogs, which are put into the index in this order, at least one.",
    ),
    Parameter {
        is_required: true,
        ..FROM_INDEX
    },
];

impl Asked for FbcOperations {
    const EXAMPLE: &'static str = r#"{"fbc_fragments": ["registry.example.com/team/lantern-fragment:v0.3.0"], "from_index": "registry.example.com/catalog/index:v4.16", "binary_image": "registry.example.com/catalog/base:v4.16"}"#;
    const PARAMETERS: Parameters = Parameters {
        groups: &[OWN, INDEX],
        older: Some(&Parameter::required(
            FRAGMENT,
            ParameterForm::Image,
            "The only fragment, as older clients name it.",
        )),
    };

    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal> {
        let single = single(payload)?;
        // The rest of the checks knows the newer form only.
        let mut newer = payload.clone();
        if let Some(fragment) = &single {
            newer.remove(FRAGMENT);
            newer.insert(FRAGMENTS.to_owned(), Value::from(vec![fragment.clone()]));
        }
        check_names(&newer, Self::PARAMETERS)?;
        let fragments = newer.get(FRAGMENTS).and_then(texts);
        let fragments = fragments.ok_or_else(|| Refusal::not_strings(FRAGMENTS))?;
        let shared = IndexParameters::read(&newer, context)?;
        fragments.iter().try_for_each(|image| check_image(image))?;
        Ok(Self {
            fbc_fragments: distinct(fragments),
            single: single.is_some(),
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

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FbcOperationsView<'a> {
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
    /// The only fragment, where it was named so.
    fbc_fragment: Option<&'a str>,
    /// The same by its digest.
    fbc_fragment_resolved: Option<&'a str>,
    /// The images with fragments.
    fbc_fragments: &'a [String],
    /// The same by their digests.
    fbc_fragments_resolved: &'a [String],
}

/// The fragment of the older form, if that is used; null counts as not given in both.
fn single(payload: &Payload) -> Result<Option<String>, Refusal> {
    let given = |name| payload.get(name).filter(|value| !value.is_null());
    match (given(FRAGMENT), given(FRAGMENTS)) {
        (Some(_), Some(_)) => {
            let text = format!("Cannot provide both \"{FRAGMENT}\" and \"{FRAGMENTS}\" parameters");
            Err(Refusal::new(Rule::Needs, FRAGMENT, text))
        }
        (Some(Value::String(fragment)), None) => Ok(Some(fragment.clone())),
        (Some(_), None) => Err(Refusal::not_a_string(FRAGMENT)),
        (None, Some(_)) => Ok(None),
        (None, None) => {
            let text = format!("Either \"{FRAGMENT}\" or \"{FRAGMENTS}\" must be provided");
            Err(Refusal::new(Rule::Missing, FRAGMENTS, text))
        }
    }
}
