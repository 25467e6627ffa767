#![doc = include_str!("../README.md")]

mod csv;
mod customization;
mod diff;
mod error;
mod manifests;
mod metadata;
mod nested;
mod package;
mod regeneration;
mod template;
mod truth;

pub use csv::NamedImage;
pub use customization::{
    Customization, CustomizationFault, check_customizations, customizations, up_to_related_bundles,
};
pub use diff::FilesDiff;
pub use error::RegenerateError;
pub use manifests::{BUNDLE_LABEL, Manifests};
pub use metadata::annotations;
pub use nested::{NestedBundles, TooManyBundles};
pub use regeneration::{
    Answer, Answers, Bundle, Lookup, Next, PINNED_LABEL, Regenerated, Regeneration,
};
pub use template::{Template, TemplateFault};
pub use truth::is_true;
