//! JSON values, and their text as the reference writes it.

use std::collections::BTreeMap;

mod number;
mod read;
mod write;

pub(crate) use number::short_f32;
pub use read::{JsonError, parse_json};
pub(crate) use read::{compact, first_value};
pub(crate) use write::write_string;
pub use write::{json_plain_string, json_string};

/// How deep values may be nested. Real manifests stay below 60; the limit keeps recursion off the
/// end of the stack.
pub(crate) const MAX_DEPTH: usize = 256;

/// A number. The reference keeps integers of 64 bits apart from doubles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer that fits 64 bits signed.
    Int(i64),
    /// An integer that fits 64 bits unsigned only; becomes a double in objects.
    Big(u64),
    /// Everything else; always finite.
    Double(f64),
}

/// A JSON value. Objects are sorted by key, as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` and `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object; of equal keys the last counts.
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// A member of an object by its exact name; `None` when there is none or this is no object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The compact text (spec index-database §3 "Object text"), without a newline.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        write::write_value(&mut out, self);
        out
    }

    /// The word the reference uses for a value in complaints about its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Numbers as an object holds them: whatever does not fit 64 bits signed is a double, and
    /// what YAML read as a double but prints like an integer is one.
    pub(crate) fn settle_numbers(&mut self) {
        match self {
            Self::Number(number) => *number = number.settled(),
            Self::Array(items) => items.iter_mut().for_each(Self::settle_numbers),
            Self::Object(members) => members.values_mut().for_each(Self::settle_numbers),
            Self::Null | Self::Bool(_) | Self::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
