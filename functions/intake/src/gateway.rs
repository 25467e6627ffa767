//! The router behind an API Gateway: an HTTP API, or a REST API, whose network and callers can be narrowed more.

use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
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

/// Puts the router behind an API Gateway: an HTTP API, payload format 2.0, or a REST API with proxy integration:
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
    match &mut event.payload {
        LambdaRequest::ApiGatewayV2(call) => mend(call),
        LambdaRequest::ApiGatewayV1(call) => mend_rest(call),
        // Of what else sends such events nothing is known.
        _ => {}
    }
    event
}

/// A REST API gives the path without the name of the stage, and with it in the context: there it is missing where the call
/// came by a domain that leads to the stage.
fn mend_rest(call: &mut ApiGatewayProxyRequest) {
    let path = rooted(call.path.take().unwrap_or_default());
    call.request_context.stage = None;
    let whole = call.request_context.path.as_deref().unwrap_or_default();
    let prefix = whole
        .trim_end_matches('/')
        .strip_suffix(path.trim_end_matches('/'));
    let prefix = prefix.filter(|prefix| is_prefix(prefix)).map(str::to_owned);
    call.path = Some(escape(&path, b"?"));
    let domain = call.request_context.domain_name.as_deref();
    let host = host(&call.headers, domain);
    admit_headers(&mut call.headers, host, prefix);
    // They hold all values of a header, and are looked at first.
    for name in [header::HOST, FORWARDED_PREFIX, FORWARDED_PROTO] {
        call.multi_value_headers.remove(name);
    }
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
    let prefix = prefix.filter(|prefix| is_prefix(prefix));
    admit_headers(&mut call.headers, host, prefix);
}

/// What URLs in answers begin with is said by the gateway, and not by clients.
fn admit_headers(headers: &mut HeaderMap, host: HeaderValue, prefix: Option<String>) {
    let scheme = headers.get(FORWARDED_PROTO);
    if !scheme.is_some_and(|scheme| scheme.to_str().is_ok_and(is_scheme)) {
        // An API Gateway has no other listeners.
        let https = HeaderValue::from_static("https");
        headers.insert(FORWARDED_PROTO, https);
    }
    headers.insert(header::HOST, host);
    headers.remove(FORWARDED_PREFIX);
    if let Some(Ok(prefix)) = prefix.map(HeaderValue::try_from) {
        headers.insert(FORWARDED_PREFIX, prefix);
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
