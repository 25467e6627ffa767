//! `iib bench`: adding one bundle to indexes of growing size, stage by stage.
//!
//! Every stage runs in a process of its own, so that its memory is its own; the registry runs in
//! this one. Beside each size stands the same job with bytes only moved: download, unpack, pack,
//! upload. Times are printed as ratios to that, because they hold on any machine.

mod api;
mod bundles;
mod images;
mod kinds;
mod report;
mod stages;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use axum::middleware::{self, Next};
use iib_embedded::DataFolder;
use iib_embedded::registry::{self, Auth};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Exit;
use crate::cli::{BenchOptions, BenchOther, BenchStageOptions};
use crate::say;
use images::{Images, Input};
use report::Row;
use stages::{Measured, Stages};

/// Runs the benchmark and prints its table.
pub(crate) async fn run(options: &BenchOptions) -> anyhow::Result<Exit> {
    match &options.other {
        Some(BenchOther::Api(options)) => return api::run(options).await,
        Some(BenchOther::Kinds(options)) => return kinds::run(options).await,
        Some(BenchOther::Bundles(options)) => return bundles::run(options).await,
        None => {}
    }
    let folder = tempfile::Builder::new().prefix("iib-bench-").tempdir()?;
    let registry = SmallRegistry::start(&folder.path().join("registry")).await?;
    let images = Images::push_common(&registry.host).await?;
    let mut rows = Vec::new();
    for &bundles in &options.bundles {
        say::aside(format_args!("{bundles} bundles: generating the index"));
        let database = images::generate(folder.path(), bundles)?;
        let size = std::fs::metadata(&database)?.len();
        let bundle = images.push_bundle(bundles).await?;
        for input in [Input::Foreign, Input::Ours, Input::Oci] {
            let index = images
                .push_index(folder.path(), &database, bundles, input)
                .await?;
            let work = folder.path().join(format!("work-{bundles}-{input}"));
            say::aside(format_args!(
                "{bundles} bundles, {input}: {} runs",
                options.runs
            ));
            let mut best: Option<Measured> = None;
            for n in 0..options.runs.max(1) {
                let stages = Stages {
                    folder: work.join(n.to_string()),
                    host: registry.host.clone(),
                };
                let run = stages.run(&images, &bundle, &index, input.format()).await?;
                best = Some(best.map_or(run, |best| best.faster(run)));
            }
            let measured = best.context("no run")?;
            rows.push(Row {
                bundles,
                size,
                input,
                measured,
            });
        }
        std::fs::remove_file(&database)?;
    }
    registry.stop().await?;
    if options.json {
        say::line(serde_json::to_string_pretty(&rows)?)?;
    } else {
        say::text(report::table(&rows))?;
    }
    Ok(Exit::Done)
}

/// Runs one stage of one request and prints what it took: the child process of [`run`].
pub(crate) async fn run_stage(options: &BenchStageOptions) -> anyhow::Result<Exit> {
    stages::run_here(options).await
}

/// The small registry, in this process.
struct SmallRegistry {
    host: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    _folder: DataFolder,
}

impl SmallRegistry {
    async fn start(path: &Path) -> anyhow::Result<Self> {
        Self::slow(path, Duration::ZERO).await
    }

    /// One that waits before each answer.
    async fn slow(path: &Path, wait: Duration) -> anyhow::Result<Self> {
        let folder = DataFolder::open(path)?;
        let store = folder.registry()?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let host = listener.local_addr()?.to_string();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let waiting = middleware::from_fn(move |call: Request, next: Next| async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                next.run(call).await
            });
            let router = registry::router(store, Auth::None).layer(waiting);
            registry::serve(listener, router, stopped).await?;
            Ok(())
        });
        Ok(Self {
            host,
            stop,
            task,
            _folder: folder,
        })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}
