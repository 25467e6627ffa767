//! Log lines of the process. What users read is the build log, which is another thing.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for log collectors.
    Json,
    /// Text, for a person at a terminal.
    Text,
}

/// What is logged unless `RUST_LOG` says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Our own steps, and what others warn of.
    Steps,
    /// Only what went wrong on our side.
    Errors,
}

const STEPS: &str = "warn,iib=info,iib_pipeline=info,iib_embedded=info,iib_registry=info,iib_intake=info,iib_edge=info,iib_local=info,iib_aws=info,iib_cloud=info";

/// Sends log lines to standard error. A second call changes nothing, so that a test which calls
/// two entry points does not fail.
pub fn init(format: LogFormat, detail: Detail) {
    let default = match detail {
        Detail::Steps => STEPS,
        Detail::Errors => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people at a terminal, not for files (https://no-color.org).
        .with_ansi(std::io::stderr().is_terminal() && !no_color())
        // A log that nobody reads any more is no reason to end.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let _already_set = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.compact().try_init(),
    };
}

fn no_color() -> bool {
    let environment = crate::config::environment();
    environment
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty())
}
