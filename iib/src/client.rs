//! A client of the API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

/// How long one call may take; the API answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the API.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the service at `url`, with or without `/api/v1`.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let text = url.trim_end_matches('/');
        let text = text.strip_suffix("/api/v1").unwrap_or(text);
        let base = Url::parse(&format!("{text}/api/v1/"))
            .with_context(|| format!("`{url}` is no address of a service"))?;
        let http = reqwest::Client::builder().timeout(CALL_TIMEOUT).build()?;
        Ok(Self { http, base })
    }

    /// Submits a request; gives the document of the new request.
    pub(crate) async fn submit(&self, kind: &str, body: &Value) -> anyhow::Result<Value> {
        let url = self.base.join(&format!("builds/{kind}"))?;
        document(self.answer(self.http.post(url).json(body)).await?).await
    }

    /// The document of a request.
    pub(crate) async fn get(&self, id: u64) -> anyhow::Result<Value> {
        let url = self.base.join(&format!("builds/{id}"))?;
        document(self.answer(self.http.get(url)).await?).await
    }

    /// The log of a request as far as it goes.
    pub(crate) async fn live_log(&self, id: u64) -> anyhow::Result<String> {
        let url = self.base.join(&format!("builds/{id}/logs?live=true"))?;
        let answer = self.answer(self.http.get(url)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(String::new());
        }
        Ok(answer.error_for_status()?.text().await?)
    }

    async fn answer(&self, call: RequestBuilder) -> anyhow::Result<Response> {
        call.send().await.with_context(|| {
            format!(
                "the service at {} cannot be reached; is `iib serve` running?",
                self.base
            )
        })
    }
}

/// The JSON document of an answer, or the error text in it.
async fn document(answer: Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let text = answer.text().await?;
    let document: Value = serde_json::from_str(&text)
        .with_context(|| format!("the service answered {status} without a JSON document"))?;
    if status.is_success() {
        return Ok(document);
    }
    match document.get("error").and_then(Value::as_str) {
        Some(error) => bail!("the service refused the request ({status}): {error}"),
        None => bail!("the service refused the request ({status})"),
    }
}
