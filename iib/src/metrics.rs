//! The service's figures for Prometheus (text format 0.0.4), under the names that they have in CloudWatch.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use iib_local::KeptGauges;
use iib_ports::Figure;
use reqwest::header::CONTENT_TYPE;

/// `GET /metrics`.
pub(crate) fn router(gauges: Arc<KeptGauges>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(gauges)
}

async fn metrics(State(gauges): State<Arc<KeptGauges>>) -> impl IntoResponse {
    let figures = gauges.figures();
    let text = text(figures.iter().flatten());
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
}

/// The namespace stands in front, as it does in CloudWatch.
fn text<'a>(figures: impl Iterator<Item = &'a Figure>) -> String {
    let mut text = String::new();
    for figure in figures {
        let Figure {
            name, about, value, ..
        } = figure;
        let kind = match figure.counts {
            true => "counter",
            false => "gauge",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "# HELP IIB_{name} {about}\n# TYPE IIB_{name} {kind}\nIIB_{name} {value}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_three_lines() {
        let figure = Figure {
            name: "Resent",
            unit: "Count",
            counts: true,
            about: "Sent again.",
            value: 3,
        };
        let expected = "# HELP IIB_Resent Sent again.\n# TYPE IIB_Resent counter\nIIB_Resent 3\n";
        assert_eq!(text([figure].iter()), expected);
    }
}
