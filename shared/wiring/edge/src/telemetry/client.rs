//! What spans are sent with.

use std::time::Duration;

use async_trait::async_trait;
use iib_outward::Outward;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect;
use tokio::sync::OnceCell;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read, bytes. A collector says what it did not take, if anything.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The HTTP client, made when it is first needed: roots of trust are loaded with it, which a start need not wait for.
#[derive(Debug)]
pub(super) struct Client {
    made: OnceCell<reqwest::Client>,
    outward: Outward,
}

impl Client {
    pub(super) fn going(outward: Outward) -> Self {
        Self {
            made: OnceCell::new(),
            outward,
        }
    }
}

/// The collector answered with more than is read.
#[derive(Debug, thiserror::Error)]
#[error("the collector answers with more than {ANSWER_LIMIT} bytes")]
struct TooLong;

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let made = async || {
            let client = (self.outward.client())
                .user_agent(concat!("iib-serverless/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none());
            client.build()
        };
        let client = self.made.get_or_try_init(made).await?;
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
