//! Figures for CloudWatch.

use std::io::Write as _;

use async_trait::async_trait;
use iib_ports::{Gauges, ServiceGauges};
use serde_json::{Value, json};
use tracing::warn;

/// The namespace of all our metrics.
const NAMESPACE: &str = "IIB";

/// Writes the figures to standard output, as one line in CloudWatch's embedded metric format.
/// Lambda's log collector makes metrics of it; no call is made and no right is needed.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmfGauges;

#[async_trait]
impl Gauges for EmfGauges {
    async fn publish(&self, gauges: &ServiceGauges) {
        let line = format!("{}\n", document(gauges));
        // As a whole, so that no other line comes between.
        if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
            warn!(%error, "figures lost");
        }
    }
}

/// The document of CloudWatch's "Embedded Metric Format" specification. It has no dimensions:
/// each would be a metric of its own, and there is one service only in an account's function.
fn document(gauges: &ServiceGauges) -> Value {
    let figures = gauges.figures();
    let metrics = figures.iter();
    let metrics: Vec<Value> = metrics
        .map(|figure| json!({"Name": figure.name, "Unit": figure.unit}))
        .collect();
    let mut document = json!({
        "_aws": {
            "Timestamp": gauges.at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[]],
                "Metrics": metrics,
            }],
        },
    });
    for figure in figures {
        document[figure.name] = figure.value.into();
    }
    document
}

#[cfg(test)]
mod tests {
    use iib_request::Stage;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn every_figure_is_announced_and_there() {
        let gauges = ServiceGauges {
            at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            live: [(Stage::Pin, 2), (Stage::Push, 1)].into(),
            oldest_live_seconds: 61,
            unreadable: 7,
            resent: 3,
            expired: 4,
            removed_objects: 5,
        };
        let document = document(&gauges);
        assert_eq!(document["_aws"]["Timestamp"], 1_700_000_000_123_u64);
        let metrics = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Namespace"], "IIB");
        let values: Vec<_> = (metrics["Metrics"].as_array().unwrap().iter())
            .map(|metric| document[metric["Name"].as_str().unwrap()].as_u64())
            .collect();
        let expected = [0, 2, 0, 1, 61, 7, 3, 4, 5].map(Some);
        assert_eq!(values, expected);
        assert!(!document.to_string().contains('\n'));
    }
}
