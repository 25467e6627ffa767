//! Local mode: the API, the stages and a small registry in one process.
//!
//! The handlers are those of the functions, fed with the events AWS would send.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iib_edge::Config;
use iib_embedded::registry::{self, Auth};
use iib_embedded::{BatchFailures, Freed, StageSettings, run_stage};
use iib_intake::Api;
use iib_local::Local;
use iib_pipeline::artifact::ArtifactDeps;
use iib_pipeline::{Deps, numbers};
use iib_ports::{Listing, chain};
use iib_request::{ApiSettings, BaseUrl, Stage};
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::Login;
use crate::{dead_letters, schedule, tell, watch};

/// How long running stages may go on after a stop was asked for. What is cut off begins again
/// at the next start.
const GRACE: Duration = Duration::from_secs(20);
/// How long open calls to the API may go on after that.
const CALL_GRACE: Duration = Duration::from_secs(5);

/// How local mode is started.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Settings. Without a registry in them the small one is started and used.
    pub config: Config,
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the small registry listens.
    pub registry_listen: SocketAddr,
    /// User and password the small registry asks for.
    pub registry_login: Option<Login>,
}

/// Local mode while it runs.
#[derive(Debug)]
pub struct Service {
    /// Where the API is.
    pub api: SocketAddr,
    /// Where the small registry is, if it runs.
    pub registry: Option<SocketAddr>,
    work: Part,
    servers: Part,
}

/// Tasks that end together.
#[derive(Debug, Default)]
struct Part {
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Part {
    /// Begins a task that ends well once it is asked to.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async {
            task.await;
            Ok(())
        });
    }

    /// Asks the tasks to end and waits for them.
    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Service {
    /// Starts everything; it runs when this returns.
    ///
    /// # Errors
    /// A data folder that another process owns, an address that is taken, settings that cannot
    /// work.
    pub async fn start(options: ServiceOptions) -> anyhow::Result<Self> {
        let ServiceOptions {
            mut config,
            listen,
            registry_listen,
            registry_login,
        } = options;
        let (mut work, mut servers) = (Part::default(), Part::default());
        let mut small_registry = None;
        let mut listener = None;
        if config.work.registry.is_empty() {
            let bound = bind(registry_listen).await?;
            let address = bound.local_addr()?;
            config.work.registry = address.to_string();
            let insecure = &mut config.registries.insecure;
            insecure.insert(address.to_string());
            // Both are what it listens on, and people write either.
            if address.ip().is_loopback() || address.ip().is_unspecified() {
                insecure.insert(format!("localhost:{}", address.port()));
            }
            small_registry = Some(address);
            listener = Some(bound);
        }
        let login_file = config.data_folder.join("registry-login.json");
        if registry_login.is_some() {
            config.registries.auth_files.insert(0, login_file.clone());
        }
        let mut local = match listen.ip().to_canonical().is_loopback() {
            true => Local::open(&config)?,
            false => Local::for_others(&config)?,
        };
        tell(local.folder.freed());
        if let (Some(address), Some(login)) = (small_registry, &registry_login) {
            // The folder is ours from here on.
            let local = format!("localhost:{}", address.port());
            let mut hosts = vec![address.to_string()];
            hosts.extend(config.registries.insecure.contains(&local).then_some(local));
            write_login(&login_file, &hosts, login)
                .with_context(|| format!("cannot write {}", login_file.display()))?;
        }
        if let Some(listener) = listener {
            let auth = match registry_login {
                Some(Login { user, password }) => Auth::Basic { user, password },
                None => Auth::None,
            };
            let router = registry::router(local.folder.registry()?, auth);
            let router = under_its_names(router, listener.local_addr()?, &config.api);
            let stopped = servers.stop.clone();
            servers.tasks.spawn(async move {
                registry::serve(listener, router, stopped).await?;
                Ok(())
            });
        }
        count_from_free_numbers(&mut local.deps, &*local.listing).await?;
        let bound = bind(listen).await?;
        let api = bound.local_addr()?;
        let ports = Api {
            intake: Arc::new(local.deps.clone().into()),
            listing: local.listing.clone(),
            watch: local.watch.clone(),
            tokens: local.tokens.clone(),
        };
        let router = iib_intake::router(ports.clone())
            .merge(iib_intake::events(ports))
            .merge(crate::metrics::router(local.figures.clone()));
        let router = under_its_names(router, api, &config.api);
        let stopped = servers.stop.clone();
        servers.tasks.spawn(serve_api(bound, router, stopped));
        // Whoever waits for a request is let go first: the calls would stay open.
        let (watch, stopped) = (local.watch.clone(), work.stop.clone());
        work.spawn(async move {
            stopped.cancelled().await;
            watch.stop();
        });
        start_stages(&local, &mut work);
        // All that wait: a crash may have come between a write and its message.
        iib_pipeline::prune::sweep(&local.prune, SignedDuration::ZERO).await?;
        let clearing = schedule::clear_up(local.prune.clone(), work.stop.clone());
        work.spawn(clearing);
        let mut artifact: ArtifactDeps = local.deps.clone().into();
        let own = &mut artifact.intake.api.public_url;
        *own = own.take().or_else(|| base_url(api));
        let watching = watch::watch(artifact, work.stop.clone());
        work.spawn(watching);
        if let Some(notify) = local.notify {
            work.spawn(tell::tell(notify, work.stop.clone()));
        }
        let (queue, deps) = (local.queue.clone(), local.deps.clone().into());
        work.spawn(dead_letters::deal_with(queue, deps, work.stop.clone()));
        Ok(Self {
            api,
            registry: small_registry,
            work,
            servers,
        })
    }

    /// Stops taking in work, lets running stages end, and returns when all is over. The stages
    /// end first: what they work on may need the small registry.
    ///
    /// # Errors
    /// The first failure of one of its parts.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.work.end().await?;
        self.servers.end().await
    }

    /// Waits until a part of the service ends by itself, which is always a failure.
    ///
    /// # Errors
    /// That failure.
    pub async fn failed(&mut self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = self.work.tasks.join_next() => ended,
            ended = self.servers.tasks.join_next() => ended,
        };
        match ended {
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the service ended"),
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.into(),
        }
    }
}

/// How long a start may wait for the registry that gets the results.
const FREE_NUMBERS: Duration = Duration::from_secs(2);

/// Lets a service without any requests begin where numbers are free among the results: its data folder may be
/// new and the registry not. Where that cannot be found out in time, a request whose number is taken says so.
async fn count_from_free_numbers(deps: &mut Deps, listing: &dyn Listing) -> anyhow::Result<()> {
    let first = deps.new.first_number;
    if !deps.new.keep_others || !numbers::is_first(listing).await? {
        return Ok(());
    }
    let found = numbers::first_free(&*deps.registry, &deps.work, first);
    match tokio::time::timeout(FREE_NUMBERS, found).await {
        Ok(Ok(Some(free))) if free > first => {
            info!(
                first,
                free, "results of others have the first numbers: requests count from the free ones"
            );
            deps.new.first_number = free;
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => warn!(
            error = %chain(&error),
            "which numbers of results are free cannot be seen; requests count from {first}"
        ),
        Err(_) => warn!(
            "the registry does not say in time which numbers of results are free; requests count from {first}"
        ),
    }
    Ok(())
}

/// The address of the service for people on this machine.
fn base_url(api: SocketAddr) -> Option<BaseUrl> {
    let host = match api.ip().to_canonical().is_unspecified() {
        true => format!("localhost:{}", api.port()),
        false => api.to_string(),
    };
    format!("http://{host}").parse().ok()
}

/// Tells what was left of a service that ended in the middle of its work.
fn tell(freed: Freed) {
    if freed.unreadable > 0 {
        warn!(
            requests = freed.unreadable,
            "these requests wait for a version that can read their records; they are left as they are"
        );
    }
    if freed.leases + freed.messages > 0 {
        info!(
            requests = freed.leases,
            messages = freed.messages,
            "work of the last run is taken up again"
        );
    }
}

/// Serves the API until `stop`; calls that are still open then are cut off after a moment, so
/// that a client which never ends its call cannot keep the service.
async fn serve_api(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(CALL_GRACE).await;
    };
    let serving = axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = serving.into_future() => Ok(served?),
        () = cut_off => Ok(()),
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address or port"))
}

/// The small registry's login in the form registries' clients read, for the service itself.
fn write_login(path: &Path, hosts: &[String], login: &Login) -> std::io::Result<()> {
    let secret = STANDARD.encode(format!("{}:{}", login.user, login.password.expose()));
    let entry = |host: &String| (host.clone(), json!({ "auth": secret }));
    let document = json!({ "auths": hosts.iter().map(entry).collect::<Map<_, _>>() });
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true).mode(0o600);
    file.open(path)?.write_all(document.to_string().as_bytes())
}

/// On loopback, a call under a foreign name comes from a page in somebody's browser.
fn under_its_names(router: Router, listens_on: SocketAddr, api: &ApiSettings) -> Router {
    match listens_on.ip().to_canonical().is_loopback() {
        true => iib_intake::on_loopback(router, api),
        false => router,
    }
}

/// Feeds each stage's queue to its function's handler, with the batch sizes of the template.
fn start_stages(local: &Local, work: &mut Part) {
    let deps = Arc::new(local.deps.clone());
    for (stage, batch_size, concurrency) in [
        (Stage::Pin, 10, 2),
        (Stage::Mutate, 1, 2),
        (Stage::Push, 1, 2),
    ] {
        let timeout = SignedDuration::from_secs(i64::from(deps.work.stage_timeout_seconds));
        let settings = StageSettings {
            stage,
            batch_size,
            concurrency,
            visibility: timeout.saturating_mul(6),
            grace: GRACE,
        };
        let deps = deps.clone();
        let handler = move |event| invoke(deps.clone(), stage, event);
        let (queue, stop) = (local.queue.clone(), work.stop.clone());
        work.spawn(async move {
            run_stage(queue, settings, handler, stop).await;
        });
    }
}

/// Calls a function's handler with an event, as the Lambda service would.
async fn invoke(deps: Arc<Deps>, stage: Stage, event: Value) -> BatchFailures {
    let event: SqsEvent = match serde_json::from_value(event) {
        Ok(event) => event,
        Err(error) => {
            warn!(%error, "the local queue made an event that is none");
            return BatchFailures::All;
        }
    };
    let event = LambdaEvent::new(event, Context::default());
    let response: SqsBatchResponse = match stage {
        Stage::Pin => iib_pin::handle(&deps, event).await,
        Stage::Mutate => iib_mutate::handle(&deps, event).await,
        Stage::Push => iib_push::handle(&deps, event).await,
        Stage::Queued | Stage::Done => return BatchFailures::All,
    };
    BatchFailures::Messages(
        response
            .batch_item_failures
            .into_iter()
            .map(|item| item.item_identifier)
            .collect(),
    )
}
