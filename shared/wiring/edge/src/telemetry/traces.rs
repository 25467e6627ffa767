//! Spans on their way to a collector. They are kept as they end, and sent when somebody has time for it: at the end of an
//! invocation, or now and then in a process of its own. So there is no thread, and nothing waits for a collector.

use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iib_outward::{Outward, OutwardError};
use iib_request::TraceParent;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SdkTracer, SdkTracerProvider, Span as StartedSpan, SpanData, SpanExporter as _, SpanProcessor,
};
use tokio::time::{Instant, timeout};
use tracing::{Span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::client::Client;
use crate::config::{Telemetry, environment};

/// How many spans are kept for the collector at most. One request leaves some hundreds.
const KEPT: usize = 4096;
/// How long an invocation waits for the collector at its end.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same where nobody waits.
const LONG_PATIENCE: Duration = Duration::from_secs(10);
/// How often a process of its own sends.
const EVERY: Duration = Duration::from_secs(1);
/// How long a collector is left alone that did not take what it was sent.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// The traces of a process. Without a collector all that it does is nothing.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Sending>>);

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceInitError {
    /// What sends them cannot be set up.
    #[error("traces cannot be sent as the settings say")]
    Exporter(#[from] ExporterBuildError),
    /// The way to the collector cannot be taken.
    #[error(transparent)]
    Outward(#[from] OutwardError),
}

#[derive(Debug)]
struct Sending {
    kept: Kept,
    exporter: SpanExporter,
    /// Until when the collector is left alone. Who sends holds it: the exporter takes one batch at a time.
    left_alone_until: tokio::sync::Mutex<Option<Instant>>,
}

/// Spans that have ended and were not sent yet.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Spans>>);

#[derive(Debug, Default)]
struct Spans {
    ended: Vec<SpanData>,
    /// How many there was no room for.
    lost: u64,
}

impl Kept {
    fn take(&self) -> Spans {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SpanProcessor for Kept {
    fn on_start(&self, _span: &mut StartedSpan, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match spans.ended.len() < KEPT {
            true => spans.ended.push(span),
            false => spans.lost += 1,
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _patience: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Traces {
    /// Those that go to the collector of the settings, and what makes their spans.
    pub(super) fn to(
        settings: &Telemetry,
        outward: Outward,
        service: &str,
    ) -> Result<(Self, SdkTracer), TraceInitError> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::going(outward))
            // Who does not take them at once is left alone.
            .with_retry_policy(RetryPolicy::disabled())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(settings.traces_url())
            .with_timeout(LONG_PATIENCE)
            .build()?;
        let resource = resource(settings, service);
        exporter.set_resource(&resource);
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(kept.clone())
            .build();
        let tracer = provider.tracer("iib");
        let sending = Sending {
            kept,
            exporter,
            left_alone_until: tokio::sync::Mutex::default(),
        };
        Ok((Self(Some(Arc::new(sending))), tracer))
    }

    /// Sends what has ended, for at most half a second. To be called at the end of an invocation, after which the
    /// process may be frozen. A collector that does not take it is left alone for a minute, so that it costs no more than
    /// that.
    pub async fn flush(&self) {
        if let Some(sending) = &self.0 {
            sending.send(PATIENCE).await;
        }
    }

    /// Sends each second what has ended, until `stop`, and then what is left; for processes that go on between calls.
    pub async fn keep_sending(self, stop: impl Future<Output = ()>) {
        let Some(sending) = &self.0 else { return };
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(EVERY) => {}
            }
            let mut send = pin!(sending.send(LONG_PATIENCE));
            tokio::select! {
                () = &mut send => {}
                () = &mut stop => {
                    // What is on its way may arrive.
                    let _in_time = timeout(PATIENCE, send).await;
                    break;
                }
            }
        }
        sending.send(PATIENCE).await;
    }
}

/// The trace that the current span of this process belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct CurrentTrace;

impl iib_ports::Traces for CurrentTrace {
    fn here(&self) -> Option<TraceParent> {
        let context = Span::current().context();
        let span = context.span();
        let place = span.span_context();
        let (trace, id) = (place.trace_id().to_bytes(), place.span_id().to_bytes());
        let (trace, id) = (u128::from_be_bytes(trace), u64::from_be_bytes(id));
        // Where there are no traces all is zero, which is no place.
        TraceParent::new(trace, id, place.trace_flags().to_u8()).ok()
    }
}

impl Sending {
    async fn send(&self, patience: Duration) {
        let Ok(mut left_alone_until) = self.left_alone_until.try_lock() else {
            return;
        };
        if left_alone_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let Spans { ended, lost } = self.kept.take();
        if ended.is_empty() {
            return;
        }
        let count = ended.len();
        if lost > 0 {
            warn!(lost, "there was no room for spans of traces");
        }
        // Whoever ends this before its time is over leaves the collector alone, too.
        *left_alone_until = Some(Instant::now() + LEFT_ALONE);
        match timeout(patience, self.exporter.export(ended)).await {
            Ok(Ok(())) => *left_alone_until = None,
            Ok(Err(error)) => warn!(
                spans = count,
                %error,
                "traces could not be sent; the collector is left alone for a minute"
            ),
            Err(_) => warn!(
                spans = count,
                "traces were not taken in time; the collector is left alone for a minute"
            ),
        }
    }
}

/// Lets a span that has not begun go on from a place in a trace; without one it goes on from the span around it, or begins
/// a trace.
pub fn goes_on_from(span: &Span, place: Option<&TraceParent>) {
    let Some(place) = place else { return };
    let (trace, id, flags) = place.parts();
    let place = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(id),
        TraceFlags::new(flags),
        true,
        TraceState::NONE,
    );
    // Where there are no traces there is nothing to go on from.
    let _off = span.set_parent(Context::new().with_remote_span_context(place));
}

/// What is said of the process with all of its spans.
fn resource(settings: &Telemetry, service: &str) -> Resource {
    let name = match settings.service_name.as_str() {
        "" => service,
        name => name,
    };
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder()
        .with_service_name(name.to_owned())
        .with_attribute(version);
    let environment = environment();
    match environment.get("AWS_LAMBDA_FUNCTION_NAME") {
        Some(function) => resource
            .with_attribute(KeyValue::new("cloud.provider", "aws"))
            .with_attribute(KeyValue::new("cloud.platform", "aws_lambda"))
            .with_attribute(KeyValue::new("faas.name", function.clone()))
            .build(),
        None => resource.build(),
    }
}

#[cfg(test)]
mod tests;
