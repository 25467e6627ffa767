//! The binary under a simulated Lambda Runtime API.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use iib_testkit::function::Function;
use mock_collector::{MockServer, Protocol};
use serde_json::json;

#[tokio::test]
async fn bad_settings_are_named_before_the_first_event() {
    Function::start(env!("CARGO_BIN_EXE_pin"), &[])
        .await
        .assert_that_missing_settings_are_named()
        .await;
}

/// Settings with a collector of traces, and AWS where nobody listens.
fn settings(collector: impl std::fmt::Display) -> Vec<(&'static str, String)> {
    let names = [
        "IIB_TABLE",
        "IIB_BUCKET",
        "IIB_SECRET_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ];
    let mut settings: Vec<_> = names.map(|name| (name, "x".to_owned())).into();
    let queues = [
        "IIB_PIN_QUEUE_URL",
        "IIB_MUTATE_QUEUE_URL",
        "IIB_PUSH_QUEUE_URL",
    ];
    settings.extend(queues.map(|name| (name, "http://127.0.0.1:9/1/x".to_owned())));
    let collector = format!("http://{collector}");
    settings.extend([
        ("IIB_REGISTRY", "r.example".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9".to_owned()),
        ("IIB_OTEL_TRACING", "true".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
    ]);
    settings
}

/// A message that nothing is asked of anybody for: it cannot be read.
fn event() -> serde_json::Value {
    json!({"Records": [{"messageId": "m", "receiptHandle": "r", "body": "nonsense"}]})
}

#[tokio::test]
async fn spans_are_sent_before_the_answer() {
    let collector = MockServer::builder()
        .protocol(Protocol::HttpBinary)
        .host(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .port(0);
    let collector = collector.start().await.unwrap();
    let settings = settings(collector.addr());
    let mut function = Function::start(env!("CARGO_BIN_EXE_pin"), &settings).await;
    for invocations in 1..=2 {
        let answer = function.invoke(&event()).await;
        assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m");
        collector
            .with_collector(|collector| {
                collector
                    .expect_span_with_name("process pin")
                    .with_attributes([("messaging.message.id", "m")])
                    .with_resource_attributes([("service.name", "iib-pin")])
                    .assert_count(invocations);
            })
            .await;
    }
    function.stop().await;
}

#[tokio::test]
async fn a_collector_that_hangs_keeps_no_answer() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = settings(hangs.local_addr().unwrap());
    let mut function = Function::start(env!("CARGO_BIN_EXE_pin"), &settings).await;
    for _ in 0..3 {
        let answer = function.invoke(&event()).await;
        assert_eq!(answer["batchItemFailures"][0]["itemIdentifier"], "m");
    }
    function.stop().await;
}
