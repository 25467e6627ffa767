//! What is around every invocation of a function.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Polling, Poll};

use futures::future::BoxFuture;
use iib_edge::telemetry::{Traces, if_logged};
use iib_ports::{Clock as _, Figures, SystemClock, cold_start};
use lambda_runtime::{Context, LambdaEvent, Service};
use tracing::{Instrument as _, info_span};

/// The invocations of a process: their log lines say which one it is, the first one is counted as a cold start, and at the
/// end of each its spans are sent.
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Invocations {
    traces: Traces,
    function: &'static str,
    figures: Arc<dyn Figures>,
    has_begun: AtomicBool,
}

impl Invocations {
    pub(crate) fn new(traces: Traces, function: &'static str, figures: Arc<dyn Figures>) -> Self {
        Self {
            traces,
            function,
            figures,
            has_begun: AtomicBool::new(false),
        }
    }

    /// Does the work of one. Its answer waits until the spans are sent, for the process may be frozen with it; a collector
    /// that hangs keeps it no longer than [`Traces::flush`] says.
    pub async fn one<T>(&self, context: &Context, work: impl Future<Output = T>) -> T {
        let is_first = !self.has_begun.swap(true, Ordering::Relaxed);
        if is_first {
            let started = cold_start(self.function);
            self.figures.publish(SystemClock.now(), &[started]);
        }
        let span = info_span!(
            "invocation",
            aws.request_id = if_logged("aws.request_id", context.request_id.as_str()),
            cold_start = if_logged("cold_start", is_first),
        );
        let done = work.instrument(span).await;
        self.traces.flush().await;
        done
    }

    /// The same around a service.
    pub fn around<S>(self, inner: S) -> Around<S> {
        Around {
            inner,
            invocations: Arc::new(self),
        }
    }
}

/// A service with what is around every invocation.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "ports have nothing to show")]
pub struct Around<S> {
    inner: S,
    invocations: Arc<Invocations>,
}

impl<S, E> Service<LambdaEvent<E>> for Around<S>
where
    S: Service<LambdaEvent<E>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, polling: &mut Polling<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(polling)
    }

    fn call(&mut self, event: LambdaEvent<E>) -> Self::Future {
        let (invocations, context) = (self.invocations.clone(), event.context.clone());
        let work = self.inner.call(event);
        Box::pin(async move { invocations.one(&context, work).await })
    }
}
