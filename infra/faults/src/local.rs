//! Local mode: one data folder, owned by one process after the other.

use std::collections::BTreeMap;

use anyhow::Context as _;
use async_trait::async_trait;
use iib_edge::Config;
use iib_embedded::SqliteQueue;
use iib_local::Local;
use iib_pipeline::prune;
use iib_ports::Queue as _;
use iib_request::{Stage, Task};
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::platform::{From, Message, Platform, Process};

/// How long a message is hidden: longer than the suite takes.
const HIDDEN: SignedDuration = SignedDuration::from_hours(1);

/// The stores of a data folder.
pub(crate) struct LocalMode {
    folder: TempDir,
    config: Config,
    /// The queue of the process that owns the folder now.
    queue: Mutex<Option<SqliteQueue>>,
}

impl LocalMode {
    /// An empty folder, with this registry.
    pub(crate) fn new(registry: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let environment = BTreeMap::from(
            [
                ("IIB_DATA_FOLDER", &*folder.path().to_string_lossy()),
                ("IIB_REGISTRY", registry),
                ("IIB_INSECURE_REGISTRIES", registry),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        Ok(Self {
            config: Config::load(None, &environment)?,
            folder,
            queue: Mutex::new(None),
        })
    }

    async fn queue(&self) -> anyhow::Result<SqliteQueue> {
        let queue = self.queue.lock().await.clone();
        queue.with_context(|| format!("nobody owns {}", self.folder.path().display()))
    }
}

#[async_trait]
impl Platform for LocalMode {
    fn name(&self) -> &'static str {
        "local mode"
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let mut queue = self.queue.lock().await;
        // The dead process holds nothing any more.
        *queue = None;
        let local = Local::open(&self.config)?;
        // As `iib serve` does when it starts.
        prune::sweep(&local.prune, SignedDuration::ZERO).await?;
        *queue = Some(local.queue.clone());
        Ok(Process {
            deps: local.deps,
            prune: local.prune,
        })
    }

    /// A new owner of the folder frees what the old one held; nothing waits for time here.
    fn pass(&self, _time: SignedDuration) {}

    async fn receive(&self, from: From) -> anyhow::Result<Option<Message>> {
        let queue = self.queue().await?;
        match from {
            From::Stage(stage) => {
                let received = queue.receive(stage, 1, HIDDEN).await?.into_iter().next();
                Ok(received.map(|message| Message {
                    id: message.message_id,
                    receipt: message.receipt_handle,
                    body: message.body,
                }))
            }
            From::DeadLetters => {
                let letter = queue.dead_letters(1).await?.into_iter().next();
                Ok(letter.map(|letter| Message {
                    id: letter.message_id.clone(),
                    receipt: letter.message_id,
                    body: letter.body,
                }))
            }
        }
    }

    async fn delete(&self, from: From, message: &Message) -> anyhow::Result<()> {
        let queue = self.queue().await?;
        match from {
            From::Stage(_) => {
                queue.delete(&message.receipt).await?;
            }
            From::DeadLetters => {
                for letter in queue.dead_letters(u32::MAX).await? {
                    if letter.message_id == message.id {
                        queue.delete_dead_letter(&letter).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn bring_back(&self, from: From, message: &Message) -> anyhow::Result<()> {
        if matches!(from, From::Stage(_)) {
            let queue = self.queue().await?;
            queue
                .return_after(&message.receipt, SignedDuration::ZERO)
                .await?;
        }
        Ok(())
    }

    async fn send(&self, stage: Stage, body: &str) -> anyhow::Result<()> {
        let queue = self.queue().await?;
        match serde_json::from_str::<Task>(body) {
            Ok(task) => queue.send(&task).await?,
            // The local queue takes tasks only, so what nobody can read cannot come into it.
            Err(_) => anyhow::bail!("the queue of {stage} takes tasks only"),
        }
        Ok(())
    }
}
