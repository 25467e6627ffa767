//! Under which names a service on loopback may be called.
//!
//! Nobody but this machine reaches it, except that a page in a browser can make a name of its own lead
//! to 127.0.0.1 and call it from there. Such a call has a foreign name in its `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use iib_request::ApiSettings;

use crate::problem::Problem;

/// Puts the rule in front of a router that listens on loopback: it answers under the names of
/// loopback, the host of `api.public_url`, and those in `api.hosts`. Other calls get 421.
pub fn on_loopback(router: Router, api: &ApiSettings) -> Router {
    let public = api.public_url.as_ref().map(|url| url.host().to_owned());
    let named: Arc<[String]> = api.hosts.iter().cloned().chain(public).collect();
    router.layer(from_fn(move |request: Request, next: Next| {
        let named = named.clone();
        async move {
            match foreign(&request, &named) {
                None => next.run(request).await,
                Some(host) => misdirected(&host).into_response(),
            }
        }
    }))
}

/// The name of a call, if it is foreign. A call without any comes from no browser.
fn foreign(request: &Request, named: &[String]) -> Option<String> {
    let header = request.headers().get(header::HOST);
    let host = match header {
        Some(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        None => request.uri().authority()?.as_str().to_owned(),
    };
    let bare = without_port(&host);
    let is = |name: &String| name.eq_ignore_ascii_case(&host) || name.eq_ignore_ascii_case(bare);
    (!is_loopback(bare) && !named.iter().any(is)).then_some(host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

fn misdirected(host: &str) -> Problem {
    let shown: String = host.chars().take(100).collect();
    let text = format!(
        "This service does not go by the name \"{shown}\": call it as localhost, or add the name to `api.hosts` (IIB_HOSTS) and start it again."
    );
    Problem::new(StatusCode::MISDIRECTED_REQUEST, text)
}
