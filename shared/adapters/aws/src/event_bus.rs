//! Telling a bus of EventBridge about requests.

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use iib_ports::{AnnounceError, Announcer};
use iib_request::{About, Destination, Message};
use serde_json::{Value, json};

use crate::failure::source;

/// Who sends the events, for rules.
const SOURCE: &str = "iib";
/// Most events of one call.
const EVENTS: usize = 10;
/// Largest call, bytes: 256 KB with what stands around the details.
const BYTES: usize = 240 * 1024;

/// A bus of EventBridge.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

/// The bus took not all events.
#[derive(Debug, thiserror::Error)]
#[error("the bus {bus} did not take {count} of the events: {reason}")]
struct NotTaken {
    bus: String,
    count: i32,
    reason: String,
}

impl EventBus {
    /// The bus with this name or ARN. Nothing is called yet.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { client, name }
    }

    async fn put(&self, details: Vec<(About, String)>) -> Result<(), AnnounceError> {
        let entries = details.into_iter().map(|(about, detail)| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(match about {
                    About::Request { .. } => "Build state change",
                    About::Batch => "Batch state change",
                })
                .detail(detail)
                .build()
        });
        let call = self
            .client
            .put_events()
            .set_entries(Some(entries.collect()));
        let answer = call.send().await.map_err(|error| failed(source(error)))?;
        let count = answer.failed_entry_count();
        if count == 0 {
            return Ok(());
        }
        let mut reasons = answer.entries().iter().filter_map(|entry| {
            let code = entry.error_code()?;
            Some(format!(
                "{code} {}",
                entry.error_message().unwrap_or_default()
            ))
        });
        Err(failed(Box::new(NotTaken {
            bus: self.name.clone(),
            count,
            reason: reasons.next().unwrap_or_default(),
        })))
    }
}

/// The event's detail: the document of the message, and what names it.
fn detail(message: &Message) -> String {
    let with_name = |body: Value| {
        let mut detail = body;
        detail["event_id"] = json!(message.event_id);
        detail.to_string()
    };
    let whole = with_name(message.body.clone());
    match whole.len() <= BYTES {
        true => whole,
        false => with_name(message.shortened()),
    }
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> AnnounceError {
    AnnounceError {
        destination: Destination::EventBus,
        is_known: false,
        source,
    }
}

#[async_trait]
impl Announcer for EventBus {
    fn destination(&self) -> Destination {
        Destination::EventBus
    }

    /// There is no connection to it that could be gone.
    async fn reach(&self) -> Result<(), AnnounceError> {
        Ok(())
    }

    /// Needs `events:PutEvents`.
    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        let (mut call, mut bytes) = (Vec::new(), 0);
        for message in messages {
            let detail = detail(message);
            if call.len() == EVENTS || (bytes + detail.len() > BYTES && !call.is_empty()) {
                self.put(std::mem::take(&mut call)).await?;
                bytes = 0;
            }
            bytes += detail.len();
            call.push((message.about, detail));
        }
        match call.is_empty() {
            true => Ok(()),
            false => self.put(call).await,
        }
    }
}
