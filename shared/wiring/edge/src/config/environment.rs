//! The environment of the process.

use std::collections::BTreeMap;

/// The environment as it was when the process started.
pub type Environment = BTreeMap<String, String>;

/// The process's environment. What is not UTF-8 in a value is the character that stands for such, which is
/// a fault in a variable of ours; names that are not UTF-8 are not ours and are left out.
pub fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            Some((name.into_string().ok()?, value))
        })
        .collect()
}

/// The text of a variable. An empty one is not set: containers and templates hand over "nothing" so.
pub(super) fn set<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    let text = environment.get(name).map(String::as_str);
    text.filter(|text| !text.is_empty())
}
