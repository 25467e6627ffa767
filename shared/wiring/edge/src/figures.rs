//! Figures for CloudWatch.

use std::io::Write as _;

use iib_ports::{Figures, Sample};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::config::Environment;

/// The namespace of all our metrics.
const NAMESPACE: &str = "IIB";
/// The dimension that tells stacks of an account apart.
const STACK: &str = "Stack";

/// Writes figures to standard output, what was found out at once as one line in CloudWatch's embedded metric format.
/// Lambda's log collector makes metrics of it; no call is made and no right is needed.
#[derive(Debug, Clone)]
pub struct EmfFigures {
    stack: String,
}

impl EmfFigures {
    /// Those of a function: it is called after its stack, which is `iib` where the platform gives it no name.
    pub fn of_function(function: &str, environment: &Environment) -> Self {
        let name = environment.get("AWS_LAMBDA_FUNCTION_NAME");
        let stack = name.map_or("iib", |name| {
            let stack = name.strip_suffix(function);
            stack.map_or(name.as_str(), |stack| stack.trim_end_matches('-'))
        });
        Self {
            stack: stack.to_owned(),
        }
    }
}

impl Figures for EmfFigures {
    fn publish(&self, at: Timestamp, samples: &[Sample]) {
        let line = format!("{}\n", document(&self.stack, at, samples));
        // As a whole, so that no other line comes between.
        if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
            warn!(%error, "figures lost");
        }
    }
}

/// The document of CloudWatch's "Embedded Metric Format" specification. Each set of dimensions is a metric of its own: there
/// is one for the stack as a whole, and one more for each thing that a sample is about, because alarms ask for the general,
/// and metrics cannot be added up over dimensions there.
fn document(stack: &str, at: Timestamp, samples: &[Sample]) -> Value {
    let mut values = Map::new();
    values.insert(STACK.to_owned(), stack.into());
    let mut directives = Vec::new();
    for sample in samples {
        let mut names = vec![STACK];
        let mut dimensions = vec![names.clone()];
        for (dimension, value) in &sample.about {
            names.push(dimension.name());
            dimensions.push(names.clone());
            values.insert(dimension.name().to_owned(), (*value).into());
        }
        let metrics = sample.figures.iter();
        let metrics: Vec<Value> = metrics
            .map(|figure| json!({"Name": figure.name, "Unit": figure.unit.name()}))
            .collect();
        for figure in &sample.figures {
            values.insert(figure.name.to_owned(), figure.value.into());
        }
        directives.push(json!({
            "Namespace": NAMESPACE,
            "Dimensions": dimensions,
            "Metrics": metrics,
        }));
    }
    let about = json!({"Timestamp": at.as_millisecond(), "CloudWatchMetrics": directives});
    values.insert("_aws".to_owned(), about);
    Value::Object(values)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iib_ports::{Attempt, AttemptResult, Class, ServiceGauges, Transferred};
    use iib_request::Stage;

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_123).unwrap()
    }

    #[test]
    fn a_function_is_called_after_its_stack() {
        for (name, stack) in [
            (Some("prod-dead-letter"), "prod"),
            (Some("something"), "something"),
            (None, "iib"),
        ] {
            let name = name.map(|name| ("AWS_LAMBDA_FUNCTION_NAME".to_owned(), name.to_owned()));
            let environment = name.into_iter().collect();
            let figures = EmfFigures::of_function("dead-letter", &environment);
            assert_eq!(figures.stack, stack);
        }
    }

    #[test]
    fn every_figure_is_announced_and_there() {
        let gauges = ServiceGauges {
            live: [(Stage::Pin, 2), (Stage::Push, 1)].into(),
            oldest_live_seconds: 61,
            unreadable: 7,
            resent: 3,
            expired: 4,
            removed_objects: 5,
        };
        let document = document("iib", at(), &[gauges.sample()]);
        assert_eq!(document["_aws"]["Timestamp"], 1_700_000_000_123_u64);
        let metrics = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Namespace"], "IIB");
        assert_eq!(metrics["Dimensions"], json!([["Stack"]]));
        assert_eq!(document["Stack"], "iib");
        let values: Vec<_> = (metrics["Metrics"].as_array().unwrap().iter())
            .map(|metric| document[metric["Name"].as_str().unwrap()].as_f64())
            .collect();
        let expected = [0., 2., 0., 1., 61., 7., 3., 4., 5.].map(Some);
        assert_eq!(values, expected);
        assert!(!document.to_string().contains('\n'));
    }

    #[test]
    fn each_thing_that_figures_are_about_is_a_set_of_dimensions_more() {
        let attempt = Attempt {
            stage: Stage::Push,
            result: AttemptResult::Failed(Class::Retry),
            took: Duration::from_millis(1500),
            waited: Duration::ZERO,
            transferred: Transferred::default(),
            free_scratch: Some(7),
        };
        let document = document("iib", at(), &attempt.samples());
        let metrics = &document["_aws"]["CloudWatchMetrics"];
        let sets = json!([["Stack"], ["Stack", "Stage"]]);
        assert_eq!(metrics[0]["Dimensions"], sets);
        let sets = json!([["Stack"], ["Stack", "Stage"], ["Stack", "Stage", "Result"]]);
        assert_eq!(metrics[1]["Dimensions"], sets);
        assert_eq!(
            metrics[1]["Metrics"],
            json!([{"Name": "Attempts", "Unit": "Count"}])
        );
        assert_eq!(document["Stage"], "push");
        assert_eq!(document["Result"], "retry");
        assert_eq!(document["StageSeconds"], 1.5);
    }
}
