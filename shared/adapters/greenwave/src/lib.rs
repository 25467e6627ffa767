#![doc = include_str!("../README.md")]

use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{GateAnswer, GateError, Gates};
use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use serde_json::{Map, Value};
use url::Url;

/// Longest time for an answer (worker flows §12).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, bytes.
const LARGEST: usize = 1024 * 1024;

/// Greenwave, at an address.
#[derive(Debug, Clone)]
pub struct Greenwave {
    http: reqwest::Client,
    decision: Url,
}

/// Greenwave cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreenwaveError {
    /// The address is none.
    #[error(
        "that is no address of Greenwave: write it as https://host/path, without a login and without what it is asked for"
    )]
    Address,
    /// The HTTP client cannot be set up.
    #[error("no HTTP client can be set up")]
    Http(#[from] reqwest::Error),
}

/// Where questions go that are asked of Greenwave at this address.
///
/// # Errors
/// [`GreenwaveError::Address`].
pub fn decision_url(address: &str) -> Result<Url, GreenwaveError> {
    let url = Url::parse(&format!("{}/decision", address.trim_end_matches('/'))).ok();
    // A login in it would be told with every failure.
    let is_plain = |url: &Url| {
        let login = !url.username().is_empty() || url.password().is_some();
        url.has_host() && !login && url.query().is_none() && url.fragment().is_none()
    };
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && is_plain(url));
    url.ok_or_else(|| GreenwaveError::Address)
}

impl Greenwave {
    /// Greenwave at this address, such as `https://greenwave.example.com/api/v1.0`, asked with a client that is made of
    /// this one to be.
    ///
    /// # Errors
    /// [`GreenwaveError`] if the address is none, or no HTTP client can be set up.
    pub fn new(address: &str, client: ClientBuilder) -> Result<Self, GreenwaveError> {
        let decision = decision_url(address)?;
        let http = client.timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { http, decision })
    }

    async fn ask(
        &self,
        question: &Map<String, Value>,
    ) -> Result<(u16, Option<Vec<u8>>), reqwest::Error> {
        let mut answer = self
            .http
            .post(self.decision.clone())
            .json(question)
            .send()
            .await?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Ok((status, None));
            }
        }
        Ok((status, Some(body)))
    }
}

#[async_trait]
impl Gates for Greenwave {
    async fn decide(&self, question: &Map<String, Value>) -> Result<GateAnswer, GateError> {
        let url = || self.decision.to_string();
        let (status, body) = self
            .ask(question)
            .await
            .map_err(|source| GateError::Unreachable {
                url: url(),
                // It has the address in it already.
                source: source.without_url().into(),
            })?;
        let body = body.ok_or_else(|| GateError::TooLong {
            url: url(),
            limit: LARGEST,
        })?;
        Ok(GateAnswer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}
