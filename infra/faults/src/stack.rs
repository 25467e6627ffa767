//! The stack: what `template.yaml` made in an emulator, its queues received from by hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use async_trait::async_trait;
use aws_config::BehaviorVersion;
use iib_aws::Clients;
use iib_cloud::Cloud;
use iib_edge::Config;
use iib_local::LogGauges;
use iib_pipeline::prune::PruneDeps;
use iib_ports::{Clock, SystemClock};
use iib_request::Stage;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::platform::{From, Message, Platform, Process};

/// The machine's clock, put forward.
#[derive(Default)]
struct Ahead {
    seconds: AtomicI64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.seconds.load(Ordering::SeqCst));
        let now = SystemClock.now();
        now.saturating_add(ahead).unwrap_or(now)
    }
}

/// A deployed stack whose functions nothing calls.
pub(crate) struct EmulatedStack {
    config: Config,
    outputs: BTreeMap<String, String>,
    sqs: aws_sdk_sqs::Client,
    clients: Clients,
    clock: Arc<Ahead>,
}

impl EmulatedStack {
    /// The stack with these outputs, at an endpoint: the emulator's, or a proxy in front of it.
    pub(crate) async fn new(
        outputs: &Path,
        endpoint: &str,
        registry: &str,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(outputs)
            .with_context(|| format!("{} cannot be read", outputs.display()))?;
        let outputs: Value = serde_json::from_str(&text)?;
        let outputs: BTreeMap<String, String> = serde_json::from_value(outputs)?;
        let output = |name: &str| outputs.get(name).cloned().context("an output is missing");
        let scratch = std::env::temp_dir().to_string_lossy().into_owned();
        let environment = BTreeMap::from(
            [
                ("IIB_TABLE", output("TableName")?),
                ("IIB_BUCKET", output("BucketName")?),
                ("IIB_PIN_QUEUE_URL", output("PinQueueUrl")?),
                ("IIB_MUTATE_QUEUE_URL", output("MutateQueueUrl")?),
                ("IIB_PUSH_QUEUE_URL", output("PushQueueUrl")?),
                ("IIB_SECRET_KEY", output("SecretKeyArn")?),
                ("IIB_REGISTRY", registry.to_owned()),
                ("IIB_INSECURE_REGISTRIES", registry.to_owned()),
                ("IIB_SCRATCH", scratch),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let settings = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(endpoint);
        let clients = Clients::with(settings.load().await);
        Ok(Self {
            config: Config::load(None, &environment)?,
            sqs: clients.sqs(),
            outputs,
            clients,
            clock: Arc::default(),
        })
    }

    fn url(&self, from: From) -> anyhow::Result<&str> {
        let output = match from {
            From::Stage(Stage::Pin) => "PinQueueUrl",
            From::Stage(Stage::Mutate) => "MutateQueueUrl",
            From::Stage(Stage::Push) => "PushQueueUrl",
            From::Stage(Stage::Queued | Stage::Done) => anyhow::bail!("a stage without a queue"),
            From::DeadLetters => "DeadLetterQueueUrl",
        };
        let url = self.outputs.get(output);
        Ok(url.with_context(|| format!("no {output}"))?)
    }
}

#[async_trait]
impl Platform for EmulatedStack {
    fn name(&self) -> &'static str {
        "the stack"
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let cloud = Cloud::over(
            self.config.clone(),
            self.clients.clone(),
            self.clock.clone(),
        );
        let prune = PruneDeps {
            // Figures go to standard output there, which here belongs to the report.
            gauges: Arc::new(LogGauges),
            ..cloud.prune()?
        };
        Ok(Process {
            deps: cloud.stage()?,
            prune,
        })
    }

    fn pass(&self, time: SignedDuration) {
        self.clock
            .seconds
            .fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    async fn receive(&self, from: From) -> anyhow::Result<Option<Message>> {
        let received = self.sqs.receive_message().queue_url(self.url(from)?);
        let received = received.visibility_timeout(3600).send().await?;
        let message = received.messages.unwrap_or_default().into_iter().next();
        Ok(message.map(|message| Message {
            id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        }))
    }

    async fn delete(&self, from: From, message: &Message) -> anyhow::Result<()> {
        let delete = self.sqs.delete_message().queue_url(self.url(from)?);
        delete.receipt_handle(&message.receipt).send().await?;
        Ok(())
    }

    async fn bring_back(&self, from: From, message: &Message) -> anyhow::Result<()> {
        let change = self.sqs.change_message_visibility();
        let change = change.queue_url(self.url(from)?).visibility_timeout(0);
        change.receipt_handle(&message.receipt).send().await?;
        Ok(())
    }

    async fn send(&self, stage: Stage, body: &str) -> anyhow::Result<()> {
        let send = self.sqs.send_message();
        let send = send.queue_url(self.url(From::Stage(stage))?);
        send.message_body(body).send().await?;
        Ok(())
    }
}
