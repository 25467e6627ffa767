#![doc = include_str!("../README.md")]

use iib_pipeline::prune::{self, PruneDeps, PruneError, PruneReport};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

/// Does one run, within the time of the invocation.
///
/// # Errors
/// [`PruneError`], so that the platform counts the invocation as failed; the next one begins
/// where this one ended.
pub async fn handle(
    deps: &PruneDeps,
    event: LambdaEvent<Value>,
) -> Result<PruneReport, PruneError> {
    prune::run(deps, iib_edge::deadline(&event.context)).await
}
