//! The stack: resources in an emulator, queues received from by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use iib_aws::Clients;
use iib_cloud::Cloud;
use iib_edge::Config;
use iib_request::Stage;
use jiff::SignedDuration;

use crate::clock::Ahead;
use crate::platform::{From, Message, Platform, Process};
use crate::resources::Resources;

/// How long a message is hidden, seconds: longer than the suite takes.
const HIDDEN: i32 = 12 * 60 * 60;

/// Clients of an emulator, whatever the environment says: this must never reach AWS itself.
async fn clients_at(endpoint: &str) -> Clients {
    let settings = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint);
    Clients::with(settings.load().await)
}

/// Resources that no function is called by.
pub(crate) struct EmulatedStack {
    config: Config,
    resources: Resources,
    sqs: aws_sdk_sqs::Client,
    clients: Clients,
    clock: Arc<Ahead>,
}

impl EmulatedStack {
    /// The resources at an endpoint: the emulator's, or a proxy in front of it.
    pub(crate) async fn new(
        resources: Resources,
        endpoint: &str,
        registry: &str,
    ) -> anyhow::Result<Self> {
        let scratch = std::env::temp_dir().to_string_lossy().into_owned();
        let environment = BTreeMap::from(
            [
                ("IIB_TABLE", &*resources.table),
                ("IIB_BUCKET", &*resources.bucket),
                ("IIB_PIN_QUEUE_URL", &*resources.pin),
                ("IIB_MUTATE_QUEUE_URL", &*resources.mutate),
                ("IIB_PUSH_QUEUE_URL", &*resources.push),
                ("IIB_SECRET_KEY", &*resources.secret_key),
                ("IIB_REGISTRY", registry),
                ("IIB_INSECURE_REGISTRIES", registry),
                ("IIB_SCRATCH", &*scratch),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let clients = clients_at(endpoint).await;
        Ok(Self {
            config: Config::load(None, &environment)?,
            sqs: clients.sqs(),
            resources,
            clients,
            clock: Arc::default(),
        })
    }

    fn url(&self, from: From) -> anyhow::Result<&str> {
        Ok(match from {
            From::Stage(Stage::Pin) => &self.resources.pin,
            From::Stage(Stage::Mutate) => &self.resources.mutate,
            From::Stage(Stage::Push) => &self.resources.push,
            From::Stage(Stage::Queued | Stage::Done) => anyhow::bail!("a stage without a queue"),
            From::DeadLetters => &self.resources.dead_letters,
        })
    }
}

#[async_trait]
impl Platform for EmulatedStack {
    fn name(&self) -> &'static str {
        "the stack"
    }

    fn has_many_processes(&self) -> bool {
        true
    }

    async fn start(&self) -> anyhow::Result<Process> {
        let cloud = Cloud::over(
            self.config.clone(),
            self.clients.clone(),
            self.clock.clone(),
            // Figures go to standard output there, which here belongs to the report.
            Arc::new(iib_ports::NoFigures),
        );
        Ok(Process {
            deps: cloud.stage()?,
            listing: cloud.listing(),
            prune: cloud.prune()?,
        })
    }

    fn pass(&self, time: SignedDuration) {
        self.clock.pass(time);
    }

    async fn receive(&self, from: From) -> anyhow::Result<Option<Message>> {
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let received = self
            .sqs
            .receive_message()
            .queue_url(self.url(from)?)
            .visibility_timeout(HIDDEN)
            .message_system_attribute_names(count.clone())
            .send()
            .await?;
        let message = received.messages.unwrap_or_default().into_iter().next();
        Ok(message.map(|message| {
            let attributes = message.attributes.unwrap_or_default();
            let deliveries = attributes.get(&count);
            Message {
                id: message.message_id.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                deliveries: deliveries.and_then(|text| text.parse().ok()).unwrap_or(1),
            }
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

    async fn send_text(&self, stage: Stage, body: &str) -> anyhow::Result<bool> {
        let send = self.sqs.send_message();
        let send = send.queue_url(self.url(From::Stage(stage))?);
        send.message_body(body).send().await?;
        Ok(true)
    }
}
