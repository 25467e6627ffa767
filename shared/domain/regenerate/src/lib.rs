#![doc = include_str!("../README.md")]

mod csv;
mod customization;
mod error;
mod metadata;
mod regeneration;
mod template;
mod truth;

pub use customization::{Customization, CustomizationFault, check_customizations, customizations};
pub use error::RegenerateError;
pub use regeneration::{
    Answer, Answers, BUNDLE_LABEL, Bundle, Lookup, Next, PINNED_LABEL, Regenerated, Regeneration,
};
pub use template::{Template, TemplateFault};
pub use truth::is_true;
