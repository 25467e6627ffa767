//! A repository at its server: HTTP calls, and what may be said of them.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{Stream, stream};
use iib_oci::hosts::HostRules;
use iib_ports::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, RequestBuilder, Response};
use tokio_util::io::{StreamReader, SyncIoBridge};
use url::Url;

use crate::fault::Fault;

/// How long a connection may take to come about; as for registries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent; as for registries.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What is sent is given a second for so many bytes, besides: an upload is not silence.
const SLOWEST: u64 = 128 * 1024;
/// How often a server may lead elsewhere: to the name with `.git`, and once more.
const REDIRECTS: usize = 3;
/// Most of what a server says that is shown, in characters.
const SHOWN: usize = 500;
/// How we name ourselves. Some servers look for Git in it.
const USER_AGENT: &str = concat!("git/iib-serverless-", env!("CARGO_PKG_VERSION"));

/// The client for all repositories.
#[derive(Debug, Clone)]
pub(crate) struct GitHttp {
    http: reqwest::Client,
    hosts: HostRules,
    idle: Duration,
}

/// What is asked of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Service {
    Upload,
    Receive,
}

impl Service {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upload => "git-upload-pack",
            Self::Receive => "git-receive-pack",
        }
    }
}

/// A repository, and who asks.
pub(crate) struct Remote {
    http: GitHttp,
    url: Url,
    authorization: HeaderValue,
    /// The token, and as it is sent.
    hidden: [Secret; 2],
}

impl GitHttp {
    /// A client that is made of this one to be, for hosts by these rules. It is never silent for longer than `patience`.
    pub(crate) fn new(
        client: ClientBuilder,
        hosts: HostRules,
        patience: Duration,
    ) -> Result<Self, reqwest::Error> {
        let http = client
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT.min(patience))
            // Followed by us, because a token goes along.
            .redirect(Policy::none())
            .build()?;
        Ok(Self {
            http,
            hosts,
            idle: IDLE_TIMEOUT.min(patience),
        })
    }
}

/// The address of a repository, as it stands in settings.
pub(crate) fn address(repository: &str) -> Option<Url> {
    let url = Url::parse(repository).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_all = url.query().is_none() && url.fragment().is_none() && url.path().len() > 1;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_http && is_plain && is_all).then_some(url)
}

impl Remote {
    /// The repository at this address, asked with this token.
    pub(crate) fn new(
        http: &GitHttp,
        repository: &str,
        (name, value): (&str, &str),
    ) -> Result<Self, Fault> {
        let url = address(repository).ok_or(Fault::Address)?;
        let login = Secret::new(format!("{name}:{value}"));
        let login = Secret::new(BASE64_STANDARD.encode(login.expose()));
        let authorization = HeaderValue::from_str(&format!("Basic {}", login.expose()));
        let mut authorization = authorization.map_err(|_| Fault::Address)?;
        authorization.set_sensitive(true);
        Ok(Self {
            http: http.clone(),
            url,
            authorization,
            hidden: [login, Secret::new(value)],
        })
    }

    /// A failure without anything of the token, whatever the server has said.
    pub(crate) fn told(&self, fault: Fault) -> Fault {
        // Before anything is cut, which could leave a part of it.
        let hide = |mut said: String| {
            for secret in &self.hidden {
                said = said.replace(secret.expose(), "(redacted)");
            }
            said.chars().take(SHOWN).collect()
        };
        match fault {
            Fault::Said(said) => Fault::Said(hide(said)),
            Fault::Refused(said) => Fault::Refused(hide(said)),
            Fault::Redirect(to) => Fault::Redirect(hide(to)),
            other => other,
        }
    }

    /// Asks which branches there are, and what the server can do. Where the repository has another name on the same
    /// server, it goes by that from then on.
    pub(crate) async fn refs(&mut self, service: Service) -> Result<Response, Fault> {
        let kind = format!("application/x-{}-advertisement", service.name());
        for _ in 0..=REDIRECTS {
            let mut url = self.below("/info/refs");
            url.set_query(Some(&format!("service={}", service.name())));
            let sent = self.http.http.get(url);
            let response = self.answer(sent, self.http.idle).await?;
            if !response.status().is_redirection() {
                return checked(response, &kind);
            }
            self.url = self.moved(&response)?;
        }
        Err(Fault::Protocol("it leads elsewhere again and again"))
    }

    /// Sends something to a service. `size` is that of the body.
    pub(crate) async fn post(
        &self,
        service: Service,
        body: reqwest::Body,
        size: u64,
    ) -> Result<Response, Fault> {
        let name = service.name();
        let sent = self.http.http.post(self.below(&format!("/{name}")));
        let sent = sent
            .header(CONTENT_TYPE, format!("application/x-{name}-request"))
            .header(CONTENT_LENGTH, size)
            .body(body);
        let time = self.http.idle + Duration::from_secs(size / SLOWEST);
        let response = self.answer(sent, time).await?;
        checked(response, &format!("application/x-{name}-result"))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let whole = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url
    }

    async fn answer(&self, request: RequestBuilder, time: Duration) -> Result<Response, Fault> {
        // The first address, and where it leads: each is looked at.
        self.http.hosts.check(&self.url)?;
        let sent = request
            .header(AUTHORIZATION, self.authorization.clone())
            .send();
        match tokio::time::timeout(time, sent).await {
            // It has the address in it, which is told beside it.
            Ok(Err(error)) => Err(Fault::Unreachable(error.without_url())),
            Ok(Ok(response)) => Ok(response),
            Err(_) => Err(Fault::Silent(time)),
        }
    }

    /// Where the repository is by what the server says, if the token may be shown there.
    fn moved(&self, response: &Response) -> Result<Url, Fault> {
        const NOWHERE: Fault = Fault::Protocol("it leads to no address");
        let to = response.headers().get(LOCATION);
        let to = to.and_then(|to| to.to_str().ok()).ok_or(NOWHERE)?;
        let mut to = response.url().join(to).map_err(|_| NOWHERE)?;
        if to.origin() != self.url.origin() {
            return Err(Fault::Redirect(
                to.host_str().unwrap_or_default().to_owned(),
            ));
        }
        let path = to.path().strip_suffix("/info/refs").map(str::to_owned);
        // A page where people log in, most likely.
        let path = path.ok_or_else(|| Fault::Login(response.status().as_u16()))?;
        to.set_path(&path);
        to.set_query(None);
        Ok(to)
    }

    /// Lets `work` read an answer on a thread of its own; at most `limit` bytes of it.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        response: Response,
        limit: u64,
        work: impl FnOnce(&mut dyn io::Read) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let body = Box::pin(body(response, self.http.idle, limit));
        let mut reader = SyncIoBridge::new(StreamReader::new(body));
        let read = tokio::task::spawn_blocking(move || work(&mut reader));
        read.await.map_err(Fault::BrokenOff)?
    }
}

/// The bytes of an answer, which neither stop nor go on for ever.
fn body(
    response: Response,
    idle: Duration,
    limit: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((response, limit)), move |state| async move {
        let (mut response, left) = state?;
        let chunk = match tokio::time::timeout(idle, response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk?),
            Ok(Err(error)) => Err(Fault::Unreachable(error.without_url())),
            Err(_) => Err(Fault::Silent(idle)),
        };
        let within = |chunk: Bytes| match left.checked_sub(chunk.len() as u64) {
            Some(left) => Ok((chunk, left)),
            None => Err(Fault::TooLarge(limit)),
        };
        Some(match chunk.and_then(within) {
            Ok((chunk, left)) => (Ok(chunk), Some((response, left))),
            Err(fault) => (Err(io::Error::other(fault)), None),
        })
    })
}

/// An answer that is what was asked for.
fn checked(response: Response, kind: &str) -> Result<Response, Fault> {
    let status = response.status().as_u16();
    match status {
        200 => {}
        401 | 403 => return Err(Fault::Login(status)),
        300..=399 => return Err(Fault::Protocol("it leads elsewhere")),
        _ => return Err(Fault::Status(status)),
    }
    let said = response.headers().get(CONTENT_TYPE);
    match said.is_some_and(|said| said.as_bytes() == kind.as_bytes()) {
        true => Ok(response),
        false => Err(Fault::Protocol("the answer is of another kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_token_is_told_where_a_server_repeats_it() {
        let http = GitHttp::new(
            reqwest::Client::builder().no_proxy(),
            HostRules::default(),
            IDLE_TIMEOUT,
        )
        .unwrap();
        let token = "hunter2hunter2";
        let remote = Remote::new(&http, "https://git.example/a.git", ("ann", token)).unwrap();
        let sent = BASE64_STANDARD.encode(format!("ann:{token}"));
        // Across the place where what is said is cut off, too.
        for before in (SHOWN - token.len() - sent.len())..SHOWN {
            let said = format!("{}{token} Basic {sent}", "x".repeat(before));
            for fault in [Fault::Said(said.clone()), Fault::Refused(said)] {
                let told = remote.told(fault).to_string();
                assert!(!told.contains("hunt"), "{told}");
                assert!(!told.contains(sent.get(..6).unwrap()), "{told}");
            }
        }
    }
}
