//! One HTTP request, with the redirects it leads to.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response};
use url::Url;

use crate::config::RegistryConfig;
use crate::hosts::{Hosts, same_origin};
use crate::{Fault, Proxies, RegistryInitError};

/// How many redirects are followed. Registries need one, to the store their blobs are in;
/// mirrors add another.
const REDIRECT_LIMIT: usize = 5;

/// How we name ourselves to registries.
pub(crate) const USER_AGENT: &str = concat!("iib-serverless/", env!("CARGO_PKG_VERSION"));

/// The HTTP client and the rules for URLs.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    hosts: Hosts,
    proxies: Proxies,
    idle_timeout: Duration,
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
    /// Sets up the one HTTP client of the process' registry calls; root certificates are loaded
    /// here.
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, RegistryInitError> {
        let proxies = match &config.proxies {
            Some(proxies) => proxies.clone(),
            None => Proxies::of_environment()?,
        };
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(config.connect_timeout.min(config.patience))
            .proxy(proxies.clone().into_reqwest())
            // Followed here instead, because of the rules for authorization and plain HTTP.
            .redirect(reqwest::redirect::Policy::none())
            // No read timeout: reqwest's would also end a long upload that makes progress.
            .build()
            .map_err(RegistryInitError::Http)?;
        Ok(Self {
            http,
            hosts: Hosts::new(config.insecure_registries.clone())?,
            proxies,
            idle_timeout: config.idle_timeout.min(config.patience),
        })
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The other end of a call, for messages: the host, and the proxy it is reached through.
    pub(crate) fn other_end(&self, url: &Url) -> String {
        let host = url.authority();
        match self.proxies.for_url(url).and_then(Url::host_str) {
            Some(proxy) => format!("{host} (through the proxy {proxy})"),
            None => host.to_owned(),
        }
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
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
            let next = self.location(&response)?;
            if !same_origin(&next, &outgoing.url) {
                authorization = None;
            }
            url = next;
        }
        Err(SendFailure::Protocol("it redirects more than five times"))
    }

    /// The URL a `Location` header names, if the registry may name it.
    pub(crate) fn location(&self, response: &Response) -> Result<Url, SendFailure> {
        let text = response
            .headers()
            .get(LOCATION)
            .ok_or(SendFailure::Protocol("the Location header is missing"))?
            .to_str()
            .map_err(|_| SendFailure::Protocol("the Location header is not text"))?;
        let url = response
            .url()
            .join(text)
            .map_err(|_| SendFailure::Protocol("the Location header is not a URL"))?;
        match url.scheme() {
            _ if self.hosts.allow(&url) => Ok(url),
            "http" => Err(SendFailure::Fault(Fault::PlainPlace {
                host: self.other_end(&url),
            })),
            _ => Err(SendFailure::Protocol(
                "it leads to an address that is neither HTTPS nor HTTP",
            )),
        }
    }

    async fn send_once(
        &self,
        outgoing: &Outgoing,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, SendFailure> {
        let mut request = self
            .http
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
        match tokio::time::timeout(self.idle_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(SendFailure::of(error, host)),
            Err(_) => Err(SendFailure::Fault(Fault::Silent {
                host,
                after: self.idle_timeout,
            })),
        }
    }
}

impl SendFailure {
    /// Sorts an error of the HTTP client.
    pub(crate) fn of(error: reqwest::Error, host: String) -> Self {
        if error.is_builder() {
            return Self::Protocol("it names an address that no request can be made of");
        }
        Self::Fault(Fault::of_connection(error, host))
    }
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}
