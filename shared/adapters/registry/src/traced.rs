//! Requests as spans of traces, with the names that OpenTelemetry has for them.

use iib_ports::TRACE;
use reqwest::{Method, Response};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Span, field, info_span};
use url::Url;

/// The span of a request. It ends with the head of the answer, at which a body may still be on its way.
pub(crate) struct Traced(Span);

impl Traced {
    /// A request that is about to be sent.
    pub(crate) fn of(method: &Method, url: &Url) -> Self {
        Self(info_span!(
            target: TRACE,
            "request",
            otel.name = method.as_str(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = method.as_str(),
            http.response.status_code = field::Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            url.full = without_secrets(url),
            error.type = field::Empty,
        ))
    }

    /// What happens under it.
    pub(crate) fn around<F>(&self, sending: F) -> Instrumented<F> {
        sending.instrument(self.0.clone())
    }

    /// What came of it. That something is not there, or that somebody has to say first who asks, is an answer and
    /// no failure.
    pub(crate) fn answered(&self, sent: &reqwest::Result<Response>) {
        let Ok(response) = sent else {
            return self.failed("connection");
        };
        let status = response.status();
        let code = i64::from(status.as_u16());
        self.0.record("http.response.status_code", code);
        if status.as_u16() >= 400 && !matches!(status.as_u16(), 401 | 404) {
            self.failed(status.as_str());
        }
    }

    /// Why there is no good answer.
    pub(crate) fn failed(&self, why: &str) {
        self.0.record("error.type", why);
        self.0.record("otel.status_code", "ERROR");
    }
}

/// Scheme, host and path of an address. The query of a store of blobs is as good as a key, and nobody's name belongs here.
fn without_secrets(url: &Url) -> String {
    let (scheme, path) = (url.scheme(), url.path());
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_logins_nor_queries_are_told() {
        for (url, told) in [
            ("https://r.example/v2/", "https://r.example/v2/"),
            (
                "http://ann:secret@r.example:5000/v2/a?sig=x#y",
                "http://r.example:5000/v2/a",
            ),
            ("http://[::1]:5000/v2/?token=x", "http://[::1]:5000/v2/"),
        ] {
            assert_eq!(without_secrets(&url.parse().unwrap()), told);
        }
    }
}
