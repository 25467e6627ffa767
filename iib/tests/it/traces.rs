//! Traces of a service that runs: what a collector gets to see of a request, and that nobody waits for one that hangs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use mock_collector::{MockServer, Protocol, ServerHandle, TestSpan};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::command::demo_folder;
use crate::kill::{finished, submit};
use crate::process::{Server, iib};

/// Long after spans that never come are told from a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the client says that it is.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

/// The service, telling a collector.
fn service(collector: impl std::fmt::Display) -> Command {
    let mut command = iib(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .args(["--registry-listen", "127.0.0.1:0"])
        .env("IIB_OTEL_TRACING", "true")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
    command
}

/// A span as far as it counts here.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    parent: String,
    attributes: BTreeMap<String, String>,
    is_error: bool,
}

type Spans = BTreeMap<String, Seen>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace by their ids.
fn of_trace(trace: &str, spans: &[TestSpan]) -> Spans {
    let spans = spans.iter().map(TestSpan::span);
    let ours = spans.filter(|span| hex(&span.trace_id) == trace);
    let seen = ours.map(|span| {
        let attributes = span.attributes.iter();
        let attributes = attributes.map(|one| (one.key.clone(), format!("{:?}", one.value)));
        let seen = Seen {
            name: span.name.clone(),
            parent: hex(&span.parent_span_id),
            attributes: attributes.collect(),
            is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        };
        (hex(&span.span_id), seen)
    });
    seen.collect()
}

/// The spans of a trace, once so many of this name are there.
fn arrived(
    runtime: &Runtime,
    collector: &ServerHandle,
    trace: &str,
    name: &str,
    count: usize,
) -> Spans {
    runtime.block_on(async {
        let named = |spans: &Spans| spans.values().filter(|span| span.name == name).count();
        let are_there = |spans: &[TestSpan]| named(&of_trace(trace, spans)) >= count;
        collector
            .wait_until(|collector| are_there(collector.spans()), PATIENCE)
            .await
            .unwrap();
        collector
            .with_collector(|collector| of_trace(trace, collector.spans()))
            .await
    })
}

fn the<'a>(spans: &'a Spans, name: &str) -> (&'a str, &'a Seen) {
    let mut found = spans.iter().filter(|(_, span)| span.name == name);
    let (Some((id, span)), None) = (found.next(), found.next()) else {
        panic!("not one {name}: {spans:#?}");
    };
    (id, span)
}

/// The names of those above a span, nearest first.
fn above(spans: &Spans, span: &Seen) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = spans.get(&span.parent);
    while let Some(span) = next {
        names.push(span.name.clone());
        next = spans.get(&span.parent);
    }
    names
}

async fn collector() -> ServerHandle {
    let collector = MockServer::builder()
        .protocol(Protocol::HttpBinary)
        .host(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .port(0);
    collector.start().await.unwrap()
}

fn post(runtime: &Runtime, server: &Server, path: &str, traceparent: &str, body: &Value) -> Value {
    runtime.block_on(async {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/builds/{path}", server.api))
            .header("traceparent", traceparent)
            .json(body)
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    })
}

#[test]
fn a_request_is_one_trace_from_its_call_through_all_queues() {
    let runtime = Runtime::new().unwrap();
    let collector = runtime.block_on(collector());
    let folder = demo_folder();
    let server = Server::spawn(service(collector.addr()), folder.path());
    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let body = json!({
        "bundles": [image("lantern:v0.1.0")],
        "binary_image": image("binary:v1"),
        "add_arches": ["amd64"],
    });
    let place = format!("00-{TRACE}-{CLIENT}-01");
    let id = post(&runtime, &server, "add", &place, &body)["id"]
        .as_u64()
        .unwrap();
    let document = finished(&server, id);
    assert_eq!(document["state"], "complete", "{document}");

    let spans = arrived(&runtime, &collector, TRACE, "process push", 1);
    let (call, seen) = the(&spans, "POST /api/v1/builds/add");
    assert_eq!(seen.parent, CLIENT);
    assert!(
        seen.attributes["http.response.status_code"].contains("IntValue(201)"),
        "{seen:?}"
    );
    let (create, seen) = the(&spans, "create add");
    assert_eq!(seen.parent, call);
    assert!(
        seen.attributes["iib.request.id"].contains(&id.to_string()),
        "{seen:?}"
    );
    for stage in ["pin", "mutate", "push"] {
        let (process, seen) = the(&spans, &format!("process {stage}"));
        assert_eq!(seen.parent, create, "{stage}");
        let (_, seen) = the(&spans, stage);
        assert_eq!(seen.parent, process, "{stage}");
        assert!(
            seen.attributes["iib.attempt"].contains("IntValue(1)"),
            "{seen:?}"
        );
    }
    for (name, stage) in [
        ("database add", "mutate"),
        ("write layer", "mutate"),
        ("PUT", "push"),
    ] {
        let found = spans.values().find(|span| span.name == name);
        let found = found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"));
        assert!(
            above(&spans, found).contains(&stage.to_owned()),
            "{name}: {spans:#?}"
        );
    }
    let asked = spans.values().filter(|span| span.name == "GET");
    let of_pin = asked.filter(|span| above(&spans, span).contains(&"pin".to_owned()));
    let of_pin: Vec<_> = of_pin.collect();
    assert!(!of_pin.is_empty(), "{spans:#?}");
    for asked in of_pin {
        assert!(asked.attributes["url.full"].contains("/v2/"), "{asked:?}");
        assert!(
            asked.attributes["server.address"].contains("127.0.0.1"),
            "{asked:?}"
        );
    }
    // All is one tree, whose root is the client's; nothing went wrong in it.
    for span in spans.values() {
        let root = span.parent == CLIENT || spans.contains_key(&span.parent);
        assert!(root && !span.is_error, "{span:?}");
        assert!(!format!("{span:?}").contains('?'), "{span:?}");
    }

    // Requests of a batch have a span each.
    let batch = json!({"build_requests": [body, body]});
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    let answer = post(&runtime, &server, "add-rm-batch", other, &batch);
    for request in answer.as_array().unwrap() {
        finished(&server, request["id"].as_u64().unwrap());
    }
    let trace = "1".repeat(32);
    let spans = arrived(&runtime, &collector, &trace, "process push", 2);
    let mut pushed = spans.values().filter(|span| span.name == "process push");
    let parents = [pushed.next().unwrap(), pushed.next().unwrap()].map(|span| &span.parent);
    assert_ne!(parents[0], parents[1]);
    for parent in parents {
        assert_eq!(spans[parent].name, "create add");
    }

    // What is no place in a trace begins one.
    let odd = "00-33333333333333333333333333333333-4444444444444444-01-and-more";
    post(&runtime, &server, "add", odd, &body);
    let is_new = |collector: &mock_collector::MockCollector| {
        let calls = collector.spans().iter().map(TestSpan::span);
        calls
            .filter(|span| span.name == "POST /api/v1/builds/add" && span.parent_span_id.is_empty())
            .count()
            == 1
    };
    runtime
        .block_on(collector.wait_until(is_new, PATIENCE))
        .unwrap();
}

#[test]
fn a_collector_that_hangs_keeps_neither_a_request_nor_the_end_of_the_service() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = demo_folder();
    let mut server = Server::spawn(service(hangs.local_addr().unwrap()), folder.path());
    // It was called, and never answers.
    let (mut connection, _) = {
        let registry = server.registry.clone();
        let id = submit(&server, &registry, &["lantern:v0.1.0"], "one");
        assert_eq!(finished(&server, id)["state"], "complete");
        hangs.accept().unwrap()
    };
    let mut head = [0; 4];
    connection.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"POST");
    assert!(server.stopped().success());
}

#[test]
fn traces_that_are_on_and_go_nowhere_are_a_fault_of_the_settings() {
    let mut serve = iib(&["serve", "--listen", "127.0.0.1:0"]);
    let refused = serve.env("IIB_OTEL_TRACING", "true").output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && told.contains("telemetry.endpoint"),
        "{told}"
    );
}
