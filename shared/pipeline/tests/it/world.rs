//! A service with all its parts, in one process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::TryStreamExt as _;
use iib_catalog::CatalogShape;
use iib_catalog_folder::Folders;
use iib_embedded::registry::{Auth, RegistryStore, router, serve};
use iib_indexdb::SqliteIndex;
use iib_oci::hosts::HostRules;
use iib_oci::{
    Descriptor, ImageConfig, MediaType, PullSpec, RawManifest, Reference, Repository, Resolved,
};
use iib_pipeline::intake::{IntakeDeps, LogContent, LogPart, Submission, logs, submit};
use iib_pipeline::prune::PruneDeps;
use iib_pipeline::{Deps, Scratch, Verdict, read_catalog};
use iib_ports::{
    ArtifactKey, GivenLogin, InMemory, Keyring, Queue as _, Registries as _, Registry,
    Requests as _, Secret,
};
use iib_registry::{RegistryClient, RegistryConfig};
use iib_request::{
    AddRequest, ApiSettings, Record, Request, RequestId, Scope, Stage, State, Task, WorkSettings,
};
use iib_testkit::Pull as _;
use iib_testkit::memory::{
    MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRepositories, MemoryRequests,
    MemorySecrets, RecordingFigures, RecordingNotifier,
};
use iib_testkit::scripted_registry::{Login, ScriptedRegistry};
use iib_testkit::time::ManualClock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::image::{Family, Image, list};
use crate::samples;

/// Unpacked bytes of a bundle that are read at most, in these tests.
pub(crate) const BUNDLE_LIMIT: u64 = 2 * 1024 * 1024;
/// Unpacked bytes of an index layer that are read at most, in these tests.
pub(crate) const INDEX_LIMIT: u64 = 16 * 1024 * 1024;

/// Far more than any delivery takes; what is slower hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The repository of results, see `image_push_template`.
pub(crate) const OUTPUT: &str = "iib-build";

/// A service, and the registry it works with.
pub(crate) struct World {
    pub(crate) host: String,
    pub(crate) deps: Deps,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) requests: Arc<MemoryRequests>,
    pub(crate) artifacts: Arc<MemoryArtifacts>,
    pub(crate) secrets: Arc<MemorySecrets>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) figures: Arc<RecordingFigures>,
    pub(crate) repositories: MemoryRepositories,
    client: Arc<RegistryClient>,
    server: Server,
    scratch: TempDir,
    /// Where inputs are kept unpacked.
    _kept: TempDir,
}

/// Where images are.
#[derive(Clone)]
enum Server {
    Embedded(Arc<EmbeddedServer>),
    Scripted(Arc<ScriptedRegistry>),
}

struct EmbeddedServer {
    host: String,
    serving: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

impl EmbeddedServer {
    /// Asks the registry itself; the port has no listing.
    async fn tags(&self, repository: &str) -> BTreeSet<String> {
        let host = &self.host;
        let mut stream = TcpStream::connect(host).await.unwrap();
        let call = format!(
            "GET /v2/{repository}/tags/list?n=1000 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if head.starts_with("HTTP/1.1 404 ") {
            return BTreeSet::new();
        }
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        serde_json::from_value(document["tags"].clone()).unwrap()
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl World {
    /// A world with the embedded registry, which refuses what real ones refuse.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = RegistryStore::open(folder.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(serve(
            listener,
            router(store, Auth::None),
            CancellationToken::new(),
        ));
        let server = EmbeddedServer {
            host: host.clone(),
            serving,
            _folder: folder,
        };
        Self::over(host, Server::Embedded(Arc::new(server)))
    }

    /// A world with the scripted registry, which takes everything and fails as it is told.
    pub(crate) async fn scripted() -> Self {
        let registry = ScriptedRegistry::start().await;
        Self::over(registry.host(), Server::Scripted(Arc::new(registry)))
    }

    /// A world with a registry where each login is good for the repositories below one path, and the service has one
    /// of its own for the results.
    pub(crate) async fn of_homes(homes: &[(&str, &str)]) -> Self {
        let of = |(login, path): &(&str, &str)| (BASE64.encode(login), (*path).to_owned());
        let login = Login::Homes(homes.iter().map(of).collect());
        let registry = ScriptedRegistry::with_login(login).await;
        Self::over(registry.host(), Server::Scripted(Arc::new(registry)))
    }

    /// Lets the service use these logins as its own from now on, each for all below a path.
    pub(crate) fn log_in(&mut self, logins: &[(&str, &str)]) {
        let logins = logins.iter().map(|(login, path)| {
            let (user, password) = login.split_once(':').unwrap();
            GivenLogin {
                scope: format!("{}/{path}", self.host),
                login: iib_ports::Login {
                    user: user.to_owned(),
                    password: Secret::new(password),
                },
            }
        });
        let keyring = Keyring::Given(logins.collect());
        self.deps.registry = self.client.with(keyring);
    }

    /// A second service with stores of its own, at the same registry.
    pub(crate) fn beside(&self) -> Self {
        Self::over(self.host.clone(), self.server.clone())
    }

    /// The settings of the registry client: waits too short to notice.
    pub(crate) fn client_settings(host: &str) -> RegistryConfig {
        RegistryConfig {
            insecure_registries: BTreeSet::from([host.to_owned()]),
            attempts: 3,
            backoff_base: Duration::from_millis(1),
            backoff_cap: Duration::from_millis(1),
            retry_after_cap: Duration::from_millis(1),
            ..RegistryConfig::default()
        }
    }

    fn over(host: String, server: Server) -> Self {
        let client = Arc::new(RegistryClient::new(Self::client_settings(&host)).unwrap());
        let queue = Arc::new(MemoryQueue::default());
        let requests = Arc::new(MemoryRequests::default());
        let artifacts = Arc::new(MemoryArtifacts::default());
        let secrets = Arc::new(MemorySecrets::default());
        let clock = Arc::new(ManualClock::default());
        let repositories = MemoryRepositories::default();
        let scratch = tempfile::tempdir().unwrap();
        let figures = Arc::new(RecordingFigures::default());
        let kept = tempfile::tempdir().unwrap();
        let deps = Deps {
            requests: requests.clone(),
            operators: requests.clone(),
            queue: queue.clone(),
            lines: Arc::new(MemoryLines::default()),
            logs: Arc::new(MemoryLogs::default()),
            artifacts: artifacts.clone(),
            secrets: secrets.clone(),
            registry: client.clone(),
            registries: client.clone(),
            gates: None,
            repositories: Some(Arc::new(repositories.clone())),
            index_db: Arc::new(SqliteIndex),
            catalogs: Arc::new(Folders),
            clock: clock.clone(),
            notifier: Arc::new(RecordingNotifier::default()),
            figures: figures.clone(),
            traces: Arc::new(iib_ports::NoTraces),
            api: ApiSettings::default(),
            new: iib_request::RequestSettings::default(),
            work: WorkSettings {
                registry: host.clone(),
                max_bundle_bytes: BUNDLE_LIMIT,
                max_index_bytes: INDEX_LIMIT,
                ..WorkSettings::default()
            },
            hosts: HostRules::default(),
            scratch: Arc::new(Scratch::at(scratch.path())),
            unpacked: Arc::new(iib_pipeline::Unpacked::in_folder(kept.path(), 1 << 30).unwrap()),
        };
        Self {
            host,
            deps,
            queue,
            requests,
            artifacts,
            secrets,
            clock,
            figures,
            repositories,
            client,
            server,
            scratch,
            _kept: kept,
        }
    }

    /// The scripted registry of a world that has one.
    pub(crate) fn script(&self) -> &ScriptedRegistry {
        match &self.server {
            Server::Scripted(registry) => registry,
            Server::Embedded(_) => panic!("this world has no scripted registry"),
        }
    }

    /// What clearing up works with.
    pub(crate) fn prune(&self) -> PruneDeps {
        self.prune_over(self.deps.clone())
    }

    /// The same over other stores.
    pub(crate) fn prune_over(&self, deps: Deps) -> PruneDeps {
        PruneDeps {
            requests: deps.requests,
            sweeps: self.requests.clone(),
            queue: deps.queue,
            logs: deps.logs,
            artifacts: deps.artifacts,
            secrets: deps.secrets,
            tags: self.client.clone(),
            figures: deps.figures,
            clock: deps.clock,
            api: deps.api,
            work: deps.work,
        }
    }

    // --- images ---

    pub(crate) fn spec(&self, rest: &str) -> PullSpec {
        format!("{}/{rest}", self.host).parse().unwrap()
    }

    fn registry(&self) -> &dyn Registry {
        &*self.deps.registry
    }

    /// Pushes an image as `name`, which is `repository:tag`.
    pub(crate) async fn push(&self, name: &str, image: &Image) -> PullSpec {
        let spec = self.spec(name);
        self.push_blobs(spec.repository(), image).await;
        self.push_manifest(name, &image.manifest()).await
    }

    async fn push_blobs(&self, repository: &Repository, image: &Image) {
        let layers = image
            .layers
            .iter()
            .map(|layer| (layer.digest(), layer.bytes.clone()));
        let config = image.config_bytes();
        let config = [(iib_oci::Digest::of(&config), config)];
        for (digest, bytes) in layers.chain(config) {
            let descriptor = Descriptor {
                media_type: MediaType::new(MediaType::DOCKER_LAYER),
                size: bytes.len() as u64,
                digest,
            };
            self.registry()
                .push_blob(repository, &descriptor, &InMemory(bytes.into()))
                .await
                .unwrap();
        }
    }

    /// Pushes a manifest alone.
    pub(crate) async fn push_manifest(&self, name: &str, manifest: &RawManifest) -> PullSpec {
        let spec = self.spec(name);
        self.registry()
            .push_manifest(spec.repository(), spec.reference(), manifest)
            .await
            .unwrap();
        spec
    }

    /// Pushes images, each for the architecture said beside it, and a list over them.
    pub(crate) async fn push_list(
        &self,
        name: &str,
        family: Family,
        images: &[(&str, Image)],
    ) -> PullSpec {
        let repository = self.spec(name).repository().clone();
        let mut entries = Vec::new();
        for (arch, image) in images {
            self.push_blobs(&repository, image).await;
            let manifest = image.manifest();
            let digest = Reference::Digest(manifest.digest());
            self.registry()
                .push_manifest(&repository, &digest, &manifest)
                .await
                .unwrap();
            entries.push((*arch, manifest));
        }
        let entries: Vec<_> = entries.iter().map(|(arch, m)| (*arch, m)).collect();
        self.push_manifest(name, &list(family, &entries)).await
    }

    /// Pushes an example bundle as `bundles/<operator>:v<version>`.
    pub(crate) async fn push_bundle(&self, operator: &str, version: &str) -> PullSpec {
        let name = format!("bundles/{operator}:v{version}");
        self.push(&name, &samples::bundle(operator, version)).await
    }

    /// An index image with the first lantern, which is pushed.
    pub(crate) async fn image_of_lantern(&self) -> Image {
        let bundle = self.push_bundle("lantern", "0.1.0").await;
        let digest = samples::bundle("lantern", "0.1.0").manifest().digest();
        let bundle = bundle.pin(digest).to_pull_spec();
        samples::index_image(&samples::database(&[("lantern", "0.1.0", &bundle)]))
    }

    /// Pushes a binary image for these architectures, as a list.
    pub(crate) async fn push_binary(&self, arches: &[&str]) -> PullSpec {
        let images: Vec<_> = arches
            .iter()
            .map(|arch| (*arch, samples::binary(arch)))
            .collect();
        let name = format!("base/binary:{}", arches.join("-"));
        self.push_list(&name, Family::Docker, &images).await
    }

    /// The request that adds a bundle to nothing, for amd64, on a good binary image.
    pub(crate) async fn add(&self, bundle: &PullSpec) -> AddRequest {
        AddRequest {
            bundles: vec![bundle.to_string()],
            binary_image: Some(self.push_binary(&["amd64"]).await.to_string()),
            add_arches: vec!["amd64".to_owned()],
            ..AddRequest::default()
        }
    }

    // --- requests ---

    pub(crate) async fn submit(&self, request: impl Into<Submission>) -> RequestId {
        let intake = IntakeDeps::from(self.deps.clone());
        submit(&intake, None, request).await.unwrap().id
    }

    pub(crate) async fn record(&self, id: RequestId) -> Record {
        self.requests.get(id).await.unwrap().unwrap()
    }

    /// Hands a message to its stage, as the queue does.
    pub(crate) async fn deliver(&self, task: &Task) -> Verdict {
        deliver(&self.deps, task).await
    }

    /// Delivers messages, those that go back again and again, until none is left.
    pub(crate) async fn run_queue(&self) {
        self.run_queue_with(async |_| ()).await;
    }

    /// The same, with something that is done before each delivery.
    pub(crate) async fn run_queue_with(&self, before: impl AsyncFn(&Task)) {
        for _ in 0..100 {
            let Some(task) = self.queue.take_next() else {
                return;
            };
            before(&task).await;
            if self.deliver(&task).await != Verdict::Done {
                self.queue.send(&task).await.unwrap();
            }
        }
        panic!("messages go back for ever: {:?}", self.queue.waiting());
    }

    /// Submits a request and works on it until it has ended. No file of ours is left then.
    pub(crate) async fn run(&self, request: impl Into<Request>) -> Record {
        let id = self.submit(request).await;
        self.run_queue().await;
        let record = self.record(id).await;
        assert_eq!(record.work.stage, Stage::Done, "{record:#?}");
        // Of what was stored only what users may see is left, and the log is nowhere else.
        self.assert_cleaned_up(id).await;
        let left = std::fs::read_dir(self.scratch.path()).unwrap().count();
        assert_eq!(left, 0, "{}", record.state_reason());
        record
    }

    /// Runs a request that has to succeed.
    pub(crate) async fn completes(&self, request: impl Into<Request>) -> Record {
        let record = self.run(request).await;
        assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
        record
    }

    /// Runs a request that has to fail, without a trace in the registry, and gives the reason.
    pub(crate) async fn fails(&self, request: impl Into<Request>) -> String {
        let before = self.tags(OUTPUT).await;
        let record = self.run(request).await;
        let reason = record.state_reason().to_owned();
        assert_eq!(record.state(), State::Failed, "{reason}");
        assert_eq!(self.tags(OUTPUT).await, before, "{reason}");
        let scratch = self.scratch.path().to_string_lossy();
        assert!(!reason.contains(&*scratch), "a path of ours: {reason}");
        assert_eq!(record.facts.index_image, None, "{reason}");
        reason
    }

    /// Runs a request that has to fail for a reason with all these parts.
    pub(crate) async fn fails_saying(&self, request: impl Into<Request>, parts: &[&str]) {
        let reason = self.fails(request).await;
        for part in parts {
            assert!(reason.contains(part), "no `{part}` in: {reason}");
        }
    }

    // --- results ---

    /// The tags of a repository.
    pub(crate) async fn tags(&self, repository: &str) -> BTreeSet<String> {
        match &self.server {
            Server::Embedded(server) => server.tags(repository).await,
            Server::Scripted(registry) => {
                // It lists none, but it tells what was written.
                let place = format!("/v2/{repository}/manifests/");
                let written = registry.seen().into_iter().filter_map(|seen| {
                    let written = seen.method.as_str() == "PUT";
                    let tag = seen.target.strip_prefix(&place)?.to_owned();
                    (written && registry.manifest(repository, &tag).is_some()).then_some(tag)
                });
                written.collect()
            }
        }
    }

    /// The catalog of an index.
    pub(crate) async fn catalog(&self, index: &str) -> CatalogShape {
        let folder = tempfile::tempdir().unwrap();
        read_catalog(
            self.registry(),
            self.deps.index_db.clone(),
            &index.parse().unwrap(),
            folder.path(),
            INDEX_LIMIT,
        )
        .await
        .unwrap()
    }

    /// The configuration of the first image behind a pull spec, which is that of a list.
    pub(crate) async fn config_of(&self, list: &PullSpec) -> ImageConfig {
        let raw = self.registry().pull(list).await.unwrap();
        let Resolved::List(found) = raw.read().unwrap() else {
            panic!("{list} is no list")
        };
        let image = list.pin(found.manifests[0].descriptor.digest.clone());
        let raw = self.registry().pull(&image.to_pull_spec()).await;
        let Resolved::Image(manifest) = raw.unwrap().read().unwrap() else {
            panic!("a list in {list}")
        };
        let bytes = self.registry().blob(list.repository(), &manifest.config);
        let bytes: Vec<Bytes> = bytes.await.unwrap().try_collect().await.unwrap();
        ImageConfig::read(&bytes.concat()).unwrap()
    }

    /// The layer on top of the first image behind a pull spec, which is that of a list.
    pub(crate) async fn top_layer(&self, list: &PullSpec) -> Vec<u8> {
        let raw = self.registry().pull(list).await.unwrap();
        let Resolved::List(found) = raw.read().unwrap() else {
            panic!("{list} is no list")
        };
        let image = list.pin(found.manifests[0].descriptor.digest.clone());
        let raw = self.registry().pull(&image.to_pull_spec()).await;
        let Resolved::Image(manifest) = raw.unwrap().read().unwrap() else {
            panic!("a list in {list}")
        };
        let bytes = self
            .registry()
            .blob(list.repository(), manifest.layers.last().unwrap());
        let bytes: Vec<Bytes> = bytes.await.unwrap().try_collect().await.unwrap();
        bytes.concat()
    }

    /// The configuration of an image that is in no list.
    pub(crate) async fn config_of_image(&self, image: &PullSpec) -> ImageConfig {
        let raw = self.registry().pull(image).await.unwrap();
        let Resolved::Image(manifest) = raw.read().unwrap() else {
            panic!("{image} is a list")
        };
        let bytes = self.registry().blob(image.repository(), &manifest.config);
        let bytes: Vec<Bytes> = bytes.await.unwrap().try_collect().await.unwrap();
        ImageConfig::read(&bytes.concat()).unwrap()
    }

    /// The configuration of what a request made.
    pub(crate) async fn config(&self, record: &Record) -> ImageConfig {
        let image = record.facts.index_image.as_ref().unwrap();
        self.config_of(&image.parse().unwrap()).await
    }

    /// Makes an index with the packages lantern and kettle, below `prod`.
    pub(crate) async fn index_of_two(&self) -> Record {
        let lantern = self.push_bundle("lantern", "0.1.0").await;
        let kettle = self.push_bundle("kettle", "1.0.0").await;
        let request = AddRequest {
            bundles: [&lantern, &kettle].map(ToString::to_string).into(),
            distribution_scope: Some(Scope::Stage),
            ..self.add(&lantern).await
        };
        Box::pin(self.completes(request)).await
    }

    /// The bundles of the catalog that a request made.
    pub(crate) async fn bundles(&self, record: &Record) -> Vec<String> {
        let index = record.facts.index_image.clone().unwrap();
        let catalog = self.catalog(&index).await;
        let packages = catalog.packages.into_values();
        packages.flat_map(|package| package.bundles).collect()
    }

    /// The log of a request, wherever it is.
    pub(crate) async fn log(&self, id: RequestId) -> String {
        let intake = IntakeDeps::from(self.deps.clone());
        match logs(&intake, id, LogPart::SoFar).await.unwrap() {
            LogContent::Text(text) => text,
            LogContent::At(url) => panic!("this store has no links, and gave {url}"),
        }
    }

    /// Checks that of a request that is done nothing is left but its log, which is sealed, and what
    /// it changed; that may be there of one that failed, too, if its index was made before.
    pub(crate) async fn assert_cleaned_up(&self, id: RequestId) {
        let of_request = |key: &ArtifactKey| key.request() == Some(id);
        let left: Vec<_> = (self.artifacts.keys().into_iter())
            .filter(of_request)
            .collect();
        let record = self.record(id).await;
        let (log, changes) = (ArtifactKey::log(id), ArtifactKey::changes(id));
        let all = match &record.request {
            Request::Rollback(_) => vec![log.clone()],
            Request::RecursiveRelatedBundles(_) => {
                vec![log.clone(), ArtifactKey::nested_bundles(id)]
            }
            Request::RegenerateBundle(_) => {
                vec![log.clone(), changes, ArtifactKey::related_bundles(id)]
            }
            _ => vec![log.clone(), changes],
        };
        // Some organizations have no list of bundles.
        let is_customized = record.request.organization().is_some();
        if record.state() == State::Complete && !is_customized {
            assert_eq!(left, all);
        } else {
            assert!(left.contains(&log), "{left:?}");
            assert!(left.iter().all(|key| all.contains(key)), "{left:?}");
        }
        assert_eq!(self.deps.logs.read(id).await.unwrap(), None);
        assert_eq!(self.secrets.count(), 0);
    }
}

/// What a request has told after it came.
pub(crate) fn told(record: &Record) -> Vec<&str> {
    let reasons = record.history.iter().map(|entry| &*entry.state_reason);
    reasons.skip(1).collect()
}

/// Hands a message to its stage. Panics of the stage are panics here, and it may not hang.
pub(crate) async fn deliver(deps: &Deps, task: &Task) -> Verdict {
    let work = async {
        assert!(![Stage::Queued, Stage::Done].contains(&task.stage));
        iib_pipeline::run(deps, task.stage, task).await
    };
    match tokio::time::timeout(PATIENCE, Box::pin(work)).await {
        Ok(verdict) => verdict,
        Err(_) => panic!("{task:?} hangs"),
    }
}
