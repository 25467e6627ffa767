//! Local mode: one data folder, owned by one process after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use iib_edge::Config;
use iib_embedded::SqliteQueue;
use iib_local::Local;
use iib_pipeline::prune;
use iib_request::Stage;
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::clock::Ahead;
use crate::platform::{From, Message, Platform, Process};

/// How long a message is hidden: longer than the suite takes.
const HIDDEN: SignedDuration = SignedDuration::from_hours(1000);

/// Longer than any handler puts a message off.
const PUT_OFF: SignedDuration = SignedDuration::from_mins(10);

/// As in `iib-local`.
const MAX_RECEIVE_COUNT: u32 = 50;

/// The stores of a data folder.
pub(crate) struct LocalMode {
    folder: TempDir,
    config: Config,
    clock: Arc<Ahead>,
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
            clock: Arc::default(),
            queue: Mutex::new(None),
        })
    }

    async fn queue(&self) -> anyhow::Result<SqliteQueue> {
        let queue = self.queue.lock().await.clone();
        queue.with_context(|| format!("nobody owns {}", self.folder.path().display()))
    }

    /// The ports of a process, with the suite's clock in place of the machine's.
    fn open(&self) -> anyhow::Result<Local> {
        let mut local = Local::open(&self.config)?;
        local.queue = local.folder.queue(self.clock.clone(), MAX_RECEIVE_COUNT);
        local.deps.clock = self.clock.clone();
        local.deps.queue = Arc::new(local.queue.clone());
        local.deps.secrets = Arc::new(local.folder.secrets(self.clock.clone()));
        local.prune.clock = local.deps.clock.clone();
        local.prune.queue = local.deps.queue.clone();
        local.prune.secrets = local.deps.secrets.clone();
        Ok(local)
    }
}

#[async_trait]
impl Platform for LocalMode {
    fn name(&self) -> &'static str {
        "local mode"
    }

    fn has_many_processes(&self) -> bool {
        false
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let mut queue = self.queue.lock().await;
        // The dead process holds nothing any more.
        *queue = None;
        let local = self.open()?;
        // As `iib serve` does when it starts.
        prune::sweep(&local.prune, SignedDuration::ZERO).await?;
        *queue = Some(local.queue.clone());
        Ok(Process {
            deps: local.deps,
            listing: local.listing,
            prune: local.prune,
        })
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.pass(time);
    }

    async fn receive(&self, from: From) -> anyhow::Result<Option<Message>> {
        let queue = self.queue().await?;
        match from {
            From::Stage(stage) => {
                let received = queue.receive(stage, 1, HIDDEN).await?.into_iter().next();
                Ok(received.map(|message| Message {
                    id: message.message_id,
                    receipt: message.receipt_handle,
                    body: message.body,
                    deliveries: message.receive_count,
                }))
            }
            From::DeadLetters => {
                let letter = queue.dead_letters(1).await?.into_iter().next();
                Ok(letter.map(|letter| Message {
                    id: letter.message_id.clone(),
                    receipt: letter.message_id,
                    body: letter.body,
                    deliveries: letter.receive_count,
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
            let held = queue.return_after(&message.receipt, SignedDuration::ZERO);
            // Its handler has put it off, or it came free with the process that held it.
            if !held.await? {
                self.pass(PUT_OFF);
            }
        }
        Ok(())
    }

    /// These queues take tasks only, so what nobody can read cannot come into them.
    async fn send_text(&self, _stage: Stage, _body: &str) -> anyhow::Result<bool> {
        Ok(false)
    }
}
