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
mod read;
mod typed;
mod yaml;

pub use apis::ApiKey;
pub use error::{BundleError, Limit};
pub use json::{Json, JsonError, Number, json_string, parse_json};
pub use properties::Typed;
pub use read::{Bundle, BundleFiles};
pub use typed::TypeMismatch;
pub use yaml::{YamlError, parse_yaml};
