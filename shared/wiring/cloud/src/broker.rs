//! The message broker, with what Secrets Manager has for it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use iib_amqp::{Broker, BrokerLogin, BrokerSettings, TlsFiles};
use iib_edge::Messaging;
use iib_ports::{AnnounceError, Announcer, AuthDocument, Secret};
use iib_request::{Destination, Message};
use serde::Deserialize;
use tokio::sync::Mutex;

/// A broker whose certificates and login are read when it is first told something, and again when they
/// have changed.
pub(crate) struct SecretBroker {
    messaging: Messaging,
    secret: Option<Arc<dyn AuthDocument>>,
    /// The broker, and the secret that it was made with.
    made: Mutex<Option<(Option<Secret>, Arc<Broker>)>>,
}

/// The text of the secret.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    ca: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

impl SecretBroker {
    pub(crate) fn new(messaging: Messaging, secret: Option<Arc<dyn AuthDocument>>) -> Self {
        Self {
            messaging,
            secret,
            made: Mutex::default(),
        }
    }

    async fn broker(&self) -> Result<Arc<Broker>, AnnounceError> {
        let failed = |source| AnnounceError {
            destination: Destination::Broker,
            source,
        };
        let secret = match &self.secret {
            Some(secret) => Some(secret.read().await.map_err(failed)?),
            None => None,
        };
        let mut made = self.made.lock().await;
        if let Some((with, broker)) = &*made
            && with.as_ref().map(Secret::expose) == secret.as_ref().map(Secret::expose)
        {
            return Ok(broker.clone());
        }
        let settings = self.settings(secret.as_ref()).map_err(failed)?;
        let broker = Broker::new(settings).map_err(|error| failed(error.into()))?;
        let broker = Arc::new(broker);
        *made = Some((secret, broker.clone()));
        Ok(broker)
    }

    fn settings(
        &self,
        secret: Option<&Secret>,
    ) -> Result<BrokerSettings, Box<dyn Error + Send + Sync>> {
        let document: Document = match secret {
            // What is wrong is told without what stands there.
            Some(text) => serde_json::from_str(text.expose()).map_err(|error| {
                format!(
                    "the secret of the message broker is no such object: {}",
                    place(&error)
                )
            })?,
            None => Document::default(),
        };
        let bytes = |pem: Option<String>| pem.map(String::into_bytes);
        let [requests_to, batches_to] = self.messaging.destinations();
        Ok(BrokerSettings {
            urls: self.messaging.brokers(),
            requests_to,
            batches_to,
            durable: self.messaging.durable,
            timeout: self.messaging.timeout(),
            tls: TlsFiles {
                ca: bytes(document.ca),
                certificate: bytes(document.certificate),
                key: document.key.map(Secret::new),
            },
            login: document.user.map(|user| BrokerLogin {
                user,
                password: Secret::new(document.password.unwrap_or_default()),
            }),
        })
    }
}

fn place(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

#[async_trait]
impl Announcer for SecretBroker {
    fn destination(&self) -> Destination {
        Destination::Broker
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        self.broker().await?.reach().await
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        self.broker().await?.announce(messages).await
    }
}
