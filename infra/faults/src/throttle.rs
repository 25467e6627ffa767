//! A proxy in front of the emulator that throttles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// The service whose calls are throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    DynamoDb,
    S3,
}

/// Which calls of the service are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Every so many: the SDK sits that out.
    Every(usize),
    /// So many in a row, after some others.
    Row { after: usize, calls: usize },
}

impl Pattern {
    fn refuses(self, call: usize) -> bool {
        match self {
            Self::Every(step) => call % step == step - 1,
            Self::Row { after, calls } => (after..after + calls).contains(&call),
        }
    }

    /// Whether the calls of the SDK fail in the end, so that a message has to come back.
    pub(crate) fn outlasts_retries(self) -> bool {
        matches!(self, Self::Row { .. })
    }
}

/// Far more than a part of a layer.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// What the client says anew to the emulator, and the server to the caller.
const HOP_BY_HOP: [&str; 5] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
];

pub(crate) struct Proxy {
    /// Where it is.
    pub(crate) endpoint: String,
    upstream: String,
    http: reqwest::Client,
    service: Throttled,
    pattern: Pattern,
    on: AtomicBool,
    calls: AtomicUsize,
    refused: AtomicUsize,
}

impl Proxy {
    /// Starts one that lets everything through for now.
    pub(crate) async fn start(
        upstream: &str,
        service: Throttled,
        pattern: Pattern,
    ) -> anyhow::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Arc::new(Self {
            endpoint: format!("http://{}", listener.local_addr()?),
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
            service,
            pattern,
            on: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let router = axum::Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(proxy)
    }

    /// From now on calls are refused.
    pub(crate) fn begin(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    /// No more calls are refused. Gives how many were.
    pub(crate) fn end(&self) -> usize {
        self.on.store(false, Ordering::SeqCst);
        self.refused.load(Ordering::SeqCst)
    }

    /// Whether this call is one to refuse.
    fn refuses(&self, headers: &HeaderMap) -> bool {
        let target = headers.get("x-amz-target");
        let target = target
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let concerned = match self.service {
            Throttled::DynamoDb => target.starts_with("DynamoDB"),
            // The only service here whose calls name no target.
            Throttled::S3 => target.is_empty(),
        };
        let refuses = concerned
            && self.on.load(Ordering::SeqCst)
            && self
                .pattern
                .refuses(self.calls.fetch_add(1, Ordering::SeqCst));
        if refuses {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        refuses
    }

    async fn forward(&self, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers;
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        let body = to_bytes(body, BODY_LIMIT).await?;
        let answer = self
            .http
            .request(parts.method, format!("{}{path}", self.upstream))
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in ["transfer-encoding", "connection"] {
            headers.remove(name);
        }
        let body = answer.bytes().await?;
        Ok((status, headers, Body::from(body)).into_response())
    }
}

async fn pass(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    if proxy.refuses(request.headers()) {
        return match proxy.service {
            Throttled::DynamoDb => (
                StatusCode::BAD_REQUEST,
                [("content-type", "application/x-amz-json-1.0")],
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"too much"}"#,
            )
                .into_response(),
            Throttled::S3 => (
                StatusCode::SERVICE_UNAVAILABLE,
                [("content-type", "application/xml")],
                "<Error><Code>SlowDown</Code><Message>too much</Message></Error>",
            )
                .into_response(),
        };
    }
    match proxy.forward(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_refuse_what_they_say() {
        let refused = |pattern: Pattern| (0..9).filter(move |call| pattern.refuses(*call));
        assert_eq!(refused(Pattern::Every(3)).collect::<Vec<_>>(), [2, 5, 8]);
        let row = Pattern::Row { after: 2, calls: 3 };
        assert_eq!(refused(row).collect::<Vec<_>>(), [2, 3, 4]);
    }
}
