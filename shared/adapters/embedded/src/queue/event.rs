//! The event document a function gets for a batch of messages.

use iib_request::Stage;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::Received;

/// Where the messages seem to come from; there is no account and no region.
const REGION: &str = "local";
const ACCOUNT: &str = "000000000000";

/// Builds the event in the shape SQS sends to Lambda, so that a function cannot tell the
/// difference (AWS Lambda developer guide, "Using Lambda with Amazon SQS").
pub(super) fn sqs_event(stage: Stage, messages: &[Received]) -> Value {
    let records: Vec<Value> = messages
        .iter()
        .map(|one| record(stage.as_str(), one))
        .collect();
    json!({ "Records": records })
}

/// The name AWS would have for a queue.
pub(super) fn queue_arn(queue: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
}

/// One message of a queue.
pub(super) fn record(queue: &str, message: &Received) -> Value {
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receive_count.to_string(),
            "ApproximateFirstReceiveTimestamp":
                message.first_received_at.as_millisecond().to_string(),
            "SenderId": ACCOUNT,
            "SentTimestamp": message.sent_at.as_millisecond().to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": hex::encode(Md5::digest(message.body.as_bytes())),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(queue),
        "awsRegion": REGION,
    })
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::sqs::SqsEvent;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_event_has_what_sqs_sends() {
        let message = Received {
            message_id: "m".to_owned(),
            receipt_handle: "r".to_owned(),
            body: "hello".to_owned(),
            receive_count: 2,
            sent_at: Timestamp::from_millisecond(1_500).unwrap(),
            first_received_at: Timestamp::from_millisecond(2_500).unwrap(),
        };
        let event = sqs_event(Stage::Mutate, &[message]);
        let read: SqsEvent = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(
            serde_json::to_value(read).unwrap()["Records"][0]["body"],
            "hello"
        );
        assert_eq!(
            event,
            json!({"Records": [{
                "messageId": "m",
                "receiptHandle": "r",
                "body": "hello",
                "attributes": {
                    "ApproximateReceiveCount": "2",
                    "ApproximateFirstReceiveTimestamp": "2500",
                    "SenderId": "000000000000",
                    "SentTimestamp": "1500",
                },
                "messageAttributes": {},
                "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:local:000000000000:mutate",
                "awsRegion": "local",
            }]})
        );
    }
}
