//! Git repositories of indexes.

use std::collections::BTreeMap;

use iib_request::{is_safe_package_name, repository_of, token_of};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, words};

#[derive(Deserialize)]
pub(super) struct Url {
    from_index: String,
    map: BTreeMap<String, String>,
}

pub(super) fn url(input: &Url) -> Answer {
    Ok(json!(repository_of(&input.map, &input.from_index)))
}

#[derive(Deserialize)]
pub(super) struct Token {
    repo: String,
    tokens: BTreeMap<String, String>,
}

pub(super) fn token(input: &Token) -> Answer {
    let token = token_of(&input.tokens, &input.repo);
    token
        .map(|(name, value)| json!([name, value]))
        .map_err(words)
}

#[derive(Deserialize)]
pub(super) struct Name {
    name: String,
}

pub(super) fn safe_name(input: &Name) -> Answer {
    Ok(Value::from(is_safe_package_name(&input.name)))
}
