//! Following a request to its end on behalf of a person: `iib wait`, and `--wait`.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

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
            if show == Show::Json && is_complete(&document) && is_dry_run(&document) {
                let diff = client.diff(id, "json").await.ok();
                let diff = diff.and_then(|text| serde_json::from_str::<Value>(&text).ok());
                say::line(json!({ "diff": diff }))?;
            }
            let made = match show {
                Show::Progress if is_complete(&document) => {
                    let made = made(client, id, &document).await;
                    made.with_context(|| {
                        format!("request {id} is complete, and what it made cannot be had")
                    })?
                }
                Show::Progress | Show::Json => String::new(),
            };
            report(&document, &made, show)
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

fn is_dry_run(document: &Value) -> bool {
    document.get("dry_run") == Some(&Value::Bool(true))
}

fn is_complete(document: &Value) -> bool {
    document.get("state").and_then(Value::as_str) == Some("complete")
}

/// What a request has made, for whoever asked: the pull spec by digest, the bundles that were found, or what would be
/// changed, and nothing else.
async fn made(client: &Client, id: u64, document: &Value) -> anyhow::Result<String> {
    let text = |field| document.get(field).and_then(Value::as_str);
    if text("request_type") == Some("recursive-related-bundles") {
        return Ok(client.nested_bundles(id).await?.join("\n"));
    }
    if is_dry_run(document) {
        return client.diff(id, "markdown").await;
    }
    // Not every kind tells the digest.
    let image = text("index_image_resolved").or_else(|| text("index_image"));
    let image = image.or_else(|| text("bundle_image"));
    Ok(image.unwrap_or_default().to_owned())
}

/// Shows how the request ended.
fn report(document: &Value, made: &str, show: Show) -> anyhow::Result<Exit> {
    let is_complete = is_complete(document);
    match show {
        Show::Json => say::line(document)?,
        Show::Progress if is_complete => made.lines().try_for_each(say::line)?,
        Show::Progress => {
            let reason = document.get("state_reason").and_then(Value::as_str);
            say::aside(format_args!(
                "failed: {}",
                with_flags(reason.unwrap_or_default())
            ));
        }
    }
    Ok(match is_complete {
        true => Exit::Done,
        false => Exit::RequestFailed,
    })
}
