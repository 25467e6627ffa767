//! Logins of registries in Secrets Manager.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use iib_ports::{AuthDocument, Clock, Secret};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::failure::source;

/// How long the secret is kept before it is read again.
const LIFE: SignedDuration = SignedDuration::from_mins(5);

/// A secret of Secrets Manager that holds what `podman login` writes.
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct AuthSecret {
    client: Client,
    id: String,
    clock: Arc<dyn Clock>,
    /// What was read, and until when it counts. Locked while it is read, so that calls at the same
    /// time read it once.
    known: Mutex<Option<(Timestamp, Secret)>>,
}

/// The secret has bytes and no text.
#[derive(Debug, thiserror::Error)]
#[error(
    "the secret {0} holds no text: put the content of an auth file into it with --secret-string"
)]
struct NoText(String);

impl AuthSecret {
    /// The secret with this name or ARN. Nothing is called yet.
    pub fn new(client: Client, id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            id: id.into(),
            clock,
            known: Mutex::default(),
        }
    }
}

#[async_trait]
impl AuthDocument for AuthSecret {
    fn name(&self) -> &str {
        &self.id
    }

    /// Needs `secretsmanager:GetSecretValue`. Secrets have 64 KiB at most.
    async fn read(&self) -> Result<Secret, Box<dyn Error + Send + Sync>> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((until, secret)) = &*known
            && *until > now
        {
            return Ok(secret.clone());
        }
        let answer = self.client.get_secret_value().secret_id(&self.id).send();
        let text = answer.await.map_err(source)?.secret_string;
        let secret = Secret::new(text.ok_or_else(|| NoText(self.id.clone()))?);
        *known = Some((now.saturating_add(LIFE)?, secret.clone()));
        Ok(secret)
    }
}
