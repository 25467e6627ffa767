//! Changes from outside: what `PATCH /builds/<id>` may change, and how (spec rest-api §8).

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::payload::{check_form, check_image, texts};
use crate::refusal::Rule;
use crate::{Facts, NewState, Operators, Outcome, Record, Refusal, State, StateEntry, Unknown};

/// The members of a JSON object in the order in which they were sent, which is the order of the
/// checks. Of a name that comes twice the last value counts, in the first place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                let mut places = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    match places.get(&name).and_then(|place| members.get_mut(*place)) {
                        Some((_, earlier)) => *earlier = value,
                        None => {
                            places.insert(name.clone(), members.len());
                            members.push((name, value));
                        }
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A change that was read and checked, but for what depends on the state a request is in when the
/// change is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    state: Option<NewState>,
    /// What becomes known.
    facts: Facts,
    operators: Operators,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text that is not empty.
    Text,
    /// The same, which is the pull spec of an image.
    Image,
    /// The same, which holds JSON.
    Json,
    /// A list of texts that are pull specs of images.
    Images,
    /// A list of architectures.
    Arches,
    /// An object of lists of pull specs, by operator.
    Operators,
    /// An object of texts.
    Replacements,
}

impl Form {
    fn schema(self) -> Value {
        let text = json!({"type": "string", "minLength": 1});
        match self {
            Self::Text | Self::Image => text,
            Self::Json => json!({"type": "string", "contentMediaType": "application/json"}),
            Self::Images | Self::Arches => json!({"type": "array", "items": text}),
            Self::Operators => json!({
                "type": "object",
                "additionalProperties": {"type": "array", "items": text},
            }),
            Self::Replacements => {
                json!({"type": "object", "additionalProperties": {"type": "string"}})
            }
        }
    }
}

/// A key, what its value has to be, the kinds that take it, and where it goes.
struct Row {
    key: &'static str,
    form: Form,
    kinds: &'static [&'static str],
    set: fn(&mut Facts, String),
}

const ADD: &str = "add";
const RM: &str = "rm";
const REGENERATE: &str = "regenerate-bundle";
const MERGE: &str = "merge-index-image";
const EMPTY: &str = "create-empty-index";
const RELATED: &str = "recursive-related-bundles";
const FBC: &str = "fbc-operations";
const DEPRECATIONS: &str = "add-deprecations";

const ALL: &[&str] = &[
    ADD,
    RM,
    REGENERATE,
    MERGE,
    EMPTY,
    RELATED,
    FBC,
    DEPRECATIONS,
];
/// Those that make an index.
const INDEX: &[&str] = &[ADD, RM, MERGE, EMPTY, FBC, DEPRECATIONS];
/// Those that make it of one index.
const FROM_ONE: &[&str] = &[ADD, RM, EMPTY, FBC, DEPRECATIONS];
/// Those that may overwrite that one.
const COPYING: &[&str] = &[ADD, RM, FBC, DEPRECATIONS];

/// Where the value does not go by itself: it has a place of its own in a [`Patch`], or no effect.
const ELSEWHERE: fn(&mut Facts, String) = |_, _| {};

/// The table of spec rest-api §8.
#[rustfmt::skip] // One line for each.
const ROWS: &[Row] = &[
    row("state", Form::Text, ALL, ELSEWHERE),
    row("state_reason", Form::Text, ALL, ELSEWHERE),
    row("arches", Form::Arches, ALL, ELSEWHERE),
    row("binary_image", Form::Image, INDEX, |f, v| f.binary_image = Some(v)),
    row("binary_image_resolved", Form::Image, INDEX, |f, v| f.binary_image_resolved = Some(v)),
    row("index_image", Form::Image, INDEX, |f, v| f.index_image = Some(v)),
    row("distribution_scope", Form::Text, INDEX, |f, v| f.distribution_scope = Some(v)),
    row("from_index_resolved", Form::Image, FROM_ONE, |f, v| f.from_index_resolved = Some(v)),
    row("index_image_resolved", Form::Image, FROM_ONE, |f, v| f.index_image_resolved = Some(v)),
    row("internal_index_image_copy", Form::Image, COPYING, |f, v| f.internal_index_image_copy = Some(v)),
    row("internal_index_image_copy_resolved", Form::Image, COPYING, |f, v| f.internal_index_image_copy_resolved = Some(v)),
    row("from_bundle_image_resolved", Form::Image, &[REGENERATE], |f, v| f.from_bundle_image_resolved = Some(v)),
    row("from_bundle_image_resolved", Form::Image, COPYING, ELSEWHERE),
    row("bundle_mapping", Form::Operators, &[ADD], ELSEWHERE),
    row("omps_operator_version", Form::Json, &[ADD], |f, v| f.omps_operator_version = Some(v)),
    row("bundles", Form::Text, &[ADD], ELSEWHERE),
    row("bundle_image", Form::Image, &[REGENERATE], |f, v| f.bundle_image = Some(v)),
    row("bundle_replacements", Form::Replacements, &[REGENERATE], ELSEWHERE),
    row("parent_bundle_image_resolved", Form::Image, &[RELATED], |f, v| f.parent_bundle_image_resolved = Some(v)),
    row("source_from_index_resolved", Form::Image, &[MERGE], |f, v| f.source_from_index_resolved = Some(v)),
    row("target_index_resolved", Form::Image, &[MERGE], |f, v| f.target_index_resolved = Some(v)),
    row("fbc_fragment", Form::Image, &[FBC], |f, v| f.fbc_fragment = Some(v)),
    row("fbc_fragment_resolved", Form::Image, &[FBC], |f, v| f.fbc_fragment_resolved = Some(v)),
    row("fbc_fragments_resolved", Form::Images, &[FBC], ELSEWHERE),
    row("fbc_fragments", Form::Text, &[FBC], ELSEWHERE),
    // The reference goes over the letters of "labels" there (§13).
    row("l", Form::Text, &[EMPTY], ELSEWHERE),
    row("a", Form::Text, &[EMPTY], ELSEWHERE),
    row("b", Form::Text, &[EMPTY], ELSEWHERE),
    row("e", Form::Text, &[EMPTY], ELSEWHERE),
    row("s", Form::Text, &[EMPTY], ELSEWHERE),
];

const fn row(
    key: &'static str,
    form: Form,
    kinds: &'static [&'static str],
    set: fn(&mut Facts, String),
) -> Row {
    Row {
        key,
        form,
        kinds,
        set,
    }
}

/// The keys with images, in the order in which the reference checks them.
const IMAGES: [&str; 16] = [
    "binary_image",
    "binary_image_resolved",
    "bundle_image",
    "from_bundle_image_resolved",
    "from_index_resolved",
    "fbc_fragment",
    "fbc_fragment_resolved",
    "index_image",
    "index_image_resolved",
    "internal_index_image_copy",
    "internal_index_image_copy_resolved",
    "parent_bundle_image_resolved",
    "source_from_index_resolved",
    "target_index_resolved",
    "bundle_mapping",
    "fbc_fragments_resolved",
];

impl Members {
    /// Whether there is nothing to be changed.
    ///
    /// # Errors
    /// [`Refusal`] if so. It comes before it is looked whether there is such a request.
    pub fn check_some(&self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            let text = "At least one key must be specified to update the request";
            return Err(Refusal::new(Rule::Missing, None, text));
        }
        Ok(())
    }
}

impl Patch {
    /// The schema of the body of such a call (JSON Schema 2020-12): what requests of any kind take.
    pub fn schema() -> Value {
        let mut properties = Map::new();
        // Single letters are there for what today's service takes by accident.
        for row in ROWS.iter().filter(|row| row.key.len() > 1) {
            properties.insert(row.key.to_owned(), row.form.schema());
        }
        json!({
            "type": "object",
            "minProperties": 1,
            "dependentRequired": {"state": ["state_reason"], "state_reason": ["state"]},
            "properties": properties,
        })
    }

    /// Reads a change for this request.
    ///
    /// # Errors
    /// [`Refusal`]: keys first, then values in the order of the body, the state, images.
    pub fn read(members: &Members, record: &Record) -> Result<Self, Refusal> {
        let kind = record.request.name();
        let mut unknown = Vec::new();
        let mut found = Vec::new();
        for (key, value) in &members.0 {
            let takes = |row: &&Row| row.key == key && row.kinds.contains(&kind);
            match ROWS.iter().find(takes) {
                Some(row) => found.push((row, value)),
                None => unknown.push(key.as_str()),
            }
        }
        if !unknown.is_empty() {
            unknown.sort_unstable();
            let text = format!("The following keys are not allowed: {}", unknown.join(", "));
            return Err(Refusal::new(Rule::UnknownParameter, None, text));
        }
        for (row, value) in &found {
            row.check(value)?;
        }
        let mut patch = Self {
            state: new_state(members)?,
            ..Self::default()
        };
        patch.check_state(record.state())?;
        // Images are checked in an order of their own.
        found.sort_by_key(|(row, _)| IMAGES.iter().position(|key| *key == row.key));
        for (row, value) in found {
            patch.take(row, value)?;
        }
        Ok(patch)
    }

    /// Takes over a value whose form was checked; images are checked here.
    fn take(&mut self, row: &Row, value: &Value) -> Result<(), Refusal> {
        match row.form {
            Form::Text | Form::Json | Form::Image => {
                let text = value.as_str().unwrap_or_default();
                if row.form == Form::Image {
                    check_image(text)?;
                    check_form(row.key, text)?;
                }
                (row.set)(&mut self.facts, text.to_owned());
            }
            Form::Images => {
                let images = any_texts(value).unwrap_or_default();
                for image in &images {
                    check_image(image)?;
                    check_form(row.key, image)?;
                }
                self.facts.fbc_fragments_resolved = Some(images);
            }
            Form::Arches => self.facts.arches = texts(value),
            Form::Operators => {
                for (operator, bundles) in value.as_object().into_iter().flatten() {
                    for bundle in any_texts(bundles).unwrap_or_default() {
                        check_image(&bundle)?;
                        check_form(row.key, &bundle)?;
                        self.operators.insert(bundle, operator.clone());
                    }
                }
            }
            Form::Replacements => {}
        }
        Ok(())
    }

    /// The operators of bundles that are to be recorded, for all requests.
    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    /// The state that is given, if one is.
    pub fn state(&self) -> Option<&NewState> {
        self.state.as_ref()
    }

    /// Refuses to leave a final state.
    fn check_state(&self, present: State) -> Result<(), Refusal> {
        let leaves = self.state.as_ref().is_some_and(|new| new.state != present);
        if present.is_final() && leaves {
            let text = format!("A {present} request cannot change states");
            return Err(Refusal::new(Rule::FinalState, "state", text));
        }
        Ok(())
    }

    /// Makes the change in a request as it is now. A final state ends its work: whoever works on it
    /// finds that out before it writes again. The same state and reason again is another entry of the
    /// history (§13).
    ///
    /// # Errors
    /// [`Rule::FinalState`] if the request would leave a final state; nothing is changed then.
    pub fn apply(&self, record: &mut Record, now: Timestamp) -> Result<(), Refusal> {
        self.check_state(record.state())?;
        if let Some(new) = &self.state {
            record.history.push(StateEntry {
                state: new.state,
                state_reason: new.state_reason.clone(),
                updated: now.max(record.updated()),
                version: Some(record.version + 1),
                unknown: Unknown::default(),
            });
            if new.state.is_final() {
                record.conclude(Outcome::Rejected);
            }
        }
        record.facts.merge(&self.facts);
        Ok(())
    }
}

impl Row {
    fn check(&self, value: &Value) -> Result<(), Refusal> {
        let key = self.key;
        let refused = |text: String| Err(Refusal::new(Rule::Type, key, text));
        let of_texts = |value: &Value| texts(value).is_some();
        match self.form {
            Form::Text | Form::Image | Form::Json => match value.as_str() {
                Some("") | None => refused(format!(
                    "The value for \"{key}\" must be a non-empty string"
                )),
                // The reference stores it, and fails whenever it is to be shown.
                Some(text) if self.form == Form::Json && !is_json(text) => refused(format!(
                    "The value for \"{key}\" must be a string that holds JSON"
                )),
                Some(_) => Ok(()),
            },
            Form::Images if any_texts(value).is_some() => Ok(()),
            Form::Images => refused(format!(
                "The value for \"{key}\" must be a list of non-empty strings"
            )),
            Form::Arches if of_texts(value) => Ok(()),
            Form::Arches => refused(
                "Architectures should be specified as a non-empty array of strings".to_owned(),
            ),
            Form::Operators => match value.as_object() {
                Some(operators) if operators.values().all(|list| any_texts(list).is_some()) => {
                    Ok(())
                }
                _ => refused(format!(
                    "The \"{key}\" key must be an object with the values as lists of strings"
                )),
            },
            Form::Replacements => match value.as_object() {
                Some(members) if members.values().all(Value::is_string) => Ok(()),
                _ => refused(format!(
                    "The \"{key}\" key must be a dictionary object mapping from strings to strings"
                )),
            },
        }
    }
}

/// A list of texts, empty ones among them: that those are no images is told later.
fn any_texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

/// State and reason, of which neither goes without the other.
fn new_state(members: &Members) -> Result<Option<NewState>, Refusal> {
    let value = |wanted: &str| {
        let mut members = members.0.iter();
        let found = members.find_map(|(key, value)| (key == wanted).then_some(value));
        found.and_then(Value::as_str)
    };
    let needs = |needed: &'static str, given: &str| {
        let text = format!("The \"{needed}\" key is required when \"{given}\" is supplied");
        Err(Refusal::new(Rule::Needs, needed, text))
    };
    match (value("state"), value("state_reason")) {
        (None, None) => Ok(None),
        (Some(_), None) => needs("state_reason", "state"),
        (None, Some(_)) => needs("state", "state_reason"),
        (Some(state), Some(reason)) => Ok(Some(NewState {
            state: State::read(state)?,
            state_reason: reason.to_owned(),
        })),
    }
}

#[cfg(test)]
mod tests;
