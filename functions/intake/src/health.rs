//! Whether the service can work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use iib_pipeline::intake::{self, IntakeDeps};
use serde_json::{Value, json};

use crate::problem::Problem;

/// `GET /healthcheck` (spec rest-api §3).
pub(crate) async fn check(State(deps): State<Arc<IntakeDeps>>) -> Result<Json<Value>, Problem> {
    let health = intake::check_health(&deps).await;
    health.map_err(Problem::unhealthy)?;
    Ok(Json(json!({"status": "Health check OK"})))
}
