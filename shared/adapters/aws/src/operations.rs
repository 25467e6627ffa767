//! Every call as a log line and as a span of traces.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
    FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use iib_ports::TRACE;
use serde_json::{Map, Value};
use tracing::{Span, field, info_span};

use crate::table::PK;

/// Writes a line for each attempt of a call at level DEBUG, target `iib_aws::operations`, with
/// the service and the operation, for S3 the folder of the bucket, and for DynamoDB the index or the
/// kinds of partition keys. `RUST_LOG=iib_aws::operations=debug` shows what a function
/// does; the stack test holds it against what the function may do. For traces a call is a span, with all its attempts.
#[derive(Debug)]
pub(crate) struct TraceOperations;

impl Intercept for TraceOperations {
    fn name(&self) -> &'static str {
        "TraceOperations"
    }

    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(span) = settings.load::<Metadata>().map(traced) {
            settings.interceptor_state().store_put(Traced(span));
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Traced(span)) = settings.load::<Traced>() else {
            return Ok(());
        };
        if let Some(response) = context.response() {
            let status = i64::from(response.status().as_u16());
            span.record("http.response.status_code", status);
            if let Some(id) = response.headers().get("x-amzn-requestid") {
                span.record("aws.request_id", id);
            }
        }
        if let Some(Err(error)) = context.output_or_error() {
            let kind = match error.is_operation_error() {
                true => "answer",
                false => "connection",
            };
            span.record("error.type", kind);
            span.record("otel.status_code", "ERROR");
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(called) = settings.load::<Metadata>() {
            let (service, operation) = (called.service(), called.name());
            let folder = match service {
                "S3" => folder(context.request().uri()),
                _ => None,
            };
            // Looked for only where somebody reads it.
            let keys = match service {
                "DynamoDB" if tracing::enabled!(tracing::Level::DEBUG) => {
                    let body = context.request().body().bytes().unwrap_or_default();
                    Some(keys(&serde_json::from_slice(body).unwrap_or_default()))
                }
                _ => None,
            };
            tracing::debug!(service, operation, folder, keys, "call");
        }
        Ok(())
    }
}

/// The span of a call, for as long as it goes on.
#[derive(Debug)]
struct Traced(Span);

impl Storable for Traced {
    type Storer = StoreReplace<Self>;
}

fn traced(called: &Metadata) -> Span {
    let (service, operation) = (called.service(), called.name());
    info_span!(
        target: TRACE,
        "operation",
        otel.name = format!("{service}.{operation}"),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system = "aws-api",
        rpc.service = service,
        rpc.method = operation,
        http.response.status_code = field::Empty,
        aws.request_id = field::Empty,
        error.type = field::Empty,
    )
}

/// The folders of the bucket; rights are granted by them.
const FOLDERS: [&str; 6] = ["inbox", "uploads", "results", "work", "kept", "records"];

/// The folder that an S3 call is about: the first part of the key, or of the prefix of a listing.
/// The bucket stands before it in the path, or in the host's name.
fn folder(uri: &str) -> Option<&'static str> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let prefix = query.split('&').find_map(|one| one.strip_prefix("prefix="));
    let parts: Vec<&str> = match prefix {
        Some(prefix) => prefix.split("%2F").take(1).collect(),
        None => path.split('/').take(3).collect(),
    };
    let known = |name: &&&str| parts.contains(*name);
    FOLDERS.iter().find(known).copied()
}

/// What a call of DynamoDB is about, as roles are granted it: the kinds of its partition keys, which is what
/// stands before the `#`, or the index that is asked.
fn keys(call: &Value) -> String {
    if let Some(index) = call["IndexName"].as_str() {
        return format!("index/{index}");
    }
    let mut kinds = BTreeSet::new();
    if let Some(condition) = call["KeyConditionExpression"].as_str() {
        // The partition key stands first in it: `name = :value`.
        let name = condition.split_whitespace().nth(2).unwrap_or_default();
        kinds.extend(kind(&call["ExpressionAttributeValues"][name]));
    } else {
        collect(call, &mut kinds);
    }
    kinds.into_iter().collect::<Vec<_>>().join(",")
}

/// The kinds of all items and keys in a call.
fn collect<'a>(part: &'a Value, kinds: &mut BTreeSet<&'a str>) {
    match part {
        Value::Object(members) => match of_item(members) {
            Some(found) => drop(kinds.insert(found)),
            None => members.values().for_each(|part| collect(part, kinds)),
        },
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, kinds)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of_item(members: &Map<String, Value>) -> Option<&str> {
    members.get(PK).and_then(kind)
}

/// A partition key without what tells it from others of its kind.
fn kind(value: &Value) -> Option<&str> {
    let key = value["S"].as_str()?;
    Some(key.find('#').map_or(key, |end| &key[..=end]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use serde_json::json;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;
    use crate::Clients;

    /// The fields of the spans of calls, as they came.
    #[derive(Debug, Clone, Default)]
    struct Seen(Arc<Mutex<BTreeMap<String, String>>>);

    impl Visit for Seen {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let mut seen = self.0.lock().unwrap();
            seen.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    impl<S: tracing::Subscriber> Layer<S> for Seen {
        fn on_new_span(&self, span: &Attributes<'_>, _id: &Id, _context: Context<'_, S>) {
            if span.metadata().target() == TRACE {
                span.record(&mut self.clone());
            }
        }

        fn on_record(&self, _id: &Id, values: &Record<'_>, _context: Context<'_, S>) {
            values.record(&mut self.clone());
        }
    }

    /// Time goes on by itself here: the SDK waits between its attempts.
    #[tokio::test(start_paused = true)]
    async fn a_call_is_a_span_that_says_how_it_ended() {
        let seen = Seen::default();
        let subscriber = tracing_subscriber::registry().with(seen.clone());
        let _here = tracing::subscriber::set_default(subscriber);
        // A port that nobody listens at any more.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let keys = Credentials::new("id", "secret-key", None, None, "test");
        let settings = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(format!("http://{address}"))
            .build();
        let call = Clients::with(settings).dynamodb().describe_table();
        assert!(call.table_name("secret-name").send().await.is_err());
        let seen = seen.0.lock().unwrap();
        for (field, value) in [
            ("otel.name", "DynamoDB.DescribeTable"),
            ("otel.kind", "client"),
            ("otel.status_code", "ERROR"),
            ("rpc.system", "aws-api"),
            ("rpc.service", "DynamoDB"),
            ("rpc.method", "DescribeTable"),
            ("error.type", "connection"),
        ] {
            let found = seen.get(field).map(|text| text.trim_matches('"'));
            assert_eq!(found, Some(value), "{field}: {seen:?}");
        }
        assert!(!format!("{seen:?}").contains("secret"), "{seen:?}");
    }

    #[test]
    fn the_kinds_of_keys_of_a_call_are_told() {
        let item = |key: &str| json!({"pk": {"S": key}, "sk": {"S": "x"}, "map": {"M": {}}});
        for (call, expected) in [
            (json!({"Key": item("REQUEST#7")}), "REQUEST#"),
            (json!({"Item": item("COUNTER")}), "COUNTER"),
            (
                json!({"TransactItems": [
                    {"Put": {"TableName": "t", "Item": item("REQUEST#7")}},
                    {"Update": {"Key": item("COUNT#state#complete")}},
                    {"Update": {"Key": item("COUNT#user#lea")}},
                ]}),
                "COUNT#,REQUEST#",
            ),
            (
                json!({"RequestItems": {"t": [{"PutRequest": {"Item": item("IMAGES")}}]}}),
                "IMAGES",
            ),
            (
                json!({"RequestItems": {"t": {"Keys": [item("LOG#1"), item("LOG#2")]}}}),
                "LOG#",
            ),
            (
                json!({
                    "KeyConditionExpression": "#pk = :pk AND begins_with(#sk, :prefix)",
                    "ExpressionAttributeValues": {":pk": {"S": "LINE#a"}, ":prefix": {"S": "WAITS#"}},
                }),
                "LINE#",
            ),
            (
                json!({"IndexName": "by_user", "KeyConditionExpression": "#u = :u"}),
                "index/by_user",
            ),
            (json!(null), ""),
        ] {
            assert_eq!(keys(&call), expected, "{call}");
        }
    }

    #[test]
    fn the_folder_of_a_call_is_told() {
        for (uri, expected) in [
            (
                "http://127.0.0.1:4566/bucket/kept/1/build.log?x-id=GetObject",
                Some("kept"),
            ),
            (
                "https://bucket.s3.eu-central-1.amazonaws.com/work/1/layer.tar.gz",
                Some("work"),
            ),
            ("/bucket/records/1/2-x.json", Some("records")),
            (
                "http://h/bucket?list-type=2&max-keys=7&prefix=inbox%2F",
                Some("inbox"),
            ),
            ("http://h/bucket/?list-type=2", None),
        ] {
            assert_eq!(folder(uri), expected, "{uri}");
        }
    }
}
