//! Spans reach a collector, and nobody waits for one that hangs.

use std::net::{IpAddr, Ipv4Addr};

use iib_ports::Traces as _;
use mock_collector::{MockCollector, MockServer, Protocol as Spoken, ServerHandle};
use opentelemetry::trace::{Span as _, Tracer as _};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

const PLACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn settings(collector: impl std::fmt::Display) -> Telemetry {
    Telemetry {
        tracing: true,
        endpoint: format!("http://{collector}/"),
        ..Telemetry::default()
    }
}

async fn collector() -> ServerHandle {
    let server = MockServer::builder()
        .protocol(Spoken::HttpBinary)
        .host(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .port(0);
    server.start().await.unwrap()
}

fn kept(traces: &Traces) -> usize {
    let sending = traces.0.as_ref().unwrap();
    sending.kept.0.lock().unwrap().ended.len()
}

#[tokio::test]
async fn what_has_ended_arrives_at_the_end_of_an_invocation() {
    let collector = collector().await;
    let settings = settings(collector.addr());
    let (traces, tracer) = Traces::to(&settings, Outward::default(), "iib-pin").unwrap();
    traces.flush().await;
    let mut open = tracer.start("open");
    tracer.start("ended").end();
    traces.flush().await;
    collector
        .with_collector(|collector| {
            assert_eq!(collector.span_count(), 1);
            collector
                .expect_span_with_name("ended")
                .with_resource_attributes([("service.name", "iib-pin")])
                .assert_exists();
        })
        .await;
    open.end();
    traces.flush().await;
    let count = collector.with_collector(MockCollector::span_count);
    assert_eq!((count.await, kept(&traces)), (2, 0));
}

#[tokio::test]
async fn a_process_of_its_own_sends_what_is_left_when_it_stops() {
    let collector = collector().await;
    let mut settings = settings(collector.addr());
    settings.service_name = "ours".to_owned();
    let (traces, tracer) = Traces::to(&settings, Outward::default(), "iib-serve").unwrap();
    tracer.start("ended").end();
    traces.keep_sending(std::future::ready(())).await;
    collector
        .with_collector(|collector| {
            collector
                .expect_span_with_name("ended")
                .with_resource_attributes([("service.name", "ours")])
                .assert_exists();
        })
        .await;
}

/// Time goes on by itself here, as soon as everybody waits for it.
#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_is_left_alone() {
    // It takes connections, for the system does, and never answers.
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hangs.local_addr().unwrap();
    let (traces, tracer) = Traces::to(&settings(address), Outward::default(), "iib-pin").unwrap();
    let began = Instant::now();
    tracer.start("lost").end();
    traces.flush().await;
    let waited = began.elapsed();
    assert!(waited <= PATIENCE + Duration::from_millis(10), "{waited:?}");
    // From here on nobody waits for it.
    for _ in 0..3 {
        tracer.start("kept").end();
        traces.flush().await;
    }
    assert_eq!((began.elapsed(), kept(&traces)), (waited, 3));
    tokio::time::advance(LEFT_ALONE).await;
    traces.flush().await;
    assert_eq!(kept(&traces), 0);
}

#[tokio::test]
async fn a_collector_that_is_not_there_is_no_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (traces, tracer) = Traces::to(&settings(address), Outward::default(), "iib-pin").unwrap();
    for _ in 0..2 {
        tracer.start("span").end();
        traces.flush().await;
    }
    assert_eq!(kept(&traces), 1);
    // Nor is it one that there is none.
    Traces::default().flush().await;
    Traces::default().keep_sending(std::future::pending()).await;
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    let (traces, tracer) =
        Traces::to(&settings("127.0.0.1:1"), Outward::default(), "iib-pin").unwrap();
    for _ in 0..KEPT + 3 {
        tracer.start("span").end();
    }
    let spans = traces.0.unwrap().kept.take();
    assert_eq!((spans.ended.len(), spans.lost), (KEPT, 3));
}

#[test]
fn a_span_goes_on_from_a_place_and_says_where_it_is() {
    let (traces, tracer) =
        Traces::to(&settings("127.0.0.1:1"), Outward::default(), "iib-pin").unwrap();
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let place: TraceParent = PLACE.parse().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        assert_eq!(CurrentTrace.here(), None);
        let span = tracing::info_span!("one");
        goes_on_from(&span, Some(&place));
        let here = span.in_scope(|| CurrentTrace.here()).unwrap();
        assert_eq!(here.parts().0, place.parts().0);
        assert_ne!(here.parts().1, place.parts().1);
        // What a caller does not want to be followed is followed by nobody.
        let silent = tracing::info_span!("silent");
        let unsampled = TraceParent::new(1, 2, 0).unwrap();
        goes_on_from(&silent, Some(&unsampled));
        let here = silent.in_scope(|| CurrentTrace.here()).unwrap();
        assert_eq!((here.parts().0, here.parts().2), (1, 0));
    });
    let ended = traces.0.unwrap().kept.take().ended;
    let [span] = &ended[..] else {
        panic!("{ended:?}");
    };
    let parent = u64::from_be_bytes(span.parent_span_id.to_bytes());
    assert_eq!(
        (&*span.name, parent, span.parent_span_is_remote),
        ("one", place.parts().1, true)
    );
    // Without traces there is no place, and nothing to set.
    let span = tracing::info_span!("one");
    goes_on_from(&span, Some(&place));
    assert_eq!(span.in_scope(|| CurrentTrace.here()), None);
}

#[test]
fn only_spans_that_are_made_for_traces_go_there() {
    let (traces, tracer) =
        Traces::to(&settings("127.0.0.1:1"), Outward::default(), "iib-pin").unwrap();
    let subscriber = tracing_subscriber::registry().with(vec![super::super::spans(tracer)]);
    tracing::subscriber::with_default(subscriber, || {
        let traced = tracing::info_span!(target: iib_ports::TRACE, "outer", otel.name = "told");
        let _traced = traced.entered();
        let of_lines = tracing::info_span!("lines", password = "secret");
        let _of_lines = of_lines.entered();
        tracing::error!(password = "secret", "a line");
        let inner = tracing::info_span!(target: iib_ports::TRACE, "inner");
        inner.in_scope(|| {});
    });
    let ended = traces.0.unwrap().kept.take().ended;
    let names: Vec<_> = ended.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["inner", "told"]);
    assert_eq!(ended[0].parent_span_id, ended[1].span_context.span_id());
    assert!(!format!("{ended:?}").contains("secret"), "{ended:?}");
}
