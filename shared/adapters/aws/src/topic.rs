//! Telling a topic of SNS about requests.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use iib_ports::{AnnounceError, Announcer};
use iib_request::{About, Destination, Message};
use serde_json::Value;

use crate::failure::source;

/// Largest text, bytes: 256 KB with the attributes.
const BYTES: usize = 250 * 1024;

/// A topic of SNS. One of the kind FIFO keeps the messages of each batch in order.
#[derive(Debug, Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN. Nothing is called yet.
    pub fn new(client: Client, arn: impl Into<String>) -> Self {
        let arn = arn.into();
        Self { client, arn }
    }

    async fn publish(&self, message: &Message) -> Result<(), AnnounceError> {
        let whole = message.body.to_string();
        let text = match whole.len() <= BYTES {
            true => whole,
            false => message.shortened().to_string(),
        };
        let mut call = self.client.publish().topic_arn(&self.arn).message(text);
        for (name, value) in attributes(message) {
            call = call.message_attributes(name, attribute(value).map_err(failed)?);
        }
        if self.arn.ends_with(".fifo") {
            call = call
                .message_group_id(message.batch.to_string())
                .message_deduplication_id(&message.event_id);
        }
        let published = call.send().await;
        published.map(drop).map_err(|error| failed(source(error)))
    }
}

/// What subscriptions filter by; what is null is left out.
fn attributes(message: &Message) -> Vec<(&'static str, Value)> {
    let mut attributes = message.properties();
    if let About::Request { kind, .. } = message.about {
        attributes.push(("request_type", kind.into()));
    }
    attributes.push(("event_id", message.event_id.clone().into()));
    // An attribute must not be empty.
    attributes.retain(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    attributes
}

fn attribute(
    value: Value,
) -> Result<MessageAttributeValue, Box<dyn std::error::Error + Send + Sync>> {
    let (data_type, text) = match value {
        Value::String(text) => ("String", text),
        other => ("Number", other.to_string()),
    };
    let built = MessageAttributeValue::builder()
        .data_type(data_type)
        .string_value(text)
        .build();
    built.map_err(Into::into)
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> AnnounceError {
    AnnounceError {
        destination: Destination::Topic,
        is_known: false,
        source,
    }
}

#[async_trait]
impl Announcer for Topic {
    fn destination(&self) -> Destination {
        Destination::Topic
    }

    /// There is no connection to it that could be gone.
    async fn reach(&self) -> Result<(), AnnounceError> {
        Ok(())
    }

    /// Needs `sns:Publish`.
    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        for message in messages {
            self.publish(message).await?;
        }
        Ok(())
    }
}
