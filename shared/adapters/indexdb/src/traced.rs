//! Work on a database as a span of traces.

use iib_ports::{IndexDbError, TRACE};
use tracing::{field, info_span};

/// Does something with a database under a span that names it.
pub(crate) fn traced<T>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, IndexDbError>,
) -> Result<T, IndexDbError> {
    let span = info_span!(
        target: TRACE,
        "database",
        otel.name = format!("database {operation}"),
        otel.status_code = field::Empty,
        db.system.name = "sqlite",
        db.operation.name = operation,
    );
    let done = span.in_scope(work);
    if done.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    done
}
