//! Handing messages to the functions' handlers, as a platform does.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_pipeline::Deps;
use iib_pipeline::intake::{self, IntakeDeps, Submission};
use iib_ports::{Keyring, PageQuery};
use iib_request::{Filters, Record, RequestId, Stage};
use iib_testkit::crash::{Crash, Death, LastCall, Ports};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::json;

use crate::platform::{From, Message, Platform, Process, event};

/// The stages that have queues.
pub(crate) const STAGES: [Stage; 3] = [Stage::Pin, Stage::Mutate, Stage::Push];

/// Deliveries after which a request that is not done counts as stuck.
const MANY: usize = 400;

/// How long one request, or one scenario, may take; far more than the slowest machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts a process whose results go to this repository.
pub(crate) async fn start(platform: &dyn Platform, repository: &str) -> anyhow::Result<Process> {
    let mut process = platform.start().await?;
    let results = format!("{repository}:{{request_id}}");
    process.deps.work.image_push_template.clone_from(&results);
    process.prune.work.image_push_template = results;
    // Bundles of the suite do not say what platform they are for, and are merged all the same.
    let host = repository.split('/').next().unwrap_or_default();
    process.deps.work.no_ocp_label_allow_list = vec![host.to_owned()];
    Ok(process)
}

/// The same ports, which die during a call.
pub(crate) fn dying(deps: &Deps, death: Death, last: LastCall) -> (Deps, Arc<Crash>) {
    let ports = Ports {
        requests: deps.requests.clone(),
        queue: deps.queue.clone(),
        lines: deps.lines.clone(),
        logs: deps.logs.clone(),
        artifacts: deps.artifacts.clone(),
        secrets: deps.secrets.clone(),
        registries: deps.registries.clone(),
        repositories: deps.repositories.clone(),
    };
    let (ports, crash) = Crash::new(death, last, ports);
    let deps = Deps {
        requests: ports.requests,
        repositories: ports.repositories,
        queue: ports.queue,
        lines: ports.lines,
        logs: ports.logs,
        artifacts: ports.artifacts,
        secrets: ports.secrets,
        registry: ports.registries.with(Keyring::Own),
        registries: ports.registries,
        ..deps.clone()
    };
    (deps, crash)
}

/// Ends what hangs.
pub(crate) fn patiently<'a, T>(
    work: impl Future<Output = anyhow::Result<T>> + 'a,
) -> impl Future<Output = anyhow::Result<T>> + 'a
where
    T: 'a,
{
    // Boxed, because whole requests are in it.
    let work = Box::pin(work);
    async {
        let ended = tokio::time::timeout(PATIENCE, work).await;
        ended.unwrap_or_else(|_| bail!("it does not end within {} s", PATIENCE.as_secs()))
    }
}

/// A client's call: the number of the request, if it was taken in.
pub(crate) async fn submit(deps: &Deps, submission: &Submission) -> Option<RequestId> {
    let intake: IntakeDeps = deps.clone().into();
    let record = intake::submit(&intake, None, submission.clone()).await;
    record.ok().map(|record| record.id)
}

/// How many requests there are.
pub(crate) async fn total(process: &Process) -> anyhow::Result<u64> {
    let first = PageQuery {
        filters: Filters::default(),
        page: 1,
        per_page: 1,
    };
    Ok(process.listing.page(&first).await?.total)
}

/// The record of a request.
pub(crate) async fn record(deps: &Deps, id: RequestId) -> anyhow::Result<Record> {
    let record = deps.requests.get(id).await?;
    record.with_context(|| format!("request {id} is lost"))
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

/// What a process did.
pub(crate) struct Worked {
    /// The messages that were done with, to be delivered again.
    pub(crate) done: Vec<(Stage, Message)>,
    /// The one that it held when it died.
    pub(crate) held: Option<(Stage, Message)>,
}

/// What somebody else does meanwhile.
#[async_trait]
pub(crate) trait Meanwhile: Sync {
    /// A message of this stage is about to be worked on.
    async fn before(&self, stage: Stage) -> anyhow::Result<()>;
}

/// Works on messages until none waits or the process is dead. Messages that are to come back come
/// at once: the time between is not what is tested.
pub(crate) async fn work(
    platform: &dyn Platform,
    deps: &Deps,
    crash: Option<&Crash>,
    meanwhile: Option<&dyn Meanwhile>,
) -> anyhow::Result<Worked> {
    let mut worked = Worked {
        done: Vec::new(),
        held: None,
    };
    let mut delivered = 0;
    loop {
        let before = delivered;
        for stage in STAGES {
            while let Some(message) = platform.receive(From::Stage(stage)).await? {
                delivered += 1;
                ensure!(
                    delivered <= MANY,
                    "messages go round and round: {message:?}"
                );
                if let Some(meanwhile) = meanwhile {
                    meanwhile.before(stage).await?;
                }
                let done = invoke(deps, stage, &message).await?;
                if crash.is_some_and(Crash::has_died) {
                    worked.held = Some((stage, message));
                    return Ok(worked);
                }
                if done {
                    platform.delete(From::Stage(stage), &message).await?;
                    worked.done.push((stage, message));
                } else {
                    platform.bring_back(From::Stage(stage), &message).await?;
                }
            }
        }
        if delivered == before {
            return Ok(worked);
        }
    }
}

/// Lets so much time pass that leases are over, nobody can still be at a request, and prune runs.
pub(crate) async fn sweep(platform: &dyn Platform, process: &Process) -> anyhow::Result<()> {
    let seconds = i64::from(process.prune.work.stage_timeout_seconds);
    platform.pass(SignedDuration::from_secs(2 * seconds + 1));
    let tick = LambdaEvent::new(json!({}), Context::default());
    iib_prune::handle(&process.prune, tick).await?;
    Ok(())
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
