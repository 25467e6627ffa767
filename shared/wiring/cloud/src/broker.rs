//! The message broker, with what Secrets Manager has for it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use iib_amqp::{Broker, BrokerLogin, BrokerSettings, Listeners, TlsFiles};
use iib_edge::Messaging;
use iib_ports::{AnnounceError, Announcer, AuthDocument, Secret};
use iib_request::{Destination, Message};
use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::warn;

/// A broker whose certificates and login are read when it is first told something, and again when they
/// have changed.
pub(crate) struct SecretBroker {
    messaging: Messaging,
    secret: Option<Arc<dyn AuthDocument>>,
    /// Those who are told now.
    made: Mutex<Option<Made>>,
}

/// Those who are told, and the secret with which.
type Made = (Option<Secret>, Vec<Arc<Listeners>>);

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

    /// Those who are told: one for each address that the settings name.
    pub(crate) fn announcers(self) -> Vec<Arc<dyn Announcer>> {
        let [requests, batches] = self.messaging.destinations();
        let broker = Arc::new(self);
        let listeners = |destination| -> Arc<dyn Announcer> {
            Arc::new(SecretListeners {
                broker: broker.clone(),
                destination,
            })
        };
        let requests = requests.map(|_| listeners(Destination::BrokerRequests));
        let batches = batches.map(|_| listeners(Destination::BrokerBatches));
        requests.into_iter().chain(batches).collect()
    }

    async fn listeners(&self) -> Result<Vec<Arc<Listeners>>, Box<dyn Error + Send + Sync>> {
        let mut made = self.made.lock().await;
        let secret = match &self.secret {
            Some(secret) => match (secret.read().await, &*made) {
                (Ok(secret), _) => Some(secret),
                // What was read before is likely to be right still.
                (Err(error), Some((_, listeners))) => {
                    let error = iib_ports::chain(&*error);
                    warn!(
                        error,
                        "the secret of the message broker cannot be read anew"
                    );
                    return Ok(listeners.clone());
                }
                (Err(error), None) => return Err(error),
            },
            None => None,
        };
        if let Some((with, listeners)) = &*made
            && with.as_ref().map(Secret::expose) == secret.as_ref().map(Secret::expose)
        {
            return Ok(listeners.clone());
        }
        let broker = Broker::new(self.settings(secret.as_ref())?)?;
        let listeners = broker.listeners().into_iter();
        let listeners: Vec<_> = listeners.map(Arc::new).collect();
        *made = Some((secret, listeners.clone()));
        Ok(listeners)
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
            // A half of it is refused by whoever logs in with it.
            login: (document.user.is_some() || document.password.is_some()).then(|| BrokerLogin {
                user: document.user.unwrap_or_default(),
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

/// Those who listen at one of its addresses.
pub(crate) struct SecretListeners {
    broker: Arc<SecretBroker>,
    destination: Destination,
}

impl SecretListeners {
    /// Those who listen there now.
    async fn now(&self) -> Result<Arc<Listeners>, AnnounceError> {
        let failed = |source| AnnounceError {
            destination: self.destination,
            is_known: false,
            source,
        };
        let listeners = self.broker.listeners().await.map_err(failed)?;
        let ours = listeners
            .iter()
            .find(|to| to.destination() == self.destination);
        ours.cloned()
            .ok_or_else(|| failed("it has no address".into()))
    }
}

#[async_trait]
impl Announcer for SecretListeners {
    fn destination(&self) -> Destination {
        self.destination
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        self.now().await?.reach().await
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        self.now().await?.announce(messages).await
    }
}
