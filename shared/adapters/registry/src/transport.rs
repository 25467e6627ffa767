//! One HTTP request, with the redirects it leads to. Whatever is sent, to whomever and why, gets the
//! client to send it with from [`Transport::http`], where it is decided whether it may go there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use iib_oci::hosts::{Addresses, HostRefusal, HostRules};
use iib_outward::{Outward, Proxies};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response};
use url::Url;

use crate::config::RegistryConfig;
use crate::counted::Counted;
use crate::error::causes;
use crate::hosts::same_origin;
use crate::resolver::{Names, SystemResolver};
use crate::traced::Traced;
use crate::{Fault, RegistryInitError};

/// How many redirects are followed. Registries need one, to the store their blobs are in;
/// mirrors add another.
const REDIRECT_LIMIT: usize = 5;

/// How we name ourselves to registries.
pub(crate) const USER_AGENT: &str = concat!("iib-serverless/", env!("CARGO_PKG_VERSION"));

/// The HTTP clients and the rules for URLs.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    /// Connects to no address inside; where those count. A client of its own, because a resolver
    /// does not learn the port, and a host is named with its port.
    outside: Option<reqwest::Client>,
    rules: HostRules,
    proxies: Proxies,
    idle_timeout: Duration,
    pub(crate) counted: Counted,
}

/// Whether redirects of a request are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirects {
    Follow,
    Stop,
}

/// A request without its authorization, to be sent as often as it takes.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) redirects: Redirects,
}

/// Why no answer came, or none that can be used.
#[derive(Debug)]
pub(crate) enum SendFailure {
    Fault(Fault),
    Protocol(&'static str),
    /// Nothing is sent there.
    Refused(HostRefusal),
}

impl Outgoing {
    /// A request without headers and body that follows no redirects.
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects: Redirects::Stop,
        }
    }
}

impl Transport {
    /// Sets up what all registry calls of the process go through; root certificates are loaded
    /// here.
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, RegistryInitError> {
        let outward = match &config.outward {
            Some(outward) => outward.clone(),
            None => Outward::new(None)?,
        };
        let rules = HostRules::new(&config.host_settings())?;
        let resolver = config.resolver.clone();
        let resolver = resolver.unwrap_or_else(|| Arc::new(SystemResolver));
        let client = |only_outside| {
            let resolver = Arc::clone(&resolver);
            let builder = match only_outside {
                // What goes through a proxy goes with the other one, see `http`.
                true => outward.direct(),
                false => outward.client(),
            };
            let builder = builder
                .user_agent(USER_AGENT)
                .connect_timeout(config.connect_timeout.min(config.patience))
                .dns_resolver(Names {
                    resolver,
                    only_outside,
                })
                // Followed here instead, because of the rules for authorization and hosts.
                .redirect(reqwest::redirect::Policy::none());
            // No read timeout: reqwest's would also end a long upload that makes progress.
            builder.build().map_err(RegistryInitError::Http)
        };
        let outside = match config.addresses {
            Addresses::OnlyOutside => Some(client(true)?),
            Addresses::Any => None,
        };
        Ok(Self {
            http: client(false)?,
            outside,
            rules,
            proxies: outward.proxies().clone(),
            idle_timeout: config.idle_timeout.min(config.patience),
            counted: Counted::default(),
        })
    }

    /// The client for a URL, if anything may be asked of it. The first address, a token's realm,
    /// the place of an upload and where redirects lead are all the same here. A name that is reached
    /// through a proxy is resolved by that.
    pub(crate) fn http(&self, url: &Url) -> Result<&reqwest::Client, SendFailure> {
        self.rules.check(url).map_err(SendFailure::Refused)?;
        Ok(match &self.outside {
            Some(outside)
                if self.rules.minds_address(url) && self.proxies.for_url(url).is_none() =>
            {
                outside
            }
            _ => &self.http,
        })
    }

    /// The other end of a call, for messages: the host, and the proxy it is reached through.
    pub(crate) fn other_end(&self, url: &Url) -> String {
        let host = url.authority();
        match self.proxies.for_url(url).and_then(Url::host_str) {
            Some(proxy) => format!("{host} (through the proxy {proxy})"),
            None => host.to_owned(),
        }
    }

    pub(crate) fn rules(&self) -> &HostRules {
        &self.rules
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Sends a request and follows where it leads. The authorization goes to the first host
    /// only; once left behind it stays off.
    pub(crate) async fn send(
        &self,
        outgoing: &Outgoing,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, SendFailure> {
        let mut url = outgoing.url.clone();
        let mut authorization = authorization;
        for _ in 0..=REDIRECT_LIMIT {
            let response = self.send_once(outgoing, &url, authorization).await?;
            if outgoing.redirects == Redirects::Stop || !is_redirect(&response) {
                return Ok(response);
            }
            let next = Self::location(&response)?;
            if !same_origin(&next, &outgoing.url) {
                authorization = None;
            }
            url = next;
        }
        Err(SendFailure::Protocol("it redirects more than five times"))
    }

    /// The URL a `Location` header names.
    pub(crate) fn location(response: &Response) -> Result<Url, SendFailure> {
        let text = response
            .headers()
            .get(LOCATION)
            .ok_or(SendFailure::Protocol("the Location header is missing"))?
            .to_str()
            .map_err(|_| SendFailure::Protocol("the Location header is not text"))?;
        let url = response.url().join(text);
        url.map_err(|_| SendFailure::Protocol("the Location header is not a URL"))
    }

    async fn send_once(
        &self,
        outgoing: &Outgoing,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, SendFailure> {
        let mut request = self
            .http(url)?
            .request(outgoing.method.clone(), url.clone())
            .headers(outgoing.headers.clone());
        // Registries want a length with these, even if it is 0.
        if matches!(outgoing.method, Method::POST | Method::PUT) {
            request = request.body(outgoing.body.clone());
            if outgoing.body.is_empty() {
                request = request.header(reqwest::header::CONTENT_LENGTH, 0);
            }
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let host = self.other_end(url);
        let traced = Traced::of(&outgoing.method, url);
        let sending = traced.around(request.send());
        let Ok(sent) = tokio::time::timeout(self.idle_timeout, sending).await else {
            traced.failed("timeout");
            return Err(SendFailure::Fault(Fault::Silent {
                host,
                after: self.idle_timeout,
            }));
        };
        traced.answered(&sent);
        sent.map_err(|error| SendFailure::of(error, host))
    }
}

impl SendFailure {
    /// Sorts an error of the HTTP client.
    pub(crate) fn of(error: reqwest::Error, host: String) -> Self {
        if error.is_builder() {
            return Self::Protocol("it names an address that no request can be made of");
        }
        match refusal(&error) {
            Some(refusal) => Self::Refused(refusal),
            None => Self::Fault(Fault::of_connection(error, host)),
        }
    }
}

/// Why the name of a host was not resolved, if it was us who would not.
fn refusal(error: &reqwest::Error) -> Option<HostRefusal> {
    causes(error).find_map(|cause| cause.downcast_ref().cloned())
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}
