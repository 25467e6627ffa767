//! The API with its stores, and nothing behind them: scenarios play the workers themselves.
//!
//! Settings come as the reference has them. Two of them ask for faults, which are injected behind the
//! ports here, in this binary only.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use axum::Router;
use iib_edge::{Config, Messaging};
use iib_intake::Api;
use iib_local::{Local, Notify};
use iib_pipeline::intake::IntakeDeps;
use iib_ports::{
    ArtifactKey, Created, Delivery, NewBatch, Queue, QueueError, Requests, StoreError,
};
use iib_request::{Record, RequestId, Task};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

/// The header in which a scenario names its user, as a proxy would.
pub(crate) const USER_HEADER: &str = "X-Remote-User";

/// Serves the API on loopback until the process is told to end.
pub(crate) fn serve(config: &Path, port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve_until_stopped(config, port))
}

async fn serve_until_stopped(config: &Path, port: u16) -> anyhow::Result<()> {
    let (router, _) = Scenario::read(config)?.open()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

/// Stores an object of the artifact bucket under the name that the reference gives it.
pub(crate) fn put_object(config: &Path, key: &str, file: &Path) -> anyhow::Result<()> {
    let name = name_of(key).with_context(|| format!("there is no object {key}"))?;
    let path = data_folder(config).join("artifacts").join(name.as_str());
    // The server owns the folder; it sees a file when it is there as a whole.
    let folder = path.parent().context("an object has a folder")?;
    std::fs::create_dir_all(folder)?;
    let temporary = path.with_extension("incoming");
    std::fs::copy(file, &temporary)?;
    std::fs::rename(temporary, path)?;
    Ok(())
}

/// Our name of an object (spec rest-api §9).
fn name_of(key: &str) -> Option<ArtifactKey> {
    let (folder, name) = key.split_once('/')?;
    let (id, rest) = name.split_at(name.find(|c: char| !c.is_ascii_digit())?);
    let id: RequestId = id.parse().ok()?;
    match (folder, rest) {
        ("request_logs", ".log") => Some(ArtifactKey::log(id)),
        ("related_bundles", "_related_bundles.json") => Some(ArtifactKey::related_bundles(id)),
        ("recursive_related_bundles", "_recursive_related_bundles.json") => {
            Some(ArtifactKey::nested_bundles(id))
        }
        _ => None,
    }
}

/// Beside the settings, whose folder is the scenario's own.
fn data_folder(config: &Path) -> PathBuf {
    config.with_file_name("iib-data")
}

/// What the settings of a scenario ask for.
pub(crate) struct Scenario {
    config: Config,
    database_unavailable: bool,
    scheduler_fails_after: Option<u64>,
}

impl Scenario {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file)?;
        let mut settings: Map<String, Value> = serde_json::from_slice(&text)?;
        let database_unavailable = settings.remove("database_unavailable");
        let scheduler_fails_after = settings.remove("scheduler_fails_after");
        let login_disabled = settings.remove("login_disabled");
        // The API only hands it to the work. The indexes in it have tags, with which the reference finds no repository,
        // and they have no tokens: a service of ours says so at its start, and does not start.
        settings.remove("IIB_INDEX_TO_GITLAB_PUSH_MAP");
        let has_bucket = settings.contains_key("IIB_AWS_S3_BUCKET_NAME");
        let is_kept = |folder: &str| has_bucket || settings.contains_key(folder);
        let (logs, related) = (
            is_kept("IIB_REQUEST_LOGS_DIR"),
            is_kept("IIB_REQUEST_RELATED_BUNDLES_DIR"),
        );
        let environment = settings
            .into_iter()
            .map(|(name, value)| (name, variable(value)));
        let mut config = Config::load(None, &environment.collect::<BTreeMap<_, _>>())?;
        config.data_folder = data_folder(file);
        config.api.login_disabled = login_disabled == Some(Value::Bool(true));
        config.api.offer_logs = logs;
        config.api.offer_related_bundles = related;
        config.api.trusted_user_header = Some(USER_HEADER.to_owned());
        config.api.trusted_proxies = vec![Ipv4Addr::LOCALHOST.to_string().parse()?];
        if config.api.worker_usernames.is_empty() {
            bail!("scenarios have workers");
        }
        Ok(Self {
            config,
            database_unavailable: database_unavailable == Some(Value::Bool(true)),
            scheduler_fails_after: scheduler_fails_after.as_ref().and_then(Value::as_u64),
        })
    }

    /// Who is to be told.
    pub(crate) fn messaging(&self) -> &Messaging {
        &self.config.messaging
    }

    /// The API over stores of its own, and what telling others works with, if somebody is to be told.
    pub(crate) fn open(self) -> anyhow::Result<(Router, Option<Notify>)> {
        let local = Local::open(&self.config)?;
        let mut intake = IntakeDeps::from(local.deps.clone());
        if self.database_unavailable {
            intake.requests = Arc::new(Unavailable);
        }
        if let Some(tasks) = self.scheduler_fails_after {
            intake.queue = Arc::new(FailsAfter(AtomicU64::new(tasks)));
        }
        let router = iib_intake::router(Api {
            intake: Arc::new(intake),
            listing: local.listing.clone(),
            watch: local.watch.clone(),
            tokens: None,
        });
        Ok((router, local.notify))
    }
}

/// A setting as the text of its variable.
fn variable(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(items) => {
            let texts = items.into_iter().map(variable);
            texts.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// A store that cannot be reached.
struct Unavailable;

fn unavailable<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable {
        action: "be reached",
        source: "the scenario asks for it".into(),
    })
}

#[async_trait]
impl Requests for Unavailable {
    async fn create(&self, _: NewBatch) -> Result<Created, StoreError> {
        unavailable()
    }

    async fn made_by(&self, _: &str) -> Result<Vec<Record>, StoreError> {
        unavailable()
    }

    async fn get(&self, _: RequestId) -> Result<Option<Record>, StoreError> {
        unavailable()
    }

    async fn replace(&self, _: Record) -> Result<Record, StoreError> {
        unavailable()
    }
}

/// Queues that take so many messages and no more. What they take nobody works on.
struct FailsAfter(AtomicU64);

#[async_trait]
impl Queue for FailsAfter {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        let left = |left: u64| left.checked_sub(1);
        let taken = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        taken.map(drop).map_err(|_| QueueError {
            request_id: task.request_id,
            stage: task.stage,
            source: "the scenario asks for it".into(),
        })
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    async fn put_off(
        &self,
        _: &Delivery,
        _: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}
