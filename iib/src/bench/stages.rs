//! The stages of one request, each in a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use aws_lambda_events::event::sqs::SqsEvent;
use iib_edge::Config;
use iib_local::Local;
use iib_oci::PullSpec;
use iib_request::{AddRequest, RequestId, Stage, State, Task};
use lambda_runtime::{Context, LambdaEvent};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::images::{Images, move_bytes};
use crate::Exit;
use crate::cli::{BenchStage, BenchStageOptions};
use crate::say;

/// What a process took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Cost {
    /// Wall time of the work, without the start of the process.
    pub(super) seconds: f64,
    /// Largest resident memory (`VmHWM`), MiB.
    pub(super) peak_mib: f64,
}

/// What a request took.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Measured {
    pub(super) pin: Cost,
    pub(super) mutate: Cost,
    pub(super) push: Cost,
    /// The same bytes moved, without thinking.
    pub(super) moved: Cost,
}

impl Cost {
    fn faster(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.min(other.seconds),
            peak_mib: self.peak_mib.max(other.peak_mib),
        }
    }
}

impl Measured {
    /// The shortest times of two runs, and the larger memory.
    pub(super) fn faster(self, other: Self) -> Self {
        Self {
            pin: self.pin.faster(other.pin),
            mutate: self.mutate.faster(other.mutate),
            push: self.push.faster(other.push),
            moved: self.moved.faster(other.moved),
        }
    }
}

/// One run of a request: a data folder of its own, the registry of all.
pub(super) struct Stages {
    pub(super) folder: PathBuf,
    pub(super) host: String,
}

impl Stages {
    /// Submits the request and runs its stages one after the other.
    pub(super) async fn run(
        &self,
        images: &Images,
        bundle: &PullSpec,
        index: &PullSpec,
    ) -> anyhow::Result<Measured> {
        {
            let local = Local::open(&config(self.folder.clone(), &self.host)?)?;
            let add = AddRequest {
                bundles: vec![bundle.to_string()],
                from_index: Some(index.to_string()),
                binary_image: Some(images.binary.to_string()),
                ..AddRequest::default()
            };
            iib_pipeline::intake::submit(&local.deps.clone().into(), None, add).await?;
        }
        // Bytes first, so that both jobs find the page cache in the same state.
        let moved = self.process(BenchStage::Moved, index).await?;
        let pin = self.process(BenchStage::Pin, index).await?;
        let mutate = self.process(BenchStage::Mutate, index).await?;
        let push = self.process(BenchStage::Push, index).await?;
        let local = Local::open(&config(self.folder.clone(), &self.host)?)?;
        let record = local
            .deps
            .requests
            .get(RequestId(1))
            .await?
            .context("no record")?;
        ensure!(
            record.state() == State::Complete,
            "failed: {}",
            record.state_reason()
        );
        drop(local);
        std::fs::remove_dir_all(&self.folder)?;
        Ok(Measured {
            pin,
            mutate,
            push,
            moved,
        })
    }

    async fn process(&self, stage: BenchStage, index: &PullSpec) -> anyhow::Result<Cost> {
        let output = tokio::process::Command::new(std::env::current_exe()?)
            .arg("bench-stage")
            .arg("--stage")
            .arg(stage.name())
            .arg("--data-folder")
            .arg(&self.folder)
            .arg("--registry")
            .arg(&self.host)
            .arg("--index")
            .arg(index.as_str())
            .stderr(Stdio::inherit())
            .output()
            .await?;
        ensure!(output.status.success(), "the {} stage failed", stage.name());
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

fn config(data_folder: PathBuf, host: &str) -> anyhow::Result<Config> {
    let mut config = Config::load(None, &std::collections::BTreeMap::new())?;
    // A repository for each run: a layer that is there already would not be uploaded.
    let run: Vec<String> = data_folder
        .iter()
        .rev()
        .take(2)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    config.work.image_push_template = format!("{{registry}}/{}:{{request_id}}", run.join("/"));
    config.data_folder = data_folder;
    config.work.registry = host.to_owned();
    config.registries.insecure.insert(host.to_owned());
    Ok(config)
}

/// Runs one stage in this process and prints its cost.
pub(super) async fn run_here(options: &BenchStageOptions) -> anyhow::Result<Exit> {
    let local = Local::open(&config(options.data_folder.clone(), &options.registry)?)?;
    let started = Instant::now();
    let deps = &local.deps;
    match options.stage {
        BenchStage::Pin => {
            let event = event(Stage::Pin)?;
            ensure!(
                iib_pin::handle(deps, event)
                    .await
                    .batch_item_failures
                    .is_empty(),
                "pin"
            );
        }
        BenchStage::Mutate => {
            let event = event(Stage::Mutate)?;
            ensure!(
                iib_mutate::handle(deps, event)
                    .await
                    .batch_item_failures
                    .is_empty(),
                "mutate"
            );
        }
        BenchStage::Push => {
            let event = event(Stage::Push)?;
            ensure!(
                iib_push::handle(deps, event)
                    .await
                    .batch_item_failures
                    .is_empty(),
                "push"
            );
        }
        BenchStage::Moved => move_bytes(deps, &options.index).await?,
    }
    let seconds = started.elapsed().as_secs_f64();
    let cost = Cost {
        seconds,
        peak_mib: peak_mib()?,
    };
    say::line(serde_json::to_string(&cost)?)?;
    Ok(Exit::Done)
}

fn event(stage: Stage) -> anyhow::Result<LambdaEvent<SqsEvent>> {
    let body = serde_json::to_string(&Task::new(RequestId(1), stage))?;
    let event = serde_json::from_value(json!({ "Records": [{ "messageId": "1", "body": body }] }))?;
    Ok(LambdaEvent::new(event, Context::default()))
}

/// Largest resident memory of this process so far.
fn peak_mib() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) else {
        bail!("this system does not tell a process's peak memory");
    };
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("VmHWM without a number")?
        .parse()?;
    Ok(kib / 1024.0)
}
