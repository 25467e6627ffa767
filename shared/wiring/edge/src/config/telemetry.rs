//! Log lines and traces.

use serde::Deserialize;
use url::Url;

use super::origin::Faults;
use crate::telemetry::{LogFormat, OPTIONAL_FIELDS};

/// What operators see of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// How log lines look, `json` or `text`; empty: as is usual for what runs.
    pub log_format: String,
    /// Fields that lines have besides what they say.
    pub log_fields: Vec<String>,
    /// Whether traces are sent.
    pub tracing: bool,
    /// The collector of traces.
    pub endpoint: String,
    /// How the process is called in traces; empty: as is usual for what runs.
    pub service_name: String,
}

impl Telemetry {
    /// How log lines look, if it was said.
    pub fn log_format(&self) -> Option<LogFormat> {
        match self.log_format.as_str() {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            _ => None,
        }
    }

    /// Where the collector takes traces.
    pub(crate) fn traces_url(&self) -> String {
        format!("{}/v1/traces", self.endpoint.trim_end_matches('/'))
    }
}

pub(super) fn check(telemetry: &Telemetry, faults: &mut Faults) {
    // The variable of the former service has a format of Python's logging, which means nothing here.
    let is_of_python = telemetry.log_format.contains("%(");
    if telemetry.log_format().is_none() && !telemetry.log_format.is_empty() && !is_of_python {
        faults.of_value("telemetry.log_format", "is neither `json` nor `text`");
    }
    for field in &telemetry.log_fields {
        if !OPTIONAL_FIELDS.contains(&field.as_str()) {
            let known = OPTIONAL_FIELDS.join(", ");
            let text = format!("`{field}` is no field that lines can have: those are {known}");
            faults.of_value("telemetry.log_fields", text);
        }
    }
    let place = "telemetry.endpoint";
    if telemetry.endpoint.is_empty() {
        if telemetry.tracing {
            let text = "traces are on (`telemetry.tracing`), so say where they go: the address of a collector, such as http://localhost:4318";
            faults.of_value(place, text);
        }
    } else if !is_address(&telemetry.endpoint) {
        let text = "is no address of a collector: write http://host:port or https://host, perhaps with a path; what it wants to be shown goes into OTEL_EXPORTER_OTLP_HEADERS";
        faults.of_value(place, text);
    }
}

fn is_address(text: &str) -> bool {
    let Ok(url) = text.parse::<Url>() else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.port() != Some(0)
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}
