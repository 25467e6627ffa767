//! Messages in the form of AMQP.

use fe2o3_amqp::types::messaging::message::Builder;
use fe2o3_amqp::types::messaging::{
    AmqpValue, ApplicationProperties, Header, Message as Document, MessageId, Properties,
};
use fe2o3_amqp::types::primitives::{SimpleValue, Symbol};
use iib_request::Message;
use serde_json::Value;
use uuid::Uuid;

/// The document of a message: text in JSON, and what stands beside it (spec rest-api §10).
pub(crate) fn document(message: &Message, durable: bool) -> Document<AmqpValue<String>> {
    // The same each time it is told, so that whoever gets it twice can know.
    let name = Uuid::new_v5(
        &Uuid::NAMESPACE_URL,
        format!("iib:{}", message.event_id).as_bytes(),
    );
    let properties = Properties {
        message_id: Some(MessageId::String(message.event_id.clone())),
        correlation_id: Some(MessageId::String(name.to_string())),
        content_type: Some(Symbol::from("application/json")),
        ..Properties::default()
    };
    let mut beside = ApplicationProperties::builder();
    for (name, value) in message.properties() {
        beside = beside.insert(name, simple(&value));
    }
    let header = Header {
        durable,
        ..Header::default()
    };
    Builder::new()
        .header(header)
        .properties(properties)
        .application_properties(beside.build())
        .value(message.body.to_string())
        .build()
}

fn simple(value: &Value) -> SimpleValue {
    match value {
        Value::Null => SimpleValue::Null,
        Value::Bool(flag) => SimpleValue::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => SimpleValue::Long(number),
            None => SimpleValue::String(number.to_string()),
        },
        Value::String(text) => SimpleValue::String(text.clone()),
        Value::Array(_) | Value::Object(_) => SimpleValue::String(value.to_string()),
    }
}
