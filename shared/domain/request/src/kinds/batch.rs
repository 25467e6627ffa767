//! Calls that ask for several requests at once (spec rest-api §4.8).

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{AddRequest, KindRow, RegenerateBundle, RmRequest};
use crate::payload::{Payload, set};
use crate::refusal::Rule;
use crate::{ApiSettings, Refusal};

/// What whoever asked for a batch noted on it.
pub type Annotations = Map<String, Value>;

/// Most bytes that annotations may have as JSON: they are kept with each request of the batch. Ours.
const ANNOTATIONS_LIMIT: usize = 16 * 1024;

/// An endpoint that takes batches.
#[derive(Debug, Clone, Copy)]
pub struct BatchRow {
    /// Its name in the API: the last part of the path.
    pub name: &'static str,
    /// The kinds that a build request in it may be of.
    pub kinds: &'static [&'static KindRow],
    /// Which of them it is of.
    kind_of: fn(&Payload) -> Result<&'static KindRow, Refusal>,
}

/// All of them.
pub static BATCHES: [BatchRow; 2] = [
    BatchRow {
        name: "add-rm-batch",
        kinds: &[&ADD, &RM],
        kind_of: add_or_rm,
    },
    BatchRow {
        name: "regenerate-bundle-batch",
        kinds: &[&REGENERATE_BUNDLE],
        kind_of: |_| Ok(&REGENERATE_BUNDLE),
    },
];

static ADD: KindRow = KindRow::of::<AddRequest>();
static RM: KindRow = KindRow::of::<RmRequest>();
static REGENERATE_BUNDLE: KindRow = KindRow::of::<RegenerateBundle>();

fn add_or_rm(payload: &Payload) -> Result<&'static KindRow, Refusal> {
    if set(payload, "operators").is_some() {
        return Ok(&RM);
    }
    if set(payload, "bundles").is_some() {
        return Ok(&ADD);
    }
    let text = "Build request is not a valid Add/Rm request.";
    Err(Refusal::new(Rule::Missing, None, text))
}

impl BatchRow {
    /// The schema of the body of such a call, that of a build request being one of these.
    pub fn schema(&self, build_requests: &[Value]) -> Value {
        json!({
            "type": "object",
            "required": [BUILD_REQUESTS],
            "properties": {
                BUILD_REQUESTS: {
                    "description": "What is asked for. None counts unless all can be read.",
                    "type": "array",
                    "minItems": 1,
                    "items": {"anyOf": build_requests},
                },
                ANNOTATIONS: {
                    "description": "What is noted on each request of the batch.",
                    "type": "object",
                },
            },
        })
    }

    /// Reads the body of such a call, and each build request in it with `read`, in order. None counts
    /// unless all are read.
    ///
    /// # Errors
    /// [`Refusal`], for the first fault; one of a build request names its place.
    pub fn read<T>(
        &self,
        body: &Value,
        settings: &ApiSettings,
        mut read: impl FnMut(&'static KindRow, &Payload) -> Result<T, Refusal>,
    ) -> Result<(Option<Annotations>, Vec<T>), Refusal> {
        let given = build_requests(body, settings)?;
        let annotations = annotations(body)?;
        let mut requests = Vec::with_capacity(given.len());
        for value in given {
            let one = match value {
                Value::Object(payload) => (self.kind_of)(payload).and_then(|kind| {
                    let payload = with_list_of_bundles(payload);
                    read(kind, &payload)
                }),
                // The reference fails.
                _ => Err(Refusal::new(
                    Rule::Type,
                    BUILD_REQUESTS,
                    "A build request must be a JSON object",
                )),
            };
            // The reference looks for an equal one, too.
            let place = || given.iter().position(|other| other == value);
            requests.push(one.map_err(|refused| refused.in_batch(place().unwrap_or_default()))?);
        }
        Ok((annotations, requests))
    }
}

/// Here, and not in a call for one request, the reference takes the names in an object, and the letters
/// of a text, for a list.
fn with_list_of_bundles(payload: &Payload) -> Cow<'_, Payload> {
    const NAME: &str = "bundles";
    let names: Vec<String> = match payload.get(NAME) {
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        Some(Value::String(text)) => text.chars().map(String::from).collect(),
        _ => return Cow::Borrowed(payload),
    };
    let mut payload = payload.clone();
    payload.insert(NAME.to_owned(), names.into());
    Cow::Owned(payload)
}

const BUILD_REQUESTS: &str = "build_requests";

fn build_requests<'a>(body: &'a Value, settings: &ApiSettings) -> Result<&'a [Value], Refusal> {
    let given = body.get(BUILD_REQUESTS).and_then(Value::as_array);
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        let text = format!(
            "The input data must be a JSON object and the \"{BUILD_REQUESTS}\" value must be a non-empty array"
        );
        return Err(Refusal::new(Rule::Type, BUILD_REQUESTS, text));
    };
    let (count, limit) = (given.len(), settings.max_batch);
    if count > limit as usize {
        let text = format!(
            "\"{BUILD_REQUESTS}\" has {count} entries, at most {limit} are taken at once: split the batch into several"
        );
        return Err(Refusal::new(Rule::TooMany, BUILD_REQUESTS, text));
    }
    Ok(given)
}

const ANNOTATIONS: &str = "annotations";

fn annotations(body: &Value) -> Result<Option<Annotations>, Refusal> {
    const NAME: &str = ANNOTATIONS;
    let annotations = match body.get(NAME) {
        None => return Ok(None),
        Some(Value::Object(annotations)) => annotations,
        Some(_) => return Err(Refusal::not_an_object(NAME)),
    };
    let size = body[NAME].to_string().len();
    if size > ANNOTATIONS_LIMIT {
        let text = format!(
            "\"{NAME}\" has {size} bytes, at most {ANNOTATIONS_LIMIT} are kept: leave something out"
        );
        return Err(Refusal::new(Rule::TooMany, NAME, text));
    }
    Ok(Some(annotations.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, body: &Value) -> Result<(Option<Annotations>, Vec<&'static str>), String> {
        let settings = ApiSettings {
            max_batch: 3,
            ..ApiSettings::default()
        };
        let row = BATCHES.iter().find(|row| row.name == name).unwrap();
        let read = row.read(body, &settings, |kind, payload| {
            let refused = payload.get("refuse").and_then(Value::as_str);
            let rule = payload
                .get("rights")
                .map_or(Rule::Type, |_| Rule::NotAllowed);
            refused.map_or(Ok(kind.name), |text| Err(Refusal::new(rule, None, text)))
        });
        read.map_err(|refused| refused.to_string())
    }

    #[test]
    fn each_build_request_is_of_its_kind() {
        let body = json!({
            "build_requests": [{"bundles": ["a"]}, {"operators": "a", "bundles": ["a"]}],
            "annotations": {"k": [1]}, "else": 1,
        });
        let (annotations, kinds) = read("add-rm-batch", &body).unwrap();
        assert_eq!(kinds, ["add", "rm"]);
        assert_eq!(json!(annotations), json!({"k": [1]}));
        let (annotations, kinds) =
            read("regenerate-bundle-batch", &json!({"build_requests": [{}]})).unwrap();
        assert_eq!((annotations, kinds), (None, vec!["regenerate-bundle"]));
    }

    #[test]
    fn a_refusal_names_the_first_build_request_that_is_equal() {
        let refused = |requests: Value| {
            read(
                "regenerate-bundle-batch",
                &json!({"build_requests": requests}),
            )
            .unwrap_err()
        };
        let bad = json!({"refuse": "No."});
        assert_eq!(
            refused(json!([{}, bad, bad])),
            "No. This occurred on the build request in index 1."
        );
        assert_eq!(refused(json!([{}, {"refuse": "No.", "rights": 1}])), "No.");
        assert_eq!(
            refused(json!([{}, "x"])),
            "A build request must be a JSON object. This occurred on the build request in index 1."
        );
    }

    #[test]
    fn what_is_around_them_is_checked_first() {
        let one = json!([{"refuse": "never read"}]);
        for (body, told) in [
            (json!([]), "must be a non-empty array"),
            (json!({}), "must be a non-empty array"),
            (json!({"build_requests": {}}), "must be a non-empty array"),
            (
                json!({"build_requests": one, "annotations": null}),
                "\"annotations\" must be a",
            ),
            (json!({"build_requests": [1, 2, 3, 4]}), "at most 3"),
            (
                json!({"build_requests": one, "annotations": {"a": "x".repeat(ANNOTATIONS_LIMIT)}}),
                "leave something out",
            ),
        ] {
            let text = read("add-rm-batch", &body).unwrap_err();
            assert!(text.contains(told), "{text}");
        }
    }
}
