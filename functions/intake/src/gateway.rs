//! The router behind an API Gateway HTTP API.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use axum::Router;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, aws_lambda_events};
use tower::util::MapRequest;

use crate::public_url::{
    FORWARDED_PREFIX, FORWARDED_PROTO, NO_HOST, is_host, is_prefix, is_scheme,
};

type Event = LambdaEvent<LambdaRequest>;

/// The service that [`gateway`] makes.
pub type Gateway = MapRequest<Adapter<'static, Response, Router>, fn(Event) -> Event>;

/// The stage whose name is not part of the path.
const DEFAULT_STAGE: &str = "$default";

/// Puts the router behind an API Gateway HTTP API, payload format 2.0:
///
/// ```no_run
/// # async fn wire(api: iib_intake::Api) -> Result<(), lambda_http::Error> {
/// let router = iib_intake::router(api);
/// lambda_http::lambda_runtime::run(iib_intake::gateway(router)).await
/// # }
/// ```
///
/// In front of `lambda_http` it mends what would make that panic, and so lose the invocation:
/// hosts that are none, schemes that are none, bytes that cannot be in a URL. The name of a
/// stage is taken off the path and is part of the URLs in answers instead.
pub fn gateway(router: Router) -> Gateway {
    MapRequest::new(Adapter::from(router), admit)
}

fn admit(mut event: Event) -> Event {
    if let LambdaRequest::ApiGatewayV2(call) = &mut event.payload {
        mend(call);
    }
    event
}

fn mend(call: &mut ApiGatewayV2httpRequest) {
    let path = call.raw_path.take().unwrap_or_default();
    // `lambda_http` puts the stage in front of every path, unless there is none.
    let stage = call.request_context.stage.take();
    let prefix = stage
        .filter(|stage| stage != DEFAULT_STAGE)
        .map(|stage| format!("/{stage}"));
    let (prefix, path) = match prefix {
        Some(prefix) => match path.strip_prefix(&prefix) {
            // Without a slash behind it, it is the first page.
            Some("") => (Some(prefix), String::new()),
            Some(rest) if rest.starts_with('/') => (Some(prefix), rest.to_owned()),
            _ => (None, path),
        },
        None => (None, path),
    };
    call.raw_path = Some(escape(&rooted(path), b"?"));
    call.raw_query_string = call
        .raw_query_string
        .take()
        .map(|query| escape(&query, b""));

    let domain = call.request_context.domain_name.as_deref();
    let host = host(&call.headers, domain);
    let scheme = call.headers.get(FORWARDED_PROTO);
    if !scheme.is_some_and(|scheme| scheme.to_str().is_ok_and(is_scheme)) {
        // An API Gateway has no other listeners.
        let https = HeaderValue::from_static("https");
        call.headers.insert(FORWARDED_PROTO, https);
    }
    call.headers.insert(header::HOST, host);
    // What the client wrote there is none of our doing.
    call.headers.remove(FORWARDED_PREFIX);
    let prefix = prefix.filter(|prefix| is_prefix(prefix));
    if let Some(Ok(prefix)) = prefix.map(HeaderValue::try_from) {
        call.headers.insert(FORWARDED_PREFIX, prefix);
    }
}

/// The domain the gateway was called under; the `Host` header may only add a port to it, as
/// emulators on a laptop need.
fn host(headers: &HeaderMap, domain: Option<&str>) -> HeaderValue {
    let domain = domain.filter(|domain| is_host(domain));
    let sent = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| is_host(host));
    let host = match (domain, sent) {
        (Some(domain), Some(sent)) => {
            let port = sent.strip_prefix(domain);
            if port.is_some_and(|port| port.starts_with(':')) {
                sent
            } else {
                domain
            }
        }
        (Some(host), None) | (None, Some(host)) => host,
        (None, None) => NO_HOST,
    };
    HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static(NO_HOST))
}

fn rooted(path: String) -> String {
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

/// Escapes bytes that cannot be in a URL, and those of `also`.
fn escape(text: &str, also: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte) && !also.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
