#![doc = include_str!("../README.md")]

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::sqs::Batch;
use iib_pipeline::Deps;
use iib_request::{Stage, Task};
use lambda_runtime::LambdaEvent;

/// Messages of one batch handled at the same time: all of them (the template's batch size), so that
/// each has the whole time of the invocation. Pinning waits for registries and holds little.
const CONCURRENCY: usize = 10;

/// Resolves the pull specs of each request in the batch; failed ones return to the queue.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    Batch::from(event)
        .for_each(
            (&*deps.clock, &*deps.queue),
            Stage::Pin,
            CONCURRENCY,
            |task: Task| async move { iib_pipeline::run(deps, Stage::Pin, &task).await },
        )
        .await
}
