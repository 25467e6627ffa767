//! `recursive-related-bundles`: find the bundles that a bundle refers to, and those they refer to.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Asked, Kind};
use crate::payload::{
    LOGINS, ORGANIZATION, Parameter, ParameterForm, Parameters, Payload, ReadContext, check_image,
    check_names, check_registry_auths, set_text,
};
use crate::record::format;
use crate::view::{Document, Shown};
use crate::{Refusal, Unknown};

/// What `POST /builds/recursive-related-bundles` asks for, checked (spec rest-api §4.7).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecursiveRelatedBundles {
    /// The bundle to begin with.
    pub parent_bundle_image: String,
    /// Whose customizations are applied.
    pub organization: Option<String>,
    /// What a newer version noted.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl Kind for RecursiveRelatedBundles {
    const NAME: &'static str = "recursive-related-bundles";
    const ABOUT: &'static str = "Finds the bundles behind a bundle";
    const FORMAT: u32 = format::WITH_ALL_KINDS;

    type View<'a> = RecursiveRelatedBundlesView<'a>;

    fn closing(&self) -> Cow<'static, str> {
        "The request completed successfully".into()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        vec![("parent_bundle_image", &self.parent_bundle_image)]
    }

    fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    fn view<'a>(&'a self, shown: &Shown<'a>) -> RecursiveRelatedBundlesView<'a> {
        RecursiveRelatedBundlesView {
            parent_bundle_image: &self.parent_bundle_image,
            parent_bundle_image_resolved: shown.facts().parent_bundle_image_resolved.as_deref(),
            organization: self.organization.as_deref(),
            nested_bundles: shown.nested_bundles(),
        }
    }
}

impl Asked for RecursiveRelatedBundles {
    const EXAMPLE: &'static str =
        r#"{"parent_bundle_image": "registry.example.com/team/lantern-bundle:v0.3.0"}"#;
    const PARAMETERS: Parameters = Parameters::of(&[&[
        Parameter::required(
            "parent_bundle_image",
            ParameterForm::Image,
            "The bundle to begin with.",
        ),
        ORGANIZATION,
        LOGINS,
    ]]);

    fn read(payload: &Payload, _: &ReadContext<'_>) -> Result<Self, Refusal> {
        const IMAGE: &str = "parent_bundle_image";
        check_names(payload, Self::PARAMETERS)?;
        let organization = set_text(payload, "organization")?;
        let parent_bundle_image = set_text(payload, IMAGE)?.unwrap_or_default();
        check_registry_auths(payload)?;
        check_image(&parent_bundle_image)?;
        Ok(Self {
            parent_bundle_image,
            organization,
            unknown: Unknown::default(),
        })
    }
}

/// What such a request shows (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecursiveRelatedBundlesView<'a> {
    /// The bundle to begin with.
    parent_bundle_image: &'a str,
    /// The same by its digest.
    parent_bundle_image_resolved: Option<&'a str>,
    /// Whose customizations are applied.
    organization: Option<&'a str>,
    /// The bundles behind it.
    nested_bundles: Document,
}
