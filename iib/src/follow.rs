//! Following a request to its end on behalf of a person: `iib wait`, and `--wait`.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::Exit;
use crate::cli::{LOCAL_URL, ServiceAddress, WaitOptions};
use crate::client::Client;
use crate::flags::with_flags;
use crate::say;
use crate::wait::{Show, Waited, wait};

pub(crate) async fn run(options: &WaitOptions) -> anyhow::Result<Exit> {
    let client = Client::new(&options.service.url, options.service.token.as_ref())?;
    // Asked once outright: a request that is not there would be waited for in vain.
    client.get(options.request).await?;
    follow(
        &client,
        options.request,
        &options.service,
        options.timeout,
        options.json,
    )
    .await
}

/// Shows how a request goes and how it ends. Whoever stops waiting is told how to go on.
pub(crate) async fn follow(
    client: &Client,
    id: u64,
    service: &ServiceAddress,
    limit: Duration,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let show = match as_json {
        true => Show::Json,
        false => Show::Progress,
    };
    let waited = tokio::select! {
        waited = wait(client, id, limit, show) => waited?,
        stopped = tokio::signal::ctrl_c() => {
            stopped?;
            say::aside(format_args!("\nrequest {id} goes on; {}", how_to_go_on(id, service)));
            return Ok(Exit::Interrupted);
        }
    };
    match waited {
        Waited::Final(document) => {
            let nested = match show {
                Show::Progress if looks_behind(&document) => {
                    let nested = client.nested_bundles(id).await;
                    nested.with_context(|| {
                        format!("request {id} is complete, and its list cannot be had")
                    })?
                }
                Show::Progress | Show::Json => Vec::new(),
            };
            report(&document, &nested, show)
        }
        Waited::TimedOut => {
            say::aside(format_args!(
                "request {id} is not done after {} s and goes on; {}",
                limit.as_secs(),
                how_to_go_on(id, service)
            ));
            Ok(Exit::TimedOut)
        }
    }
}

fn how_to_go_on(id: u64, service: &ServiceAddress) -> String {
    let url = service.url.as_str();
    let told = match url == LOCAL_URL {
        true => String::new(),
        false => format!(" --url {url}"),
    };
    format!("`iib wait {id}{told}` follows it")
}

/// Whether the request was for the bundles behind a bundle, and they are there.
fn looks_behind(document: &Value) -> bool {
    let is =
        |member: &str, value: &str| document.get(member).and_then(Value::as_str) == Some(value);
    is("request_type", "recursive-related-bundles") && is("state", "complete")
}

/// Shows how the request ended: on success the pull spec by digest, or the bundles that were found, and nothing else.
fn report(document: &Value, nested: &[String], show: Show) -> anyhow::Result<Exit> {
    let text = |field| document.get(field).and_then(Value::as_str);
    let complete = text("state") == Some("complete");
    match show {
        Show::Json => say::line(document)?,
        Show::Progress if complete && looks_behind(document) => {
            nested.iter().try_for_each(say::line)?;
        }
        Show::Progress if complete => {
            // Not every kind tells the digest.
            let image = text("index_image_resolved").or_else(|| text("index_image"));
            let image = image.or_else(|| text("bundle_image"));
            say::line(image.unwrap_or_default())?;
        }
        Show::Progress => {
            let reason = text("state_reason").unwrap_or_default();
            say::aside(format_args!("failed: {}", with_flags(reason)));
        }
    }
    Ok(match complete {
        true => Exit::Done,
        false => Exit::RequestFailed,
    })
}
