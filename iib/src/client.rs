//! A client of the API.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use iib_edge::config::environment;
use iib_outward::Outward;
use iib_ports::Secret;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::say;
use crate::signature::{self, Signer};

/// How long one call may take; the API answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long is waited before a call is repeated whose answer was lost.
const REPEAT_AFTER: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// How often an answer may be elsewhere.
const REDIRECTS: usize = 5;

/// How long a call may wait for a change, seconds: as long as the service lets it.
const WAIT: u64 = 20;

/// The header by which the service knows a call again; in the answer of its health check it says that it does.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// There it says that it knows dry runs.
const DRY_RUN: &str = "Dry-Run";

/// A bearer token of the service's users.
#[derive(Debug, Clone)]
pub struct Token(Secret);

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Err("it is empty: unset IIB_TOKEN, or put a token there"),
            token => Ok(Self(Secret::new(token))),
        }
    }
}

/// A client of the API.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Follows no redirects: a login goes to the service, and to nobody whom it points to.
    http: reqwest::Client,
    /// Shows no login.
    elsewhere: reqwest::Client,
    base: Url,
    /// Whether a token is shown, in whose place no signature can stand.
    shows_token: bool,
    /// What calls are signed with, once the gateway in front of the service has asked for that.
    signer: Arc<OnceCell<Signer>>,
}

/// The way to the service: through the proxies of the environment, trusting whom `IIB_CA_FILE` names, too. Commands need no
/// other setting of the service.
fn outward() -> anyhow::Result<Outward> {
    let environment = environment();
    let file = environment
        .get("IIB_CA_FILE")
        .filter(|file| !file.is_empty());
    Outward::new(file.map(Path::new)).context("IIB_CA_FILE, or a proxy, cannot be used")
}

impl Client {
    /// A client of the service at `url`, with or without `/api/v1`, which shows the token with
    /// every call.
    pub(crate) fn new(url: &str, token: Option<&Token>) -> anyhow::Result<Self> {
        if url.contains('@') {
            bail!(
                "the address of the service has a login in it: leave it away, and put a token into IIB_TOKEN"
            );
        }
        let text = url.trim_end_matches('/');
        let text = text.strip_suffix("/api/v1").unwrap_or(text);
        let base = Url::parse(&format!("{text}/api/v1/")).with_context(|| {
            format!("`{url}` is no address of a service: write it as http://host:port")
        })?;
        let mut headers = HeaderMap::new();
        if let Some(Token(token)) = token {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut bearer = bearer.context("the token has characters that no token can have")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        // The same rules as for registries: a service on this machine is asked directly.
        let outward = outward()?;
        let builder = || outward.client().timeout(CALL_TIMEOUT);
        let http = builder()
            .redirect(Policy::none())
            .default_headers(headers)
            .build()?;
        Ok(Self {
            http,
            elsewhere: builder().build()?,
            base,
            shows_token: token.is_some(),
            signer: Arc::default(),
        })
    }

    /// Sends a call. Where the gateway of AWS in front of the service wants signatures it is signed, from the first
    /// refusal on: a call that the gateway refuses has not reached the service.
    async fn send(&self, call: RequestBuilder) -> reqwest::Result<Response> {
        let mut call = call.build()?;
        if let Some(signer) = self.signer.get() {
            told(&Box::pin(signer.sign(&mut call)).await);
            return self.http.execute(call).await;
        }
        let again = call.try_clone().filter(|_| !self.shows_token);
        let answer = self.http.execute(call).await?;
        let (answer, is_asked) = signature::is_asked_for(answer).await?;
        let Some(mut again) = again.filter(|_| is_asked) else {
            return Ok(answer);
        };
        // Finding credentials is a large future, which few calls need.
        let signed = Box::pin(self.signed(&mut again)).await;
        match told(&signed) {
            true => self.http.execute(again).await,
            false => Ok(answer),
        }
    }

    /// Signs a call, with credentials that are looked for the first time.
    async fn signed(&self, call: &mut reqwest::Request) -> anyhow::Result<()> {
        let signer = self
            .signer
            .get_or_try_init(|| Signer::of_environment(&self.base));
        signer.await?.sign(call).await
    }

    /// Whether calls are signed, because the gateway has asked for it.
    pub(crate) fn signs(&self) -> bool {
        self.signer.initialized()
    }

    /// The address of what is at a path, with or without a query, that begins with the service's host; none if that is not the
    /// service's any more.
    pub(crate) fn address(&self, path: &str) -> Option<Url> {
        let mut url = self.base.clone();
        // Never joined: what begins with two slashes would be another host.
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        url.set_path(path);
        url.set_query(query);
        let root = self.base.path().strip_suffix("api/v1/")?;
        // As it is asked for, without dots.
        url.path().starts_with(root).then_some(url)
    }

    /// What the service answers there, be it that it is elsewhere.
    pub(crate) async fn look(&self, url: Url, headers: HeaderMap) -> anyhow::Result<Response> {
        self.reached(self.send(self.http.get(url).headers(headers)).await)
    }

    /// Whether nobody else can read what is sent: by TLS, or on this machine.
    pub(crate) fn is_private(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        self.base.scheme() == "https" || is_here
    }

    /// Submits a request, or asks only what it would do; gives the document of the new request. Where the answer is
    /// lost the call is repeated, under a key by which the service knows it again, so that it makes one request; a
    /// service that knows no keys is not asked twice, and one that knows no dry runs is not asked for one.
    pub(crate) async fn submit(
        &self,
        kind: &str,
        body: &Value,
        is_dry_run: bool,
    ) -> anyhow::Result<Value> {
        let mut url = self.base.join(&format!("builds/{kind}"))?;
        if is_dry_run {
            // One that does not know them would do it.
            ensure!(
                self.knows(DRY_RUN).await == Some(true),
                "the service at {} does not say that it knows dry runs, and nothing was asked of it: it may be an older version, or not be there",
                self.base
            );
            url.set_query(Some("dry_run=true"));
        }
        let key = format!("{:032x}", fastrand::u128(..));
        let call = self.http.post(url).header(IDEMPOTENCY_KEY, key).json(body);
        let mut lost = match self.try_once(&call).await {
            Tried::Answered(answer) => return answer,
            Tried::Lost(error) => error,
        };
        for wait in REPEAT_AFTER {
            say::aside(format_args!(
                "the answer of the service was lost; it is asked again in {} s, for the same request",
                wait.as_secs()
            ));
            tokio::time::sleep(wait).await;
            match self.knows(IDEMPOTENCY_KEY).await {
                // It is not there yet.
                None => continue,
                Some(false) => break,
                Some(true) => {}
            }
            match self.try_once(&call).await {
                Tried::Answered(answer) => return answer,
                Tried::Lost(error) => lost = error,
            }
        }
        Err(lost.context(format!(
            "the answer of the service at {} was lost, and it may have taken the request: see whether it is listed there before you send it again",
            self.base
        )))
    }

    /// One try of a call that makes something.
    async fn try_once(&self, call: &RequestBuilder) -> Tried {
        // A body of JSON can be sent again.
        let Some(call) = call.try_clone() else {
            return Tried::Answered(Err(anyhow!("the call cannot be sent")));
        };
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Tried::Answered(self.reached(Err(error)).map(|_| Value::Null));
            }
            Err(error) => return Tried::Lost(error.into()),
        };
        // What speaks for the service, or the service itself, may not know what became of the call.
        let is_unknown = answer.status().is_server_error();
        match document(answer).await {
            Err(error) if is_unknown || error.downcast_ref::<reqwest::Error>().is_some() => {
                Tried::Lost(error)
            }
            answered => Tried::Answered(answered),
        }
    }

    /// Whether the health check of the service says that it knows something; none if it does not answer.
    async fn knows(&self, header: &str) -> Option<bool> {
        let url = self.base.join("healthcheck").ok()?;
        let answer = self.send(self.http.get(url)).await.ok()?;
        let is_there = answer.status().is_success();
        is_there.then(|| answer.headers().contains_key(header))
    }

    /// Fails unless the service can work.
    pub(crate) async fn health(&self) -> anyhow::Result<()> {
        let url = self.base.join("healthcheck")?;
        document(self.answer(self.http.get(url)).await?).await?;
        Ok(())
    }

    /// Some of the requests that a query asks for, and the query for the next ones, if there are more.
    pub(crate) async fn list(&self, query: &Query) -> anyhow::Result<(Vec<Value>, Option<Query>)> {
        let mut url = self.base.join("builds")?;
        url.query_pairs_mut().extend_pairs(query);
        let page = document(self.answer(self.http.get(url)).await?).await?;
        let items = page.get("items").and_then(Value::as_array);
        let next = page.pointer("/meta/next").and_then(Value::as_str);
        // Of the address only what is asked for: the service may be known under another name here.
        let next = next.and_then(|next| Url::parse(next).ok());
        let next = next.map(|next| next.query_pairs().into_owned().collect());
        Ok((items.cloned().unwrap_or_default(), next))
    }

    /// Stops a request; gives its document.
    pub(crate) async fn cancel(&self, id: u64) -> anyhow::Result<Value> {
        let url = self.base.join(&format!("builds/{id}/cancel"))?;
        document(self.reached(self.send(self.http.post(url)).await)?).await
    }

    /// The document of a request.
    pub(crate) async fn get(&self, id: u64) -> anyhow::Result<Value> {
        let url = self.base.join(&format!("builds/{id}"))?;
        document(self.answer(self.http.get(url)).await?).await
    }

    /// The document of a request, once it is of a newer version than this; after some time as it is then. The
    /// service may not let anybody wait, or not know that one can: then it is the document of now, at once.
    pub(crate) async fn newer(&self, id: u64, known: Option<u64>) -> anyhow::Result<Seen> {
        let path = match known {
            None => format!("builds/{id}"),
            Some(known) => format!("builds/{id}?after={known}&wait={WAIT}"),
        };
        let answer = self.answer(self.http.get(self.base.join(&path)?)).await?;
        let tag = answer.headers().get(ETAG);
        let version = tag.and_then(|tag| version(tag.to_str().ok()?));
        Ok(Seen {
            version,
            document: document(answer).await?,
        })
    }

    /// The address of the page of a request, or of the list.
    pub(crate) fn page(&self, id: Option<u64>) -> anyhow::Result<Url> {
        let path = id.map(|id| format!("requests/{id}")).unwrap_or_default();
        Ok(self.base.join("../../")?.join(&path)?)
    }

    /// The log of a request as far as it goes.
    pub(crate) async fn live_log(&self, id: u64) -> anyhow::Result<String> {
        let url = self.base.join(&format!("builds/{id}/logs?live=true"))?;
        let answer = self.answer(self.http.get(url)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(String::new());
        }
        if !answer.status().is_success() {
            // It says why not.
            return document(answer).await.map(|_| String::new());
        }
        Ok(answer.text().await?)
    }

    /// What a completed request changed in the catalog: `text` as lines for people, `markdown` to be pasted.
    pub(crate) async fn diff(&self, id: u64, format: &str) -> anyhow::Result<String> {
        let url = format!("builds/{id}/diff?format={format}");
        let url = self.base.join(&url)?;
        let answer = self.answer(self.http.get(url)).await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// The bundles that a request found behind a bundle.
    pub(crate) async fn nested_bundles(&self, id: u64) -> anyhow::Result<Vec<String>> {
        let url = self.base.join(&format!("builds/{id}/nested-bundles"))?;
        let document = document(self.answer(self.http.get(url)).await?).await?;
        Ok(serde_json::from_value(document)?)
    }

    /// The answer to a call that reads, wherever it is.
    async fn answer(&self, call: RequestBuilder) -> anyhow::Result<Response> {
        let mut answer = self.reached(self.send(call).await)?;
        for _ in 0..REDIRECTS {
            let Some(url) = elsewhere(&answer) else { break };
            let next = match url.origin() == self.base.origin() {
                true => self.send(self.http.get(url)).await,
                // A link of the store's, say, which has its own signature.
                false => self.elsewhere.get(url).send().await,
            };
            answer = self.reached(next)?;
        }
        Ok(answer)
    }

    fn reached(&self, answered: reqwest::Result<Response>) -> anyhow::Result<Response> {
        answered.with_context(|| {
            format!(
                "the service at {} cannot be reached; is `iib serve` running?",
                self.base
            )
        })
    }
}

/// Where an answer says that the rest is, which can be had by asking there.
fn elsewhere(answer: &Response) -> Option<Url> {
    let is_there = matches!(
        answer.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = answer.headers().get(LOCATION).filter(|_| is_there)?;
    answer.url().join(location.to_str().ok()?).ok()
}

/// Tells why a call is not signed; whether it is.
fn told(signed: &anyhow::Result<()>) -> bool {
    if let Err(error) = signed {
        say::aside(format_args!("the call is not signed: {error:#}"));
    }
    signed.is_ok()
}

/// The parameters of a call, in order.
pub(crate) type Query = Vec<(String, String)>;

/// A request as it was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Which version it is; none if the service does not say.
    pub(crate) version: Option<u64>,
    pub(crate) document: Value,
}

/// The version in the ETag of a request, behind which others may stand.
fn version(tag: &str) -> Option<u64> {
    let tag = tag.strip_prefix("W/")?.trim_matches('"');
    tag.split('-').next()?.parse().ok()
}

/// What became of one try.
enum Tried {
    /// The service said so.
    Answered(anyhow::Result<Value>),
    /// Nobody knows.
    Lost(anyhow::Error),
}

/// The JSON document of an answer, or the error text in it.
async fn document(answer: Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let of_token = answer.headers().get(WWW_AUTHENTICATE);
    let of_token = of_token.and_then(|value| fault_of_token(value.to_str().ok()?));
    let text = answer.text().await?;
    let document: Value = serde_json::from_str(&text)
        .with_context(|| format!("the service answered {status} without a JSON document"))?;
    if status.is_success() {
        return Ok(document);
    }
    // The service says `error`, a gateway before it `message`.
    let said = document.get("error").or_else(|| document.get("message"));
    let said = said
        .and_then(Value::as_str)
        .unwrap_or("it does not say why");
    bail!(Refusal {
        status,
        said: said.to_owned(),
        of_token,
    })
}

/// What a challenge says of the token (RFC 6750, section 3).
fn fault_of_token(challenge: &str) -> Option<String> {
    let (_, rest) = challenge.split_once("error_description=\"")?;
    let (why, _) = rest.split_once('"')?;
    Some(why.to_owned())
}

/// The service refused a call.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Its words, about members of the call's document.
    pub(crate) said: String,
    /// What is wrong with the token that it was shown.
    pub(crate) of_token: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            said,
            of_token,
        } = self;
        // Of a token the service's own text says what browsers show.
        if let Some(why) = of_token {
            return write!(
                f,
                "the service refused the request ({status}): the token in IIB_TOKEN is not accepted: {why}"
            );
        }
        write!(f, "the service refused the request ({status}): {said}")?;
        match *status {
            StatusCode::UNAUTHORIZED => f.write_str("; put a token into IIB_TOKEN"),
            StatusCode::FORBIDDEN if said == signature::FORBIDDEN => f.write_str(
                ": its gateway lets those in who may invoke it (execute-api:Invoke) and sign calls with AWS credentials",
            ),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}
