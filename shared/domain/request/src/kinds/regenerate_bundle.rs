//! `regenerate-bundle`: make a bundle anew, with its images pinned.

use std::borrow::Cow;
use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, Kind};
use crate::payload::{
    LOGINS, ORGANIZATION, OUTPUT_FORMAT, Parameter, ParameterForm, Parameters, Payload,
    ReadContext, check_image, check_names, check_registry_auths, output_format, set, set_text,
    string_map,
};
use crate::record::format;
use crate::view::{Document, Shown};
use crate::{Refusal, Unknown};

/// What `POST /builds/regenerate-bundle` asks for, checked (spec rest-api §4.6).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegenerateBundle {
    /// The bundle to make anew.
    pub from_bundle_image: String,
    /// Whose customizations are applied.
    pub organization: Option<String>,
    /// For pull specs in the bundle, the one that takes the place of each.
    pub bundle_replacements: BTreeMap<String, String>,
    /// Which documents the new bundle is to have; none: those of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Kind for RegenerateBundle {
    const NAME: &'static str = "regenerate-bundle";
    const ABOUT: &'static str = "Makes a bundle anew, with its images pinned";
    const FORMAT: u32 = format::WITH_ALL_KINDS;

    type View<'a> = RegenerateBundleView<'a>;

    fn closing(&self) -> Cow<'static, str> {
        "The request completed successfully".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        vec![("from_bundle_image", &self.from_bundle_image)]
    }

    fn output_format(&self) -> Option<ImageFormat> {
        self.output_format
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> RegenerateBundleView<'a> {
        let facts = shown.facts();
        RegenerateBundleView {
            bundle_image: facts.bundle_image.as_deref(),
            from_bundle_image: &self.from_bundle_image,
            from_bundle_image_resolved: facts.from_bundle_image_resolved.as_deref(),
            organization: self.organization.as_deref(),
            bundle_replacements: &self.bundle_replacements,
            related_bundles: shown.related_bundles(),
        }
    }
}

impl Asked for RegenerateBundle {
    const EXAMPLE: &'static str = r#"{"from_bundle_image": "registry.example.com/team/lantern-bundle:v0.3.0", "organization": "team"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[&[
        Parameter::required(
            "from_bundle_image",
            ParameterForm::Image,
            "The bundle to make anew.",
        ),
        ORGANIZATION,
        Parameter::optional(
            "bundle_replacements",
            ParameterForm::TextsByName,
            "For pull specs in the bundle, the one that takes the place of each.",
        ),
        LOGINS,
        OUTPUT_FORMAT,
    ]]);

    fn read(payload: &Payload, _: &ReadContext<'_>) -> Result<Self, Refusal> {
        const IMAGE: &str = "from_bundle_image";
        const REPLACEMENTS: &str = "bundle_replacements";
        check_names(payload, Self::PARAMETERS)?;
        let replacements = set(payload, REPLACEMENTS);
        let replacements = replacements.map(|value| string_map(value, REPLACEMENTS));
        let bundle_replacements = replacements.transpose()?.unwrap_or_default();
        let organization = set_text(payload, "organization")?;
        let from_bundle_image = set_text(payload, IMAGE)?.unwrap_or_default();
        check_registry_auths(payload)?;
        check_image(&from_bundle_image)?;
        let output_format = output_format(payload)?;
        Ok(Self {
            from_bundle_image,
            organization,
            bundle_replacements,
            output_format,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RegenerateBundleView<'a> {
    /// The new bundle, when there is one.
    bundle_image: Option<&'a str>,
    /// The bundle that it is made of.
    from_bundle_image: &'a str,
    /// The same by its digest.
    from_bundle_image_resolved: Option<&'a str>,
    /// Whose customizations are applied.
    organization: Option<&'a str>,
    /// For pull specs in the bundle, the one that takes the place of each.
    bundle_replacements: &'a BTreeMap<String, String>,
    /// The bundles that the new one names.
    #[serde(skip_serializing_if = "Option::is_none")]
    related_bundles: Option<Document>,
}
