//! Handing messages to the functions' handlers, as a platform does.

use std::sync::Arc;

use anyhow::bail;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_pipeline::Deps;
use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::{AddRequest, Record, RequestId, Stage};
use iib_testkit::crash::{Crash, LastCall, Ports};
use lambda_runtime::{Context, LambdaEvent};

use crate::platform::{From, Message, Platform, Process, event};

/// The stages that have queues.
pub(crate) const STAGES: [Stage; 3] = [Stage::Pin, Stage::Mutate, Stage::Push];

/// Deliveries after which a request that is not done counts as stuck.
const MANY: usize = 400;

/// The same ports, which die during the call after so many others.
pub(crate) fn dying(deps: &Deps, calls: usize, last: LastCall) -> (Deps, Arc<Crash>) {
    let ports = Ports {
        requests: deps.requests.clone(),
        queue: deps.queue.clone(),
        logs: deps.logs.clone(),
        artifacts: deps.artifacts.clone(),
        secrets: deps.secrets.clone(),
        registry: deps.registry.clone(),
    };
    let (ports, crash) = Crash::after(calls, last, ports);
    let deps = Deps {
        requests: ports.requests,
        queue: ports.queue,
        logs: ports.logs,
        artifacts: ports.artifacts,
        secrets: ports.secrets,
        registry: ports.registry,
        ..deps.clone()
    };
    (deps, crash)
}

/// A client's call: the number of the request, if it was taken in.
pub(crate) async fn submit(deps: &Deps, request: &AddRequest) -> Option<RequestId> {
    let intake: IntakeDeps = deps.clone().into();
    let record = intake::submit_add(&intake, None, request.clone()).await;
    record.ok().map(|record| record.id)
}

/// One invocation of a stage's function for one message. `true` if the message is done with.
pub(crate) async fn invoke(deps: &Deps, stage: Stage, message: &Message) -> anyhow::Result<bool> {
    let document = event(From::Stage(stage), std::slice::from_ref(message));
    let document: SqsEvent = serde_json::from_value(document)?;
    let document = LambdaEvent::new(document, Context::default());
    let response: SqsBatchResponse = match stage {
        Stage::Pin => iib_pin::handle(deps, document).await,
        Stage::Mutate => iib_mutate::handle(deps, document).await,
        Stage::Push => iib_push::handle(deps, document).await,
        Stage::Queued | Stage::Done => bail!("{stage} has no function"),
    };
    Ok(response.batch_item_failures.is_empty())
}

/// How the work of a process ended.
pub(crate) enum Ended {
    /// Nothing waits any more.
    Idle,
    /// It died with this message in its hands.
    Died(Stage, Message),
}

/// Works on messages until none waits or the process is dead. Messages that are to come back come
/// at once: the time between is not what is tested.
pub(crate) async fn work(
    platform: &dyn Platform,
    deps: &Deps,
    crash: Option<&Crash>,
) -> anyhow::Result<Ended> {
    let mut delivered = 0;
    loop {
        let mut idle = true;
        for stage in STAGES {
            while let Some(message) = platform.receive(From::Stage(stage)).await? {
                idle = false;
                delivered += 1;
                if delivered > MANY {
                    bail!("messages go round and round at {stage}: {}", message.body);
                }
                let done = invoke(deps, stage, &message).await?;
                if crash.is_some_and(Crash::has_died) {
                    return Ok(Ended::Died(stage, message));
                }
                if done {
                    platform.delete(From::Stage(stage), &message).await?;
                } else {
                    platform.bring_back(From::Stage(stage), &message).await?;
                }
            }
        }
        if idle {
            return Ok(Ended::Idle);
        }
    }
}

/// Hands dead letters to their function until there are none.
pub(crate) async fn bury(platform: &dyn Platform, process: &Process) -> anyhow::Result<usize> {
    let deps = process.deps.clone().into();
    let mut handled = 0;
    while let Some(message) = platform.receive(From::DeadLetters).await? {
        let document = event(From::DeadLetters, std::slice::from_ref(&message));
        let document = LambdaEvent::new(serde_json::from_value(document)?, Context::default());
        let response = iib_dead_letter::handle(&deps, document).await;
        if !response.batch_item_failures.is_empty() {
            bail!("a dead letter came back: {}", message.body);
        }
        platform.delete(From::DeadLetters, &message).await?;
        handled += 1;
    }
    Ok(handled)
}

/// The record of a request.
pub(crate) async fn record(deps: &Deps, id: RequestId) -> anyhow::Result<Record> {
    let record = deps.requests.get(id).await?;
    record.ok_or_else(|| anyhow::anyhow!("request {id} is lost"))
}
