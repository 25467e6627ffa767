//! Under which names a service on loopback may be called.
//!
//! Nobody but this machine reaches it, except that a page in a browser can make a name of its own lead
//! to 127.0.0.1 and call it from there, or send it something under its real name. The first has a foreign
//! name in its `Host`, the second in its `Origin`.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http::header;
use iib_request::ApiSettings;
use tracing::warn;

use crate::problem::{Problem, into_document, is_accepted, types};

/// Puts the rule in front of a router that listens on loopback: it answers under the names of
/// loopback, the host of `api.public_url`, and those in `api.hosts`, to programs and to pages of these
/// hosts. Other calls get 421.
pub fn on_loopback(router: Router, api: &ApiSettings) -> Router {
    let public = api.public_url.as_ref();
    let public = public.map(|url| without_port(url.host()).to_owned());
    let named: Arc<[String]> = api.hosts.iter().cloned().chain(public).collect();
    router.layer(from_fn(move |request: Request, next: Next| {
        let named = named.clone();
        async move {
            let Some(foreign) = foreign(&request, &named) else {
                return next.run(request).await;
            };
            // Some clients show the status alone.
            warn!(event = "call_misdirected", "{foreign}");
            let answer = Problem::new(&types::FOREIGN_NAME, foreign.to_string()).into_response();
            match is_accepted(request.headers()) {
                true => into_document(answer, request.uri().path()),
                false => answer,
            }
        }
    }))
}

/// What is foreign about a call.
enum Foreign {
    Name(String),
    Page(String),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "This service does not go by the name \"{name}\": call it as localhost, or add the name to `api.hosts` (IIB_HOSTS) and start it again."
            ),
            Self::Page(page) => write!(
                f,
                "A page of \"{page}\" called this service: if it may, add its host to `api.hosts` (IIB_HOSTS) and start the service again."
            ),
        }
    }
}

/// What is foreign: the name that is called, or the page that calls. A call without a name comes from
/// no browser; one that writes and comes from a page names the page (Fetch standard, `Origin`).
fn foreign(request: &Request, named: &[String]) -> Option<Foreign> {
    let text = |name| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let authority = || Some(request.uri().authority()?.as_str().to_owned());
    let strange = |host: &String| !is_ours(host, named);
    if let Some(host) = text(header::HOST).or_else(authority).filter(strange) {
        return Some(Foreign::Name(shown(&host)));
    }
    let page = text(header::ORIGIN)?;
    let host = page.split_once("://").map_or(&*page, |(_, host)| host);
    strange(&host.to_owned()).then(|| Foreign::Page(shown(&page)))
}

fn is_ours(host: &str, named: &[String]) -> bool {
    let bare = without_dot(without_port(host));
    let is = |name: &String| {
        name.eq_ignore_ascii_case(host) || without_dot(name).eq_ignore_ascii_case(bare)
    };
    is_loopback(bare) || named.iter().any(is)
}

/// The same host; a dot at the end only says that the name is whole.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// As much as is repeated.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
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
