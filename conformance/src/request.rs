//! One whole request, as the end-to-end driver asks for it.
//!
//! The handlers are those of the functions; only the store of requests is our own, because the
//! driver chooses the request's number, and the queue, because one process does it all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use aws_lambda_events::event::sqs::SqsEvent;
use iib_edge::Config;
use iib_local::Local;
use iib_pipeline::Deps;
use iib_pipeline::intake::{read, submit};
use iib_ports::{Created, Delivery, NewBatch, Notifier, Queue, QueueError, Requests, StoreError};
use iib_request::{
    BatchId, BinaryImages, KINDS, OrganizationCustomizations, Record, RequestId, Stage, State,
    Task, Update,
};
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the driver writes.
#[derive(Debug, Deserialize)]
struct Case {
    endpoint: String,
    request: Map<String, Value>,
    request_id: u64,
    #[serde(default)]
    server: Server,
    registry: String,
    related_bundles_dir: Option<PathBuf>,
    recursive_related_bundles_dir: Option<PathBuf>,
    docker_config: PathBuf,
    insecure_registries: BTreeSet<String>,
}

/// Settings of the service in a case.
#[derive(Debug, Default, Deserialize)]
struct Server {
    #[serde(default)]
    binary_image_config: BinaryImages,
    index_image_output_registry: Option<String>,
    #[serde(default)]
    organization_customizations: OrganizationCustomizations,
    #[serde(default)]
    required_labels: BTreeMap<String, String>,
}

/// Runs the request in FILE, printing its updates.
pub(crate) fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let case: Case =
        serde_json::from_slice(&text).with_context(|| format!("{} is broken", file.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run_case(case))
}

async fn run_case(case: Case) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::load(None, &BTreeMap::new())?;
    config.data_folder = folder.path().to_owned();
    config.work.registry = case.registry;
    // The number comes from outside, and whoever gives it may give it twice.
    config.requests.keep_others = false;
    // The recorded reasons are compared whole.
    config.work.plain_reasons = true;
    config.work.binary_images = case.server.binary_image_config;
    config.work.index_image_output_registry = case.server.index_image_output_registry;
    config.work.organization_customizations = case.server.organization_customizations;
    config.work.required_labels = case.server.required_labels;
    config.api.related_bundles_folder = case.related_bundles_dir;
    config.api.nested_bundles_folder = case.recursive_related_bundles_dir;
    // The cases were recorded behind the API, which asks for this one.
    let index = case
        .request
        .get("from_index")
        .and_then(|index| index.as_str());
    config.api.graph_mode_index_allow_list = index.into_iter().map(str::to_owned).collect();
    config.registries.insecure = case.insecure_registries;
    config.registries.auth_files = vec![case.docker_config];

    let mut local = Local::with_notifier(&config, Arc::new(Printer))?;
    let queue = Arc::new(InProcess::default());
    local.deps.requests = Arc::new(OneRequest::new(RequestId(case.request_id)));
    local.deps.queue = queue.clone();
    let intake = local.deps.clone().into();
    let kind = KINDS.iter().find(|kind| kind.name == case.endpoint);
    let kind = kind.with_context(|| format!("no requests of the kind {}", case.endpoint))?;
    let submission = read(&intake, kind, &case.request, None)?;
    let record = submit(&intake, None, submission).await?;
    while let Some(task) = queue.take() {
        deliver(&local.deps, &queue, task).await?;
    }
    let state = local
        .deps
        .requests
        .get(record.id)
        .await?
        .map(|record| record.state());
    if state == Some(State::InProgress) {
        bail!("the request did not end");
    }
    Ok(())
}

/// Hands a message to the function of its stage; if that failed, it goes back.
pub(crate) async fn deliver(deps: &Deps, queue: &InProcess, task: Task) -> anyhow::Result<()> {
    let event: SqsEvent = serde_json::from_value(json!({
        "Records": [{ "messageId": "1", "body": serde_json::to_string(&task)? }]
    }))?;
    let event = LambdaEvent::new(event, Context::default());
    let response = match task.stage {
        Stage::Pin => iib_pin::handle(deps, event).await,
        Stage::Mutate => iib_mutate::handle(deps, event).await,
        Stage::Push => iib_push::handle(deps, event).await,
        Stage::Queued | Stage::Done => bail!("a message for stage {}", task.stage),
    };
    if !response.batch_item_failures.is_empty() {
        queue.put(task);
    }
    Ok(())
}

/// Prints updates as the reference's workers send them.
struct Printer;

#[async_trait]
impl Notifier for Printer {
    #[expect(clippy::print_stdout, reason = "the updates are what the driver reads")]
    async fn updated(&self, record: &Record, update: &Update) {
        // What intake itself writes is no update of a worker.
        if record.work.stage == Stage::Queued {
            return;
        }
        if let Ok(line) = serde_json::to_string(update) {
            println!("{line}");
        }
    }
}

/// Messages in the order in which they were sent.
#[derive(Default)]
pub(crate) struct InProcess(Mutex<VecDeque<Task>>);

impl InProcess {
    fn put(&self, task: Task) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(task);
    }

    /// The next message.
    pub(crate) fn take(&self) -> Option<Task> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

#[async_trait]
impl Queue for InProcess {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        self.put(task.clone());
        Ok(())
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    async fn put_off(
        &self,
        _delivery: &Delivery,
        _delay: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // The runner puts failed messages back itself, at once.
        Ok(())
    }
}

/// The store of the one request, under the number the driver chose.
struct OneRequest {
    id: RequestId,
    record: Mutex<Option<Record>>,
}

impl OneRequest {
    fn new(id: RequestId) -> Self {
        Self {
            id,
            record: Mutex::new(None),
        }
    }

    fn read(&self) -> Option<Record> {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Requests for OneRequest {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        let records = new.into_records(self.id, BatchId(self.id.0));
        let first = records.first().cloned();
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = first;
        Ok(Created::New(records))
    }

    async fn made_by(&self, _: &str) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        Ok(self.read().filter(|record| record.id == id))
    }

    async fn replace(&self, mut record: Record) -> Result<Record, StoreError> {
        let mut stored = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if stored
            .as_ref()
            .is_none_or(|stored| stored.version != record.version)
        {
            return Err(StoreError::Conflict(record.id));
        }
        record.version += 1;
        *stored = Some(record.clone());
        Ok(record)
    }
}
