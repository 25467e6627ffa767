//! Tables about what bundles have to pass, and what they name.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use iib_bundle::pull_specs_in_text;
use iib_greenwave::decision_url;
use iib_pipeline::pass_gate;
use iib_ports::{GateAnswer, GateError, Gates};
use iib_request::Gating;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, given, words};

#[derive(Deserialize)]
pub(super) struct Gated {
    bundles: Vec<String>,
    greenwave_config: Value,
    greenwave_url: Option<String>,
    labels: BTreeMap<String, BTreeMap<String, String>>,
    responses: Vec<Response>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    body: String,
}

/// The answers of a case, in their order.
struct Answers {
    answers: Mutex<std::vec::IntoIter<Response>>,
    asked: Mutex<Vec<Map<String, Value>>>,
}

#[async_trait]
impl Gates for Answers {
    async fn decide(&self, question: &Map<String, Value>) -> Result<GateAnswer, GateError> {
        let (mut answers, mut asked) = (locked(&self.answers), locked(&self.asked));
        asked.push(question.clone());
        let Response { status, body } = answers.next().ok_or_else(|| GateError::Unreachable {
            url: "the case".to_owned(),
            source: "it has no more answers".into(),
        })?;
        Ok(GateAnswer { status, body })
    }
}

// Nothing panics while it is held.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) async fn greenwave(input: Gated) -> Answer {
    let gating: Gating = serde_json::from_value(input.greenwave_config).map_err(words)?;
    let url = given(input.greenwave_url.as_ref()).map(decision_url);
    let url = url.transpose().map_err(words)?;
    let labels = |bundle: &String| input.labels.get(bundle).cloned().unwrap_or_default();
    let bundles = input.bundles.iter();
    let bundles: Vec<_> = bundles
        .map(|bundle| (bundle.clone(), labels(bundle)))
        .collect();
    let answers = Answers {
        answers: Mutex::new(input.responses.into_iter()),
        asked: Mutex::default(),
    };
    let gates = url.is_some().then_some(&answers as &dyn Gates);
    let passed = pass_gate(gates, &gating, &bundles).await;
    let asked = answers.asked.into_inner().unwrap_or_default().into_iter();
    let url = url.map(|url| url.to_string());
    let requests: Vec<Value> = asked
        .map(|asked| json!({"url": url, "json": asked}))
        .collect();
    Ok(json!({"requests": requests, "error": passed.err().map(words)}))
}

#[derive(Deserialize)]
pub(super) struct Annotation {
    text: String,
}

/// Places are counted in characters.
pub(super) fn pullspec_heuristic(input: &Annotation) -> Answer {
    let text = &input.text;
    let count = |end: usize| text.get(..end).map_or(0, |before| before.chars().count());
    let found = pull_specs_in_text(text).into_iter().map(|range| {
        let (start, end) = (count(range.start), count(range.end));
        json!([start, end, text.get(range)])
    });
    Ok(found.collect())
}
