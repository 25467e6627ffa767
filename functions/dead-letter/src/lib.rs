#![doc = include_str!("../README.md")]

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_edge::sqs::Batch;
use iib_pipeline::dead_letter::{self, DeadLetter, DeadLetterDeps};
use lambda_runtime::LambdaEvent;

/// Letters of one batch handled at the same time: each takes a few calls to stores.
const CONCURRENCY: usize = 8;

/// Ends the requests that the messages are about; those that cannot be ended now come back.
pub async fn handle(deps: &DeadLetterDeps, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    Batch::from(event)
        .for_each_dead_letter(&*deps.clock, CONCURRENCY, |letter: DeadLetter| async move {
            dead_letter::run(deps, &letter).await
        })
        .await
}
