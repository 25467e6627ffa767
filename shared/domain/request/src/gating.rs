//! What bundles have to pass before they are added, and what answers mean (worker flows §12).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Request;

/// What the bundles of a queue's add requests have to pass (Greenwave), by queue; [`DEFAULT_QUEUE`] for the
/// default one.
pub type GatingByQueue = BTreeMap<String, Gating>;

/// What a decision of Greenwave is asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gating {
    /// The context, such as `iib_prod`.
    pub decision_context: String,
    /// The product and its version, such as `ocp-4`.
    pub product_version: String,
    /// [`GATED_SUBJECT`].
    pub subject_type: String,
    /// Whatever else; settings have none.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The default queue's name in [`GatingByQueue`]; settings of today's service have it from JSON.
pub const DEFAULT_QUEUE: &str = "null";

/// What a bundle is to Greenwave, the one kind that is understood.
pub const GATED_SUBJECT: &str = "koji_build";

/// How much of a failure is told, in characters: it may be a page of a proxy.
const SAID: usize = 500;

/// The labels that name a build, in their order.
const SUBJECT: [&str; 3] = ["com.redhat.component", "version", "release"];

/// What the bundles of a request in this queue have to pass; `None`: they are not gated. Only an add request's
/// are (spec rest-api §11).
pub fn gating_of<'a>(
    gating: &'a GatingByQueue,
    queue: Option<&str>,
    request: &Request,
) -> Option<&'a Gating> {
    match request {
        Request::Add(add) if !add.bundles.is_empty() => gating.get(queue.unwrap_or(DEFAULT_QUEUE)),
        _ => None,
    }
}

/// The build that a bundle is, by its labels: component, version and release.
///
/// # Errors
/// The first label that it does not have.
pub fn gated_subject<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Result<String, &'static str> {
    let mut parts = Vec::with_capacity(SUBJECT.len());
    for name in SUBJECT {
        parts.push(label(name).ok_or(name)?);
    }
    Ok(parts.join("-"))
}

impl Gating {
    /// What is asked about a build.
    pub fn question(&self, subject: &str) -> Map<String, Value> {
        let own = [
            ("decision_context", &*self.decision_context),
            ("product_version", &self.product_version),
            ("subject_type", &self.subject_type),
            ("subject_identifier", subject),
        ];
        let own = own.map(|(name, text)| (name.to_owned(), text.into()));
        self.more.clone().into_iter().chain(own).collect()
    }
}

/// What an answer of Greenwave says of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may be added.
    Satisfied,
    /// It may not.
    Unsatisfied {
        /// The test cases that are missing or have failed.
        test_cases: Vec<String>,
    },
}

/// An answer that decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoJudgement {
    /// It is a failure, in Greenwave's words.
    Failed {
        /// What it says.
        said: String,
        /// Whether it may be another one later.
        may_pass: bool,
    },
    /// It does not say whether policies are satisfied.
    Unsaid,
}

impl Judgement {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`NoJudgement`].
    pub fn read(status: u16, body: &str) -> Result<Self, NoJudgement> {
        let document: Value = serde_json::from_str(body).unwrap_or_default();
        if status >= 400 {
            let said = document.get("message").and_then(Value::as_str);
            return Err(NoJudgement::Failed {
                said: said
                    .filter(|said| !said.is_empty())
                    .unwrap_or(body)
                    .chars()
                    .take(SAID)
                    .collect(),
                may_pass: status >= 500 || status == 429,
            });
        }
        match document.get("policies_satisfied") {
            None => Err(NoJudgement::Unsaid),
            Some(Value::Bool(true)) => Ok(Self::Satisfied),
            Some(_) => {
                let requirements = document.get("unsatisfied_requirements");
                let requirements = requirements.and_then(Value::as_array).into_iter().flatten();
                let case =
                    |requirement: &Value| Some(requirement.get("testcase")?.as_str()?.to_owned());
                Ok(Self::Unsatisfied {
                    test_cases: requirements.filter_map(case).collect(),
                })
            }
        }
    }
}

/// Bundles that may not be added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsatisfied {
    bundles: Vec<String>,
    test_cases: BTreeSet<String>,
}

impl Unsatisfied {
    /// Takes in what was said of a bundle.
    pub fn note(&mut self, bundle: &str, judgement: Judgement) {
        if let Judgement::Unsatisfied { test_cases } = judgement {
            self.bundles.push(bundle.to_owned());
            self.test_cases.extend(test_cases);
        }
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    /// The reference's words. It names the test cases of the last bundle only, where these are those of all.
    pub fn told(&self, gating: &Gating) -> String {
        let cases: Vec<&str> = self.test_cases.iter().map(String::as_str).collect();
        format!(
            "Unsatisfied Greenwave policy for {} with decision_context: {}, product_version: {}, subject_type: {} and test cases: {}",
            self.bundles.join(", "),
            gating.decision_context,
            gating.product_version,
            gating.subject_type,
            cases.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gating() -> Gating {
        Gating {
            decision_context: "iib".to_owned(),
            product_version: "ocp-4".to_owned(),
            subject_type: GATED_SUBJECT.to_owned(),
            more: Map::new(),
        }
    }

    #[test]
    fn bundles_are_gated_by_the_queue_of_their_request() {
        let of = |context: &str| Gating {
            decision_context: context.to_owned(),
            ..gating()
        };
        let gating = GatingByQueue::from([
            ("bob-queue".to_owned(), of("bob")),
            (DEFAULT_QUEUE.to_owned(), of("default")),
        ]);
        let request = |document: Value| -> Request { serde_json::from_value(document).unwrap() };
        let add = request(json!({"request_type": "add", "bundles": ["r.example/b:1"]}));
        for (queue, context) in [
            (Some("bob-queue"), Some("bob")),
            (Some("alice-queue"), None),
            (None, Some("default")),
        ] {
            let found = gating_of(&gating, queue, &add);
            assert_eq!(found.map(|found| &*found.decision_context), context);
        }
        for other in ["add", "rm"].map(|kind| request(json!({"request_type": kind}))) {
            assert_eq!(gating_of(&gating, None, &other), None);
        }
    }

    #[test]
    fn a_build_has_three_labels() {
        let label = |name: &str| match name {
            "com.redhat.component" => Some("lantern"),
            "version" => Some("1.2"),
            "release" => Some("3"),
            _ => None,
        };
        assert_eq!(gated_subject(label).as_deref(), Ok("lantern-1.2-3"));
        let without = |name: &str| label(name).filter(|_| name != "release");
        assert_eq!(gated_subject(without), Err("release"));
        let asked = Value::Object(gating().question("lantern-1.2-3"));
        assert_eq!(asked["subject_identifier"], "lantern-1.2-3");
        assert_eq!(asked["decision_context"], "iib");
    }

    #[test]
    fn answers_are_read() {
        let unsatisfied = |cases: &[&str]| {
            Ok(Judgement::Unsatisfied {
                test_cases: cases.iter().map(|case| (*case).to_owned()).collect(),
            })
        };
        for (status, body, judged) in [
            (
                200,
                r#"{"policies_satisfied": true}"#,
                Ok(Judgement::Satisfied),
            ),
            (200, r#"{"policies_satisfied": false}"#, unsatisfied(&[])),
            (
                200,
                r#"{"policies_satisfied": false, "unsatisfied_requirements": [{"testcase": "t"}, {}, 3]}"#,
                unsatisfied(&["t"]),
            ),
            (200, "not json", Err(NoJudgement::Unsaid)),
            (200, "[]", Err(NoJudgement::Unsaid)),
        ] {
            assert_eq!(Judgement::read(status, body), judged, "{status} {body}");
        }
        for (status, body, said, may_pass) in [
            (
                404,
                r#"{"message": "no such build"}"#,
                "no such build",
                false,
            ),
            (400, r#"{"message": ""}"#, r#"{"message": ""}"#, false),
            (503, "busy", "busy", true),
            (429, "slowly", "slowly", true),
        ] {
            let failed = NoJudgement::Failed {
                said: said.to_owned(),
                may_pass,
            };
            assert_eq!(Judgement::read(status, body), Err(failed));
        }
    }

    #[test]
    fn all_that_do_not_pass_are_told_together() {
        let mut unsatisfied = Unsatisfied::default();
        unsatisfied.note("a", Judgement::Satisfied);
        assert!(unsatisfied.is_empty());
        for (bundle, case) in [("b", "t.two"), ("c", "t.one")] {
            let test_cases = vec![case.to_owned()];
            unsatisfied.note(bundle, Judgement::Unsatisfied { test_cases });
        }
        assert_eq!(
            unsatisfied.told(&gating()),
            "Unsatisfied Greenwave policy for b, c with decision_context: iib, product_version: ocp-4, subject_type: koji_build and test cases: t.one, t.two"
        );
    }
}
