//! Pages of a service that wants to know who asks, which a browser cannot say: shown on this machine by a server that
//! asks for them with the command's own login.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use tokio::net::TcpListener;

use crate::client::Client;

/// What a browser says of the answer that it wants.
const ASKED: [header::HeaderName; 5] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
];
/// What holds for a connection alone (RFC 9110, section 7.6.1), and what the service says to its own site.
const KEPT_BACK: [header::HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::UPGRADE,
];

/// A server on loopback through which one browser sees the pages of a service.
#[derive(Debug)]
pub(crate) struct ShownPages {
    listener: TcpListener,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown {
    client: Client,
    /// The path of the first page.
    page: String,
    /// All pages of the service are below this path.
    root: String,
    /// This server, as browsers name it.
    host: String,
    /// Who knows it may look: other users of this machine reach the port, too, and any page in the browser can call it.
    key: String,
}

impl ShownPages {
    /// Shows the pages of the client's service, the first of them `page`.
    ///
    /// # Errors
    /// No port can be had.
    pub(crate) async fn new(client: Client, page: &Url) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("no port of this machine can be listened on")?;
        let address: SocketAddr = listener.local_addr()?;
        let root = client.page(None)?.path().to_owned();
        // Two halves, because that is the largest number there is.
        let key = format!("{:032x}{:032x}", random()?, random()?);
        let shown = Shown {
            client,
            page: page.path().to_owned(),
            root,
            host: address.to_string(),
            key,
        };
        Ok(Self {
            listener,
            shown: Arc::new(shown),
        })
    }

    /// Where a browser has to begin.
    pub(crate) fn address(&self) -> String {
        let Shown { host, key, .. } = &*self.shown;
        format!("http://{host}/?key={key}")
    }

    /// Shows them until it is dropped.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let router = Router::new().fallback(show).with_state(self.shown);
        Ok(axum::serve(self.listener, router).await?)
    }
}

/// Of the system's randomness: whoever guesses it sees what the command's user may see.
fn random() -> anyhow::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(u128::from_ne_bytes(bytes))
}

async fn show(State(shown): State<Arc<Shown>>, call: Request) -> Response {
    let is_named_so = |host: &HeaderValue| host.as_bytes() == shown.host.as_bytes();
    // A name that somebody else resolves to this machine is not ours.
    if !call.headers().get(header::HOST).is_some_and(is_named_so) {
        return said(
            StatusCode::MISDIRECTED_REQUEST,
            "This is not the address of this server.",
        );
    }
    if !matches!(*call.method(), Method::GET | Method::HEAD) {
        return said(
            StatusCode::METHOD_NOT_ALLOWED,
            "Pages are only shown here: change things with `iib`.",
        );
    }
    if call.uri().path() == "/" && call.uri().query() == Some(&*format!("key={}", shown.key)) {
        return shown.let_in();
    }
    if !shown.knows(call.headers()) {
        return said(
            StatusCode::FORBIDDEN,
            "Begin with the address that `iib open` has printed; in this browser that was not done.",
        );
    }
    shown.hand_on(call).await
}

impl Shown {
    /// A cookie for the one who knows the key, which then stands in no address any more.
    fn let_in(&self) -> Response {
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie(),
            self.key
        );
        let mut answer = said(StatusCode::SEE_OTHER, "");
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::SET_COOKIE, cookie),
            (header::LOCATION, self.page.clone()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
        answer
    }

    /// Browsers share cookies among the ports of a machine.
    fn cookie(&self) -> String {
        format!(
            "iib-open-{}",
            self.host.rsplit(':').next().unwrap_or_default()
        )
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let expected = format!("{}={}", self.cookie(), self.key);
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        cookies.any(|cookies| cookies.split(';').any(|cookie| cookie.trim() == expected))
    }

    async fn hand_on(&self, call: Request) -> Response {
        let asked = call
            .uri()
            .path_and_query()
            .map_or("/", |asked| asked.as_str());
        if !asked.starts_with(&self.root) {
            return said(StatusCode::NOT_FOUND, "The service has no such page.");
        }
        let headers = ASKED.iter().filter_map(|name| {
            let value = call.headers().get(name)?;
            Some((name.clone(), value.clone()))
        });
        match self.client.look(asked, headers.collect()).await {
            Ok(answer) => handed_on(answer),
            Err(error) => said(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
        }
    }
}

/// The service's answer as this server gives it.
fn handed_on(answer: reqwest::Response) -> Response {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in &KEPT_BACK {
        headers.remove(name);
    }
    let mut shown = Response::new(Body::from_stream(answer.bytes_stream()));
    *shown.status_mut() = status;
    *shown.headers_mut() = headers;
    shown
}

fn said(status: StatusCode, text: &str) -> Response {
    let mut answer = Response::new(Body::from(format!("{text}\n")));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
