//! Pages of a service that wants to know who asks, which a browser cannot say: shown on this machine by a server that
//! asks for them with the command's own login.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

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
    begin: String,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown {
    client: Client,
    /// The path of the first page.
    page: String,
    address: SocketAddr,
    /// Who knows it first is let in: other users of this machine reach the port, too, and any page in the browser can call
    /// it. Once, because they also see the words that a browser is started with.
    key: Mutex<Option<String>>,
    /// Who was let in.
    session: String,
}

impl ShownPages {
    /// Shows the pages of the client's service, the first of them `page`.
    ///
    /// # Errors
    /// No port can be had.
    pub(crate) async fn new(client: Client, page: &Url) -> anyhow::Result<Self> {
        let listener = listener().await;
        let listener = listener.context("no port of this machine can be listened on")?;
        let address = listener.local_addr()?;
        let key = secret()?;
        let begin = format!("http://{address}/?key={key}");
        let shown = Shown {
            client,
            page: page.path().to_owned(),
            address,
            key: Mutex::new(Some(key)),
            session: secret()?,
        };
        Ok(Self {
            listener,
            begin,
            shown: Arc::new(shown),
        })
    }

    /// Where a browser has to begin.
    pub(crate) fn begin(&self) -> &str {
        &self.begin
    }

    /// Shows them until it is dropped.
    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        let router = Router::new().fallback(show).with_state(self.shown);
        Ok(axum::serve(self.listener, router).await?)
    }
}

/// A port of this machine. Browsers share cookies among the ports of a host, so it is an address of its own where the system
/// has more than one for itself.
async fn listener() -> anyhow::Result<TcpListener> {
    let [_, a, b, c] = u32::to_be_bytes(random()? as u32);
    for address in [
        Ipv4Addr::new(127, a, b, c.clamp(1, 254)),
        Ipv4Addr::LOCALHOST,
    ] {
        if let Ok(listener) = TcpListener::bind((address, 0)).await {
            return Ok(listener);
        }
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}

/// Two halves, because that is the largest number there is.
fn secret() -> anyhow::Result<String> {
    Ok(format!("{:032x}{:032x}", random()?, random()?))
}

/// Of the system's randomness: whoever guesses it sees what the command's user may see.
fn random() -> anyhow::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(u128::from_ne_bytes(bytes))
}

async fn show(State(shown): State<Arc<Shown>>, call: Request) -> Response {
    // A name that somebody else resolves to this machine is not ours.
    if !call
        .headers()
        .get(header::HOST)
        .is_some_and(|host| shown.is_named(host))
    {
        return said(
            StatusCode::MISDIRECTED_REQUEST,
            "This is not the address of this server. If its port is forwarded, forward it from the same one.",
        );
    }
    if !matches!(*call.method(), Method::GET | Method::HEAD) {
        return said(
            StatusCode::METHOD_NOT_ALLOWED,
            "Pages are only shown here: change things with `iib`.",
        );
    }
    let key = call
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("key="));
    let key = key.filter(|_| call.uri().path() == "/");
    if shown.knows(call.headers()) {
        return match key {
            Some(_) => shown.first_page(),
            None => shown.hand_on(call).await,
        };
    }
    if key.is_some_and(|key| shown.takes(key)) {
        return shown.let_in();
    }
    said(
        StatusCode::FORBIDDEN,
        "Begin with the address that `iib open` has printed. It lets one browser in, once: if that was not yours, end the command, and run it again.",
    )
}

impl Shown {
    /// Whether a browser names this server so: by its address, or through a forwarded port.
    fn is_named(&self, host: &HeaderValue) -> bool {
        let port = self.address.port();
        let names = [
            self.address.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
        ];
        names.iter().any(|name| host.as_bytes() == name.as_bytes())
    }

    /// Whether this is the key, which nobody has used; it is used now.
    fn takes(&self, key: &str) -> bool {
        // It is whole after every statement.
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take_if(|kept| kept == key).is_some()
    }

    /// A cookie for the one who knew the key.
    fn let_in(&self) -> Response {
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie(),
            self.session
        );
        let mut answer = self.first_page();
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            answer.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// Goes on to the first page. Not by a redirect: where the address was followed from another site, the browser would leave
    /// the cookie out.
    fn first_page(&self) -> Response {
        let page = &self.page;
        let mut answer = said(StatusCode::OK, "");
        *answer.body_mut() = Body::from(format!(
            "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={page}\"><title>IIB</title><a href=\"{page}\">Go on</a>\n"
        ));
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        ] {
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    /// Browsers share cookies among the ports of a machine.
    fn cookie(&self) -> String {
        format!("iib-open-{}", self.address.port())
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let expected = format!("{}={}", self.cookie(), self.session);
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        cookies.any(|cookies| cookies.split(';').any(|cookie| cookie.trim() == expected))
    }

    async fn hand_on(&self, call: Request) -> Response {
        let asked = call
            .uri()
            .path_and_query()
            .map_or("/", |asked| asked.as_str());
        let Some(url) = self.client.address(asked) else {
            return said(StatusCode::NOT_FOUND, "The service has no such page.");
        };
        let headers = ASKED.iter().filter_map(|name| {
            let value = call.headers().get(name)?;
            Some((name.clone(), value.clone()))
        });
        match self.client.look(url, headers.collect()).await {
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
