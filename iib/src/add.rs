//! `iib add`.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::cli::AddOptions;
use crate::client::Client;
use crate::wait::{Show, Waited, wait};

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
pub(crate) async fn run(options: &AddOptions) -> anyhow::Result<Exit> {
    let client = Client::new(&options.url, options.token.as_ref())?;
    let document = client.submit("add", &body(options)).await?;
    let id = document
        .get("id")
        .and_then(Value::as_u64)
        .context("the answer has no request id")?;
    if !options.wait {
        if options.json {
            println!("{document}");
        } else {
            println!("{id}");
        }
        return Ok(Exit::Done);
    }
    let show = if options.json {
        Show::Json
    } else {
        Show::Progress
    };
    if show == Show::Progress {
        eprintln!("request {id}");
    }
    match wait(&client, id, options.timeout, show).await? {
        Waited::Final(document) => Ok(report(&document, show)),
        Waited::TimedOut => {
            eprintln!(
                "request {id} is not done after {} s; it goes on, see {}/api/v1/builds/{id}",
                options.timeout.as_secs(),
                options.url.trim_end_matches('/')
            );
            Ok(Exit::TimedOut)
        }
    }
}

/// The request's body: only what was given.
fn body(options: &AddOptions) -> Value {
    let mut body = Map::new();
    body.insert("bundles".to_owned(), json!(options.bundles));
    for (name, value) in [
        ("from_index", &options.from_index),
        ("binary_image", &options.binary_image),
        ("distribution_scope", &options.distribution_scope),
    ] {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    for (name, list) in [
        ("add_arches", &options.add_arches),
        ("build_tags", &options.build_tags),
    ] {
        if !list.is_empty() {
            body.insert(name.to_owned(), json!(list));
        }
    }
    Value::Object(body)
}

/// Shows how the request ended: on success the pull spec by digest and nothing else.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to its user"
)]
fn report(document: &Value, show: Show) -> Exit {
    let text = |field| document.get(field).and_then(Value::as_str);
    let complete = text("state") == Some("complete");
    match show {
        Show::Json => println!("{document}"),
        Show::Progress if complete => {
            println!("{}", text("index_image_resolved").unwrap_or_default());
        }
        Show::Progress => eprintln!("failed: {}", text("state_reason").unwrap_or_default()),
    }
    if complete {
        Exit::Done
    } else {
        Exit::RequestFailed
    }
}
