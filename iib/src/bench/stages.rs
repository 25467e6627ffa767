//! The stages of one request, each in a process of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use aws_lambda_events::event::sqs::SqsEvent;
use iib_edge::Config;
use iib_local::Local;
use iib_oci::{ImageFormat, PullSpec};
use iib_pipeline::intake::{read, submit};
use iib_request::{AddRequest, KINDS, RequestId, Stage, State, Task};
use lambda_runtime::{Context, LambdaEvent};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::images::{Images, move_bytes};
use super::kinds::{Asked, Ran};
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
    /// What was done since.
    fn since(started: Instant) -> anyhow::Result<Self> {
        let seconds = started.elapsed().as_secs_f64();
        let peak_mib = peak_mib()?;
        Ok(Self { seconds, peak_mib })
    }

    pub(super) fn faster(self, other: Self) -> Self {
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
        format: ImageFormat,
    ) -> anyhow::Result<Measured> {
        {
            let local = Local::open(&config(self.folder.clone(), &self.host)?)?;
            let add = AddRequest {
                bundles: vec![bundle.to_string()],
                from_index: Some(index.to_string()),
                binary_image: Some(images.binary.to_string()),
                output_format: Some(format),
                ..AddRequest::default()
            };
            submit(&local.deps.clone().into(), None, add).await?;
        }
        // Bytes first, so that both jobs find the page cache in the same state.
        let index = Some(index.as_str());
        let moved = self.process(BenchStage::Moved, index, None).await?;
        let pin = self.process(BenchStage::Pin, index, None).await?;
        let mutate = self.process(BenchStage::Mutate, index, None).await?;
        let push = self.process(BenchStage::Push, index, None).await?;
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

    /// Runs a stage, or the requests of a file, in a process of its own, and reads what it prints.
    pub(super) async fn process<T: DeserializeOwned>(
        &self,
        stage: BenchStage,
        index: Option<&str>,
        requests: Option<&Path>,
    ) -> anyhow::Result<T> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.arg("bench-stage").arg("--stage").arg(stage.name());
        command.arg("--data-folder").arg(&self.folder);
        command.arg("--registry").arg(&self.host);
        if let Some(index) = index {
            command.arg("--index").arg(index);
        }
        if let Some(requests) = requests {
            command.arg("--requests").arg(requests);
        }
        let output = command.output().await?;
        ensure!(
            output.status.success(),
            "the process for `{}` failed: {}",
            stage.name(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
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

/// Runs one stage in this process, or requests, and prints its cost.
pub(super) async fn run_here(options: &BenchStageOptions) -> anyhow::Result<Exit> {
    let local = Local::open(&config(options.data_folder.clone(), &options.registry)?)?;
    if options.stage == BenchStage::Requests {
        let file = options.requests.as_ref().context("no requests")?;
        let asked: Vec<Asked> = serde_json::from_slice(&std::fs::read(file)?)?;
        say::line(serde_json::to_string(&run_requests(&local, asked).await?)?)?;
        return Ok(Exit::Done);
    }
    let started = Instant::now();
    let index = options.index.as_deref().unwrap_or_default();
    match options.stage {
        BenchStage::Pin => run_stage(&local, RequestId(1), Stage::Pin).await?,
        BenchStage::Mutate => run_stage(&local, RequestId(1), Stage::Mutate).await?,
        BenchStage::Push => run_stage(&local, RequestId(1), Stage::Push).await?,
        BenchStage::Moved | BenchStage::Requests => move_bytes(&local.deps, index).await?,
    }
    say::line(serde_json::to_string(&Cost::since(started)?)?)?;
    Ok(Exit::Done)
}

/// Runs requests one after the other, each to its end.
async fn run_requests(local: &Local, asked: Vec<Asked>) -> anyhow::Result<Ran> {
    let intake = local.deps.clone().into();
    let (mut costs, mut result) = (Vec::new(), None::<String>);
    for Asked { kind, body } in asked {
        let started = Instant::now();
        let text = serde_json::to_string(&body)?;
        let text = text.replace("{result}", result.as_deref().unwrap_or_default());
        let body: Map<String, Value> = serde_json::from_str(&text)?;
        let row = KINDS.iter().find(|row| row.name == kind);
        let row = row.with_context(|| format!("no requests of the kind {kind}"))?;
        let submission = read(&intake, row, &body, None)?;
        let id = submit(&intake, None, submission).await?.id;
        for stage in [Stage::Pin, Stage::Mutate, Stage::Push] {
            run_stage(local, id, stage).await?;
        }
        let record = local.deps.requests.get(id).await?.context("no record")?;
        ensure!(
            record.state() == State::Complete,
            "{kind} failed: {}",
            record.state_reason()
        );
        result = record.facts.index_image;
        costs.push(Cost::since(started)?);
    }
    Ok(Ran { costs, result })
}

async fn run_stage(local: &Local, id: RequestId, stage: Stage) -> anyhow::Result<()> {
    let (deps, event) = (&local.deps, event(id, stage)?);
    let answer = match stage {
        Stage::Pin => iib_pin::handle(deps, event).await,
        Stage::Mutate => iib_mutate::handle(deps, event).await,
        Stage::Push | Stage::Queued | Stage::Done => iib_push::handle(deps, event).await,
    };
    ensure!(
        answer.batch_item_failures.is_empty(),
        "the stage {stage:?} failed"
    );
    Ok(())
}

fn event(id: RequestId, stage: Stage) -> anyhow::Result<LambdaEvent<SqsEvent>> {
    let body = serde_json::to_string(&Task::new(id, stage))?;
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
