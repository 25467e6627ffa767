//! What an organization wants of its bundles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Template;

/// A step, which may come several times (regenerate-bundle §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Customization {
    /// Names images by their digests.
    ResolveImagePullspecs,
    /// Notes which of the images are bundles.
    RelatedBundles,
    /// Puts the bundles of the request in the places of those they replace.
    PerformBundleReplacements,
    /// Adds to the name of the package.
    PackageNameSuffix {
        /// What is added.
        #[serde(default)]
        suffix: String,
    },
    /// Puts registries in the places of others.
    RegistryReplacements {
        /// By the registries that they replace; may have a path.
        #[serde(default)]
        replacements: BTreeMap<String, String>,
    },
    /// Names images by their labels.
    ImageNameFromLabels {
        /// Of namespace and repository.
        #[serde(default)]
        template: Option<Template>,
    },
    /// Adds annotations to CSVs.
    CsvAnnotations {
        /// Their values, which may have the field `package_name`.
        #[serde(default)]
        annotations: BTreeMap<String, Template>,
    },
    /// Puts all images into one namespace.
    EncloseRepo {
        /// The namespace.
        #[serde(default)]
        namespace: String,
        /// Between the parts of the former name.
        #[serde(default)]
        enclosure_glue: String,
    },
}

/// What is wrong with a customization.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustomizationFault {
    /// Not an object with a type.
    #[error("a customization is an object with a type, not {0}")]
    Shape(Value),
    /// A type that is not known.
    #[error("the type {found:?} is unknown: it is one of {}", TYPES.join(", "))]
    Type {
        /// The type.
        found: String,
    },
    /// A setting that is not what it should be.
    #[error("the customization {kind}: {fault}")]
    Setting {
        /// The type.
        kind: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// A field that has no value.
    #[error(
        "the customization csv_annotations: the annotation {annotation} has the field {field:?}, and only package_name has a value"
    )]
    Field {
        /// The annotation.
        annotation: String,
        /// The field.
        field: String,
    },
}

/// The types, in the order of the default.
const TYPES: [&str; 8] = [
    "resolve_image_pullspecs",
    "related_bundles",
    "package_name_suffix",
    "registry_replacements",
    "perform_bundle_replacements",
    "image_name_from_labels",
    "csv_annotations",
    "enclose_repo",
];

/// The field of annotations.
pub(crate) const PACKAGE_NAME: &str = "package_name";

impl Customization {
    /// Those of whoever has none: the ones that act without settings, in the reference's order.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::ResolveImagePullspecs,
            Self::RelatedBundles,
            Self::PerformBundleReplacements,
        ]
    }

    /// Reads one as it is configured.
    ///
    /// # Errors
    /// [`CustomizationFault`].
    pub fn read(value: &Value) -> Result<Self, CustomizationFault> {
        let shape = || CustomizationFault::Shape(value.clone());
        let found = value
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(shape)?;
        let kind = TYPES.iter().find(|kind| **kind == found);
        let kind = *kind.ok_or_else(|| CustomizationFault::Type {
            found: found.to_owned(),
        })?;
        let read: Self = Self::deserialize(value).map_err(|error| CustomizationFault::Setting {
            kind,
            fault: error.to_string(),
        })?;
        if let Self::CsvAnnotations { annotations } = &read {
            for (annotation, template) in annotations {
                if let Some(field) = template.fields().find(|field| *field != PACKAGE_NAME) {
                    return Err(CustomizationFault::Field {
                        annotation: annotation.clone(),
                        field: field.to_owned(),
                    });
                }
            }
        }
        Ok(read)
    }
}

/// The steps for an organization: those that are configured for it, or else the defaults (regenerate-bundle
/// §7). Types that are not known are passed over; that they are told when the service starts is not the concern of
/// a request.
///
/// # Errors
/// The first fault of a known type.
pub fn customizations(
    configured: Option<&[Value]>,
) -> Result<Vec<Customization>, CustomizationFault> {
    let configured = configured.filter(|configured| !configured.is_empty());
    let Some(configured) = configured else {
        return Ok(Customization::defaults());
    };
    let read = configured.iter().map(Customization::read);
    let known = read.filter(|read| !matches!(read, Err(CustomizationFault::Type { .. })));
    known.collect()
}
