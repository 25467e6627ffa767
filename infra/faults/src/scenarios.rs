//! Faults other than kills, each over one platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use async_trait::async_trait;
use futures::future::join_all;
use futures::{StreamExt, stream};
use iib_oci::{Digest, PullSpec};
use iib_pipeline::{Deps, prune};
use iib_ports::{ArtifactKey, ArtifactRoot, Delivery, PageQuery, Queue, QueueError};
use iib_request::{AddRequest, RequestId, Stage, State, Task};
use iib_testkit::crash::LastCall;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use crate::drive::{STAGES, bury, dying, invoke, record, submit, work};
use crate::platform::{From, Platform};
use crate::tally::Tally;

/// The tag that requests of the suite move.
pub(crate) const MOVED_TAG: &str = "newest";

/// What all scenarios share.
pub(crate) struct Scenarios<'a> {
    pub(crate) platform: &'a dyn Platform,
    pub(crate) request: &'a AddRequest,
    pub(crate) other: &'a AddRequest,
}

impl Scenarios<'_> {
    /// Runs those that every platform knows.
    pub(crate) async fn run(&self, tally: &mut Tally) -> anyhow::Result<()> {
        self.every_message_twice(tally)
            .await
            .context("every message twice")?;
        self.out_of_order(tally).await.context("out of order")?;
        self.fifty_at_once(tally).await.context("fifty at once")?;
        self.lost_send(tally).await.context("a lost send")?;
        self.a_message_that_dies(tally)
            .await
            .context("a message that dies")?;
        self.a_moved_tag(tally).await.context("a moved tag")?;
        self.a_test_event(tally).await.context("a test event")?;
        self.a_truncated_upload(tally)
            .await
            .context("a truncated upload")?;
        Ok(())
    }

    async fn total(&self, deps: &Deps) -> anyhow::Result<u64> {
        let first = PageQuery {
            page: 1,
            per_page: 1,
        };
        Ok(deps.requests.list(first).await?.total)
    }

    async fn every_message_twice(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let total = self.total(&process.deps).await?;
        let id = submit(&process.deps, self.request)
            .await
            .context("refused")?;
        loop {
            let mut idle = true;
            for stage in STAGES {
                while let Some(message) = self.platform.receive(From::Stage(stage)).await? {
                    idle = false;
                    for _ in 0..2 {
                        ensure!(invoke(&process.deps, stage, &message).await?, "{message:?}");
                    }
                    self.platform.delete(From::Stage(stage), &message).await?;
                }
            }
            if idle {
                break;
            }
        }
        tally
            .check("messages twice", &process.deps, id, None)
            .await?;
        tally
            .check_total("messages twice", &process.deps, total + 1)
            .await?;
        tally.faults += 1;
        Ok(())
    }

    async fn out_of_order(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let id = submit(&process.deps, self.request)
            .await
            .context("refused")?;
        // Those of later stages first, and all of them before anything was done.
        for stage in [Stage::Push, Stage::Mutate] {
            process.deps.queue.send(&Task::new(id, stage)).await?;
            let message = self.platform.receive(From::Stage(stage)).await?;
            let message = message.context("a message that was sent is not there")?;
            ensure!(invoke(&process.deps, stage, &message).await?, "{message:?}");
            self.platform
                .bring_back(From::Stage(stage), &message)
                .await?;
        }
        work(self.platform, &process.deps, None).await?;
        tally
            .check("messages out of order", &process.deps, id, None)
            .await?;
        tally.faults += 1;
        Ok(())
    }

    async fn fifty_at_once(&self, tally: &mut Tally) -> anyhow::Result<()> {
        const MANY: u64 = 50;
        let process = self.platform.start().await?;
        let total = self.total(&process.deps).await?;
        let calls = (0..MANY).map(|_| submit(&process.deps, self.request));
        let mut numbers = Vec::new();
        for id in join_all(calls).await {
            numbers.push(id.context("one was refused")?.0);
        }
        numbers.sort_unstable();
        let dense: Vec<u64> = (total + 1..=total + MANY).collect();
        if numbers != dense {
            tally.duplicated(&format!("fifty at once: {numbers:?}"));
        }
        // A delivery each for three stages, for all of them: in parts, as `work` has a limit.
        while !process.deps.requests.live(None, 1).await?.is_empty() {
            work(self.platform, &process.deps, None).await?;
        }
        for number in numbers {
            let id = RequestId(number);
            tally
                .check("fifty at once", &process.deps, id, None)
                .await?;
        }
        tally
            .check_total("fifty at once", &process.deps, total + MANY)
            .await?;
        tally.faults += 1;
        Ok(())
    }

    async fn lost_send(&self, tally: &mut Tally) -> anyhow::Result<()> {
        for lost in 0..STAGES.len() {
            let process = self.platform.start().await?;
            let swallowing = Deps {
                queue: Arc::new(Swallowing::after(lost, process.deps.queue.clone())),
                ..process.deps.clone()
            };
            let id = submit(&swallowing, self.request).await.context("refused")?;
            work(self.platform, &swallowing, None).await?;
            let stage = record(&process.deps, id).await?.stage;
            ensure!(stage != Stage::Done, "nothing was lost after {lost} sends");
            drop((swallowing, process));
            let seconds = i64::from(iib_request::WorkSettings::default().stage_timeout_seconds);
            self.platform
                .pass(SignedDuration::from_secs(2 * seconds + 1));
            let process = self.platform.start().await?;
            prune::run(&process.prune, None).await?;
            work(self.platform, &process.deps, None).await?;
            tally.check("a lost send", &process.deps, id, None).await?;
            tally.faults += 1;
        }
        Ok(())
    }

    /// A function that cannot even read the record, until the queue gives the message up.
    async fn a_message_that_dies(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let id = submit(&process.deps, self.request)
            .await
            .context("refused")?;
        let stage = From::Stage(Stage::Pin);
        let mut deliveries = 0;
        while let Some(message) = self.platform.receive(stage).await? {
            let (broken, _) = dying(&process.deps, 0, LastCall::Lost);
            ensure!(
                !invoke(&broken, Stage::Pin, &message).await?,
                "done by nobody"
            );
            self.platform.bring_back(stage, &message).await?;
            deliveries += 1;
            ensure!(deliveries < 200, "the queue never gives it up");
        }
        ensure!(bury(self.platform, &process).await? == 1, "no dead letter");
        let record = record(&process.deps, id).await?;
        if record.state() != State::Failed {
            tally.stuck += 1;
            tally
                .complaints
                .push(format!("a message died, request {id} goes on"));
        }
        tally.faults += 1;
        Ok(())
    }

    /// Messages of a finished request come again after another one has moved the tag on.
    async fn a_moved_tag(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let deps = &process.deps;
        let first = submit(deps, self.request).await.context("refused")?;
        work(self.platform, deps, None).await?;
        let newer = submit(deps, self.other).await.context("refused")?;
        work(self.platform, deps, None).await?;
        let digest = tally.check("a moved tag", deps, newer, None).await?;
        let before = record(deps, first).await?;
        for stage in STAGES {
            for _ in 0..2 {
                deps.queue.send(&Task::new(first, stage)).await?;
            }
        }
        work(self.platform, deps, None).await?;
        if record(deps, first).await? != before {
            tally.duplicated("late messages changed a finished request");
        }
        let image = before.outputs.index_image.context("no index image")?;
        let (repository, _) = image.rsplit_once(':').context("no tag")?;
        let tag: PullSpec = format!("{repository}:{MOVED_TAG}").parse()?;
        let there = deps.registry.manifest(&tag).await?.digest();
        if digest.as_deref() != Some(there.as_str()) {
            tally.duplicated(&format!("{tag} went back to {there}"));
        }
        tally.faults += 1;
        Ok(())
    }

    async fn a_test_event(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let total = self.total(&process.deps).await?;
        let document: Value = serde_json::from_str(include_str!("../../../events/s3-test.json"))?;
        let deps = process.deps.clone().into();
        iib_artifact::handle(&deps, LambdaEvent::new(document, Context::default())).await?;
        tally
            .check_total("a test event", &process.deps, total)
            .await?;
        tally.faults += 1;
        Ok(())
    }

    async fn a_truncated_upload(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        let deps = &process.deps;
        let id = submit(deps, self.request).await.context("refused")?;
        work(self.platform, deps, None).await?;
        let name = format!("uploads/{id}/logs/cut.log");
        let key: ArtifactKey = name.parse()?;
        let content = b"the first half".to_vec();
        let digest = Digest::of(&content);
        let content = stream::iter([Ok(content.into())]).boxed();
        deps.artifacts.put(&key, content).await?;
        let text = include_str!("../../../events/s3-upload.json");
        let mut document: Value = serde_json::from_str(text)?;
        let object = document
            .pointer_mut("/Records/0/s3/object")
            .context("no object in the document")?;
        *object = json!({"key": name, "size": 1000, "eTag": digest.hex(), "sequencer": "01"});
        let event = LambdaEvent::new(document, Context::default());
        iib_artifact::handle(&deps.clone().into(), event).await?;
        let kept = deps.artifacts.list(ArtifactRoot::Kept, Some(id), None, 10);
        let registered = kept
            .await?
            .into_iter()
            .find(|one| one.key.as_registered().is_some());
        if let Some(registered) = registered {
            tally.duplicated(&format!("half of an upload is {}", registered.key));
        }
        let result: ArtifactKey = format!("results/{name}.json").parse()?;
        if deps.artifacts.get(&result).await.is_err() {
            bail!("nobody was told of the truncated upload");
        }
        tally.faults += 1;
        Ok(())
    }

    /// A message that nobody can read, in front of a request's own.
    pub(crate) async fn a_poison_message(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let process = self.platform.start().await?;
        self.platform.send(Stage::Pin, "nonsense").await?;
        let id = submit(&process.deps, self.request)
            .await
            .context("refused")?;
        work(self.platform, &process.deps, None).await?;
        tally
            .check("a poison message", &process.deps, id, None)
            .await?;
        ensure!(bury(self.platform, &process).await? == 1, "no dead letter");
        tally.faults += 1;
        Ok(())
    }
}

/// A queue that says yes to one send and forgets it.
struct Swallowing {
    queue: Arc<dyn Queue>,
    before: std::sync::atomic::AtomicUsize,
    done: AtomicBool,
}

impl Swallowing {
    fn after(sends: usize, queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            before: sends.into(),
            done: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Queue for Swallowing {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        let step = |left: usize| left.checked_sub(1);
        let before = self
            .before
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        if before.is_err() && !self.done.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.queue.send(task).await
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.queue.put_off(delivery, delay).await
    }
}
