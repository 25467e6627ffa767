//! A machine that one function runs on: a data folder with request 1 in it, and a registry.
//!
//! The tests of pin, mutate and push share this file.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_edge::Config;
use iib_embedded::registry::{Auth, RegistryStore, router, serve};
use iib_local::Local;
use iib_oci::{Arch, PullSpec};
use iib_pipeline::intake::{LogContent, LogPart};
use iib_pipeline::{Deps, Verdict, intake, read_bundle};
use iib_request::{AddRequest, Record, RequestId, Stage, Task};
use iib_testkit::Pull as _;
use iib_testkit::images;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The request of the documents in `events/`.
const REQUEST: RequestId = RequestId(1);

/// A bundle that takes far less.
const BUNDLE_LIMIT: u64 = 1 << 20;

/// The handler of a stage.
pub(crate) trait Handler: AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse {}

impl<H: AsyncFn(&Deps, LambdaEvent<SqsEvent>) -> SqsBatchResponse> Handler for H {}

pub(crate) struct Machine {
    data_folder: TempDir,
    /// Host and port of the registry; it runs as long as the test.
    pub(crate) host: String,
    _registry_folder: TempDir,
}

impl Machine {
    /// A machine where `stage` is what request 1 waits for: the stages before it are done. The
    /// request adds `lantern` 0.2.0 to an index that has 0.1.0.
    pub(crate) async fn before(stage: Stage) -> Self {
        let machine = Self::start().await;
        let local = machine.open();
        let deps = &local.deps;
        let request = machine.push_images(deps).await;
        let record = intake::submit(&deps.clone().into(), None, request)
            .await
            .unwrap();
        assert_eq!(record.id, REQUEST);
        if stage != Stage::Pin {
            let done = iib_pipeline::run(deps, Stage::Pin, &Task::new(REQUEST, Stage::Pin)).await;
            assert_eq!(done, Verdict::Done);
        }
        if stage == Stage::Push {
            let done =
                iib_pipeline::run(deps, Stage::Mutate, &Task::new(REQUEST, Stage::Mutate)).await;
            assert_eq!(done, Verdict::Done);
        }
        drop(local);
        machine
    }

    async fn start() -> Self {
        let registry_folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let store = RegistryStore::open(registry_folder.path()).unwrap();
        tokio::spawn(serve(
            listener,
            router(store, Auth::None),
            CancellationToken::new(),
        ));
        Self {
            data_folder: TempDir::new().unwrap(),
            host,
            _registry_folder: registry_folder,
        }
    }

    /// Pushes everything the request names.
    async fn push_images(&self, deps: &Deps) -> AddRequest {
        let (registry, host) = (&*deps.registry, &self.host);
        let arches: [Arch; 2] = ["amd64", "arm64"].map(|arch| arch.parse().unwrap());
        let older = images::push_bundle(registry, host, "lantern", "0.1.0").await;
        let newer = images::push_bundle(registry, host, "lantern", "0.2.0").await;
        let database = database_with(deps, &older).await;
        let index = images::push_index(registry, host, &arches, database).await;
        let binary_image = images::push_binary_image(registry, host, &arches).await;
        AddRequest {
            bundles: vec![newer.to_string()],
            from_index: Some(index.to_string()),
            binary_image: Some(binary_image.to_string()),
            build_tags: vec!["nightly".to_owned()],
            ..AddRequest::default()
        }
    }

    /// What a process is told by its environment.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let folder = self.data_folder.path().to_str().unwrap();
        vec![
            ("IIB_DATA_FOLDER", folder.to_owned()),
            ("IIB_REGISTRY", self.host.clone()),
            ("IIB_INSECURE_REGISTRIES", self.host.clone()),
        ]
    }

    /// Opens the data folder; nobody else may have it.
    pub(crate) fn open(&self) -> Local {
        let settings = self.settings().into_iter();
        let environment = settings.map(|(name, value)| (name.to_owned(), value));
        let config = Config::load(None, &environment.collect()).unwrap();
        Local::open(&config).unwrap()
    }

    /// Hands an event to the handler, as a process that begins with it and ends after it.
    pub(crate) async fn run(&self, handle: impl Handler, event: &Value) -> Value {
        let local = self.open();
        let event = serde_json::from_value(event.clone()).unwrap();
        let event = LambdaEvent::new(event, Context::default());
        let response = handle(&local.deps, event).await;
        serde_json::to_value(response).unwrap()
    }

    /// Runs the handler on the event's message and two that no such function can do.
    pub(crate) async fn assert_that_messages_fail_alone(
        &self,
        handle: impl Handler,
        mut event: Value,
        other: Stage,
    ) {
        let records = event["Records"].as_array_mut().unwrap();
        let good = records[0].clone();
        for (id, body) in [
            ("unreadable", "{\"request_id\":".to_owned()),
            ("misdirected", json!(Task::new(REQUEST, other)).to_string()),
        ] {
            let mut bad = good.clone();
            bad["messageId"] = json!(id);
            bad["body"] = json!(body);
            // Before the good one, which must be reached all the same.
            records.insert(0, bad);
        }
        let response = self.run(handle, &event).await;
        let mut failed: Vec<_> = (response["batchItemFailures"].as_array().unwrap().iter())
            .map(|failure| failure["itemIdentifier"].as_str().unwrap())
            .collect();
        failed.sort_unstable();
        assert_eq!(failed, ["misdirected", "unreadable"]);
    }
}

/// Request 1 as it is stored.
pub(crate) async fn record(local: &Local) -> Record {
    local.deps.requests.get(REQUEST).await.unwrap().unwrap()
}

/// The messages that wait for a stage.
pub(crate) async fn waiting(local: &Local, stage: Stage) -> Vec<Task> {
    let hidden = SignedDuration::from_secs(60);
    let messages = local.queue.receive(stage, 10, hidden).await.unwrap();
    messages
        .iter()
        .map(|message| serde_json::from_str(&message.body).unwrap())
        .collect()
}

/// The reasons in the build log, that is its lines of this stage without their times.
pub(crate) async fn log_of(local: &Local, stage: Stage) -> Vec<String> {
    let intake = local.deps.clone().into();
    let log = intake::logs(&intake, REQUEST, LogPart::SoFar)
        .await
        .unwrap();
    let LogContent::Text(log) = log else {
        panic!("a folder has no links: {log:?}")
    };
    let marker = format!(" {stage} ");
    log.lines()
        .filter_map(|line| Some(line.split_once(&marker)?.1.to_owned()))
        .collect()
}

/// An index database with one bundle.
async fn database_with(deps: &Deps, bundle: &PullSpec) -> Vec<u8> {
    let files = read_bundle(&*deps.registry, bundle, BUNDLE_LIMIT)
        .await
        .unwrap();
    let image = deps.registry.pull(bundle).await.unwrap();
    let pinned = bundle.pin(image.digest());
    let bundle = Bundle::read(&pinned.to_string(), &files).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("index.db");
    deps.index_db
        .add(&path, &[bundle], &AddOptions::default())
        .unwrap();
    std::fs::read(path).unwrap()
}
