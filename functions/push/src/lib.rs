#![doc = include_str!("../README.md")]

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::sqs::Batch;
use iib_pipeline::Deps;
use iib_request::{Stage, Task};
use lambda_runtime::LambdaEvent;

/// Messages of one batch handled at the same time.
const CONCURRENCY: usize = 1;

/// Pushes the images of each request in the batch; failed ones return to the queue.
pub async fn handle(deps: &Deps, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    Batch::from(event)
        .for_each(
            (&*deps.clock, &*deps.queue),
            Stage::Push,
            CONCURRENCY,
            |task: Task| async move { iib_pipeline::run(deps, Stage::Push, &task).await },
        )
        .await
}
