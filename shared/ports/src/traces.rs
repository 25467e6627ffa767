//! Where a request stands in traces.

use iib_request::TraceParent;

/// The target of spans that go to a collector of traces; others are for log lines alone, and these never are.
///
/// ```ignore
/// let span = info_span!(target: TRACE, "pack", otel.kind = "internal");
/// ```
pub const TRACE: &str = "iib::trace";

/// Tells in which trace something is done.
pub trait Traces: Send + Sync {
    /// The place of the span that is current, if it belongs to a trace.
    fn here(&self) -> Option<TraceParent>;
}

/// Nobody collects traces.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTraces;

impl Traces for NoTraces {
    fn here(&self) -> Option<TraceParent> {
        None
    }
}
