#![doc = include_str!("../README.md")]

mod apis;
mod csv;
mod deployment;
mod document;
mod error;
mod images;
mod json;
mod metadata;
mod platform;
mod properties;
mod pull_specs;
mod quantity;
mod read;
mod time;
mod typed;
mod typed_csv;
mod yaml;

pub use apis::ApiKey;
pub use error::{BundleError, Limit, Unreadable};
pub use json::{Json, JsonError, Number, json_plain_string, json_string, parse_json};
pub use platform::RemovedApi;
pub use properties::Typed;
pub use pull_specs::{
    ImageName, RelatedImagesError, pull_specs_in_text, related_pull_specs, without_reference,
};
pub use read::{Bundle, BundleFiles, Checked};
pub use typed::TypeMismatch;
pub use typed_csv::{CsvFault, CsvIcon, check_csv};
pub use yaml::{
    NewValue, NodeId, Rewritten, YamlDocument, YamlError, YamlFault, YamlValue, parse_yaml,
    yaml_text,
};
