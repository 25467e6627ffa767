//! A proxy in front of the emulator that throttles.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Every so many calls is refused.
const EVERY: usize = 3;

/// Far more than a part of a layer.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

pub(crate) struct Proxy {
    upstream: String,
    http: reqwest::Client,
    service: Throttled,
    calls: AtomicUsize,
    refused: AtomicUsize,
}

impl Proxy {
    /// Starts one and gives its address.
    pub(crate) async fn start(
        upstream: &str,
        service: Throttled,
    ) -> anyhow::Result<(Arc<Self>, String)> {
        let proxy = Arc::new(Self {
            upstream: upstream.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
            service,
            calls: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let router = axum::Router::new().fallback(pass).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((proxy, endpoint))
    }

    /// How many calls were refused.
    pub(crate) fn refused(&self) -> usize {
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
        let refuses = concerned && self.calls.fetch_add(1, Ordering::SeqCst) % EVERY == EVERY - 1;
        if refuses {
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
        refuses
    }

    async fn forward(&self, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers;
        // The client says these anew.
        for name in [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "expect",
        ] {
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
