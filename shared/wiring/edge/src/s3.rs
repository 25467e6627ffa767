//! Events of buckets, as they come, or as a topic hands them on.

use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use iib_pipeline::artifact::ObjectCreated;
use iib_ports::{Class, Classify};
use serde_json::Value;

/// The event a bucket sends when its notifications are set up.
const TEST_EVENT: &str = "s3:TestEvent";

/// A document that is no event of a bucket, and hands none on.
#[derive(Debug, thiserror::Error)]
#[error("the event is none that a bucket sends")]
pub struct NoS3Event(#[from] serde_json::Error);

impl Classify for NoS3Event {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// The objects that an event says were created; none for other events of buckets.
///
/// # Errors
/// [`NoS3Event`].
pub fn created(event: Value) -> Result<Vec<ObjectCreated>, NoS3Event> {
    let records = event.get("Records").and_then(Value::as_array);
    let handed_on: Vec<&str> = (records.into_iter().flatten())
        .filter_map(|record| record.pointer("/Sns/Message")?.as_str())
        .collect();
    if handed_on.is_empty() {
        return of_bucket(event);
    }
    let mut objects = Vec::new();
    for message in handed_on {
        objects.extend(of_bucket(serde_json::from_str(message)?)?);
    }
    Ok(objects)
}

fn of_bucket(event: Value) -> Result<Vec<ObjectCreated>, NoS3Event> {
    if event.get("Event").and_then(Value::as_str) == Some(TEST_EVENT) {
        return Ok(Vec::new());
    }
    let event: S3Event = serde_json::from_value(event)?;
    Ok(event.records.into_iter().filter_map(object).collect())
}

fn object(record: S3EventRecord) -> Option<ObjectCreated> {
    let name = record.event_name.unwrap_or_default();
    // Emulators write it with the prefix that it has in settings.
    let name = name.strip_prefix("s3:").unwrap_or(&name);
    if !name.starts_with("ObjectCreated:") {
        return None;
    }
    let object = record.s3.object;
    let version = object.sequencer.or(object.version_id).or(object.e_tag);
    Some(ObjectCreated {
        bucket: record.s3.bucket.name.unwrap_or_default(),
        key: decode(&object.key.unwrap_or_default()),
        size: object.size.and_then(|size| u64::try_from(size).ok()),
        // Without any of them, two events at least differ in their time.
        version: version.unwrap_or_else(|| record.event_time.to_string()),
        // As it stands there, with `AWS:` before it: so it is taken for no user of the API.
        principal: (record.principal_id.principal_id).filter(|principal| !principal.is_empty()),
    })
}

/// A key as events have it: encoded like the value of a form. What is no encoding stays as it is;
/// bytes that are no text make a name that cannot be used.
fn decode(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str) -> Value {
        serde_json::from_str(name).unwrap()
    }

    #[test]
    fn keys_are_decoded() {
        for (key, name) in [
            ("inbox/a.json", "inbox/a.json"),
            ("inbox/one+two%2B.json", "inbox/one two+.json"),
            ("inbox%2Fteam%2fa.json", "inbox/team/a.json"),
            ("inbox/%C5%BElut%C3%BD.json", "inbox/žlutý.json"),
            ("inbox/100%", "inbox/100%"),
            ("inbox/%zz%4", "inbox/%zz%4"),
        ] {
            assert_eq!(decode(key), name);
        }
    }

    #[test]
    fn an_event_tells_what_was_created() {
        let event = event(include_str!("../../../../events/s3-request.json"));
        let expected = ObjectCreated {
            bucket: "iib-artifacts".to_owned(),
            key: "inbox/team a/lantern.json".to_owned(),
            size: Some(152),
            version: "0067453A1C9E0F1A2B".to_owned(),
            principal: Some("AWS:AIDAIENQZJOLO23YVJ4VO".to_owned()),
        };
        assert_eq!(created(event).unwrap(), [expected]);
    }

    #[test]
    fn a_topic_hands_events_on_as_they_are() {
        let bucket = event(include_str!("../../../../events/s3-request.json"));
        let mut topic = event(include_str!("../../../../events/sns-request.json"));
        assert_eq!(created(topic.clone()).unwrap(), created(bucket).unwrap());
        let message = topic.pointer_mut("/Records/0/Sns/Message").unwrap();
        *message = json!(include_str!("../../../../events/s3-test.json"));
        assert_eq!(created(topic.clone()).unwrap(), []);
        *topic.pointer_mut("/Records/0/Sns/Message").unwrap() = json!("hello");
        assert_eq!(created(topic).unwrap_err().class(), Class::Bug);
    }

    #[test]
    fn other_events_tell_of_nothing_and_other_documents_are_refused() {
        let test = event(include_str!("../../../../events/s3-test.json"));
        assert_eq!(created(test).unwrap(), []);
        let mut removed = event(include_str!("../../../../events/s3-upload.json"));
        removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
        assert_eq!(created(removed).unwrap(), []);
        for document in [json!({}), json!([]), json!({"Records": [{}]})] {
            assert_eq!(created(document).unwrap_err().class(), Class::Bug);
        }
    }
}
