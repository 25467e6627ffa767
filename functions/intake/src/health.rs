//! Whether the service can work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderName;
use iib_pipeline::intake::{self, IntakeDeps};
use serde_json::{Value, json};

use crate::key::IDEMPOTENCY_KEY;
use crate::problem::Problem;

/// `GET /healthcheck` (spec rest-api §3). A header says that calls may be repeated under a key, for clients of services
/// that do not know any.
pub(crate) async fn check(
    State(deps): State<Arc<IntakeDeps>>,
) -> Result<([(HeaderName, &'static str); 1], Json<Value>), Problem> {
    let health = intake::check_health(&deps).await;
    health.map_err(Problem::unhealthy)?;
    let status = Json(json!({"status": "Health check OK"}));
    Ok(([(IDEMPOTENCY_KEY, "known")], status))
}
