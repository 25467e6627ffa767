//! `iib add`.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::cli::AddOptions;
use crate::client::{Client, Refusal};
use crate::flags::with_flags;
use crate::follow::follow;
use crate::say;

pub(crate) async fn run(options: &AddOptions) -> anyhow::Result<Exit> {
    let service = &options.service;
    let client = Client::new(&service.url, service.token.as_ref())?;
    let submitted = client.submit("add", &body(options)).await;
    let document = submitted.map_err(in_flags)?;
    let id = document
        .get("id")
        .and_then(Value::as_u64)
        .context("the answer has no request id")?;
    if !options.wait {
        if options.json {
            say::line(document)?;
        } else {
            say::line(id)?;
        }
        return Ok(Exit::Done);
    }
    if !options.json {
        say::aside(format_args!("request {id}"));
    }
    follow(&client, id, service, options.timeout, options.json).await
}

/// A refusal in terms of the command: who uses flags has not written the members it is about.
fn in_flags(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refusal>() {
        Ok(Refusal { status, said }) => Refusal {
            status,
            said: with_flags(&said),
        }
        .into(),
        Err(other) => other,
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
