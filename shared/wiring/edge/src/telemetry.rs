//! Log lines and traces of the process. What users read is the build log, which is another thing.
//!
//! - here: what is logged, and how lines look (`docs/LOGGING.md`);
//! - `traces`: spans on their way to a collector; `client`: what they are sent with.

mod client;
mod traces;

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use iib_ports::TRACE;
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

pub use traces::{CurrentTrace, TraceInitError, Traces, goes_on_from};

use crate::Config;

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

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Fields that lines have only where the settings say so.
pub(crate) const OPTIONAL_FIELDS: [&str; 3] = ["user", "aws.request_id", "cold_start"];

/// Those that they have.
static FIELDS: OnceLock<Vec<String>> = OnceLock::new();

/// The value of a field that lines have only where the settings say so, if they do.
pub fn if_logged<T>(field: &'static str, value: T) -> Option<T> {
    let fields = FIELDS.get()?;
    fields.iter().any(|logged| logged == field).then_some(value)
}

/// Sends log lines to standard error. A second call changes nothing, so that a test which calls
/// two entry points does not fail.
pub fn init(format: LogFormat, detail: Detail) {
    let _already_set = tracing_subscriber::registry()
        .with(lines(format, detail))
        .try_init();
}

/// The same for a service with these settings, and its spans go where they say. `usual` is how its lines look unless
/// they say it, `service` how it is called in traces.
///
/// # Errors
/// [`TraceInitError`].
pub fn start(config: &Config, usual: LogFormat, service: &str) -> Result<Traces, TraceInitError> {
    let settings = &config.telemetry;
    let format = settings.log_format().unwrap_or(usual);
    let mut layers = vec![lines(format, Detail::Steps)];
    let mut traces = Traces::default();
    if settings.tracing {
        let outward = config.outward().map_err(TraceInitError::Outward)?;
        let (sending, tracer) = Traces::to(settings, outward, service)?;
        layers.push(spans(tracer));
        traces = sending;
    }
    let subscriber = tracing_subscriber::registry().with(layers);
    match subscriber.try_init() {
        Ok(()) => {
            // With the subscriber, of which there is one, too.
            let _set = FIELDS.set(settings.log_fields.clone());
            Ok(traces)
        }
        // Somebody else's is there, and gets all spans.
        Err(_) => Ok(Traces::default()),
    }
}

/// Makes spans of traces. Of each just what it says itself: what else could be known of it costs more than it helps.
fn spans(tracer: SdkTracer) -> Boxed {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    let filter = filter_fn(is_traced).with_max_level_hint(LevelFilter::INFO);
    Box::new(layer.with_filter(filter))
}

/// Whether something goes to a collector: spans that are made for it. What a log line says may be nobody's business
/// there.
fn is_traced(what: &Metadata<'_>) -> bool {
    what.is_span() && what.target() == TRACE
}

fn lines(format: LogFormat, detail: Detail) -> Boxed {
    let default = match detail {
        Detail::Steps => STEPS,
        Detail::Errors => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // Whatever `RUST_LOG` says: spans that are for traces would only make lines longer. Without traces nobody wants
    // them then, so they cost a look at a flag.
    let of_lines = filter_fn(|what| what.target() != TRACE);
    // The hint is what keeps levels that nobody asked for from being looked at.
    let filter = filter.and(of_lines.with_max_level_hint(LevelFilter::TRACE));
    let lines = fmt::layer()
        // Colours are for people at a terminal, not for files (https://no-color.org).
        .with_ansi(std::io::stderr().is_terminal() && !no_color())
        // A log that nobody reads any more is no reason to end.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_filter(filter)),
        LogFormat::Text => Box::new(lines.compact().with_filter(filter)),
    }
}

fn no_color() -> bool {
    let environment = crate::config::environment();
    environment
        .get("NO_COLOR")
        .is_some_and(|value| !value.is_empty())
}
