//! What spans are sent with.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect;
use tokio::sync::OnceCell;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read, bytes. A collector says what it did not take, if anything.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The HTTP client, made when it is first needed: roots of trust are loaded with it, which a start need not wait for.
#[derive(Debug, Default)]
pub(super) struct Client(OnceCell<reqwest::Client>);

/// The collector answered with more than is read.
#[derive(Debug, thiserror::Error)]
#[error("the collector answers with more than {ANSWER_LIMIT} bytes")]
struct TooLong;

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let is_here = request.uri().host().is_some_and(is_loopback);
        let made = async || {
            let client = reqwest::Client::builder()
                .user_agent(concat!("iib-serverless/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none());
            // No proxy is asked about this machine.
            match is_here {
                true => client.no_proxy().build(),
                false => client.build(),
            }
        };
        let client = self.0.get_or_try_init(made).await?;
        let mut response = client.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > ANSWER_LIMIT {
                return Err(TooLong.into());
            }
            body.extend_from_slice(&piece);
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}
