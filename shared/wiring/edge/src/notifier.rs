//! Telling changes of requests to the process's log.

use async_trait::async_trait;
use iib_ports::Notifier;
use iib_request::{Record, Update};
use tracing::info;

/// Writes every change to the process's log.
#[derive(Debug, Clone, Copy)]
pub struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn updated(&self, record: &Record, update: &Update) {
        if let Some(new) = &update.state {
            let (state, reason) = (new.state, &new.state_reason);
            info!(request.id = record.id.0, %state, reason, "request changed");
        }
    }
}
