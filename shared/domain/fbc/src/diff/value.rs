//! JSON values as they are compared: by what they say.

use iib_bundle::{Json, Number, parse_json};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::MAX_PATHS;

/// Deepest nesting of a value that is compared by what it says: what is kept of a diff has to be
/// read again by a reader that goes no deeper than 128 levels.
const DEEPEST: usize = 100;

/// The value of a text: members sorted, of equal ones the last, numbers by their value. A text that
/// is no JSON, or too deep, is itself.
pub(super) fn value(text: &str) -> Value {
    let json = parse_json(text).ok();
    let json = json.filter(|json| is_within(json, DEEPEST));
    json.map_or_else(|| Value::String(text.to_owned()), of_json)
}

fn is_within(json: &Json, levels: usize) -> bool {
    let inner = levels.checked_sub(1);
    match json {
        Json::Array(items) => {
            inner.is_some_and(|inner| items.iter().all(|item| is_within(item, inner)))
        }
        Json::Object(members) => {
            inner.is_some_and(|inner| members.values().all(|member| is_within(member, inner)))
        }
        _ => true,
    }
}

fn of_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => of_number(number),
        Json::String(text) => Value::String(text),
        Json::Array(items) => items.into_iter().map(of_json).collect(),
        Json::Object(members) => {
            let members = members.into_iter();
            let members: Map<String, Value> =
                members.map(|(name, json)| (name, of_json(json))).collect();
            Value::Object(members)
        }
    }
}

/// `1.0` and `1e0` are 1.
fn of_number(number: Number) -> Value {
    match number {
        Number::Int(number) => number.into(),
        Number::Big(number) => number.into(),
        // A whole number is shown without a fraction, and reads as an integer if it fits one.
        Number::Double(number) if number.fract() == 0.0 => {
            let text = format!("{number:.0}");
            let int = text.parse::<i64>().map(Value::from);
            let int = int.or_else(|_| text.parse::<u64>().map(Value::from));
            int.unwrap_or_else(|_| number.into())
        }
        Number::Double(number) => number.into(),
    }
}

/// Where two values differ, as paths, at most [`MAX_PATHS`]: lists of the same length are compared
/// part by part, others differ as a whole.
pub(super) fn differing(before: &Value, after: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(String::new(), before, after, &mut paths);
    paths
}

fn collect(path: String, before: &Value, after: &Value, paths: &mut Vec<String>) {
    if before == after || paths.len() >= MAX_PATHS {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let inner = match path.is_empty() {
                    true => name.clone(),
                    false => format!("{path}.{name}"),
                };
                match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) => collect(inner, old, new, paths),
                    _ if paths.len() < MAX_PATHS => paths.push(inner),
                    _ => {}
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                collect(format!("{path}[{at}]"), old, new, paths);
            }
        }
        _ => paths.push(path),
    }
}

/// `sha256:` and the digest in hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
