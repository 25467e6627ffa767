//! Whether the service can work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderName;
use iib_pipeline::intake::{self, IntakeDeps};
use serde_json::{Value, json};

use crate::key::IDEMPOTENCY_KEY;
use crate::problem::Problem;

/// It says that calls may be dry runs.
const DRY_RUN: HeaderName = HeaderName::from_static("dry-run");

/// `GET /healthcheck` (spec rest-api §3). Headers say that calls may be repeated under a key, and be dry runs, for clients of
/// services that know neither.
pub(crate) async fn check(
    State(deps): State<Arc<IntakeDeps>>,
) -> Result<([(HeaderName, &'static str); 2], Json<Value>), Problem> {
    let health = intake::check_health(&deps).await;
    health.map_err(Problem::unhealthy)?;
    let status = Json(json!({"status": "Health check OK"}));
    Ok(([(IDEMPOTENCY_KEY, "known"), (DRY_RUN, "known")], status))
}
