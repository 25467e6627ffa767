//! `iib add`, `iib rm` and `iib create-empty-index`: requests to a running service.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::cli::{AddOptions, CreateEmptyIndexOptions, Following, RmOptions, ServiceAddress};
use crate::client::{Client, Refusal};
use crate::flags::with_flags;
use crate::follow::follow;
use crate::say;

pub(crate) async fn add(options: &AddOptions) -> anyhow::Result<Exit> {
    submit(
        "add",
        &add_body(options),
        &options.service,
        &options.following,
    )
    .await
}

pub(crate) async fn rm(options: &RmOptions) -> anyhow::Result<Exit> {
    submit(
        "rm",
        &rm_body(options),
        &options.service,
        &options.following,
    )
    .await
}

pub(crate) async fn create_empty_index(options: &CreateEmptyIndexOptions) -> anyhow::Result<Exit> {
    let (kind, body) = ("create-empty-index", create_empty_index_body(options));
    submit(kind, &body, &options.service, &options.following).await
}

async fn submit(
    kind: &str,
    body: &Value,
    service: &ServiceAddress,
    following: &Following,
) -> anyhow::Result<Exit> {
    let client = Client::new(&service.url, service.token.as_ref())?;
    let submitted = client.submit(kind, body).await;
    let document = submitted.map_err(in_flags)?;
    let id = document
        .get("id")
        .and_then(Value::as_u64)
        .context("the answer has no request id")?;
    if !following.wait {
        if following.json {
            say::line(document)?;
        } else {
            say::line(id)?;
        }
        return Ok(Exit::Done);
    }
    if !following.json {
        say::aside(format_args!("request {id}"));
    }
    follow(&client, id, service, following.timeout, following.json).await
}

/// A refusal in terms of the command: who uses flags has not written the members it is about.
fn in_flags(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refusal>() {
        Ok(refusal) => Refusal {
            said: with_flags(&refusal.said),
            ..refusal
        }
        .into(),
        Err(other) => other,
    }
}

/// The body of a call: only what was given.
fn add_body(options: &AddOptions) -> Value {
    let mut body = Map::new();
    body.insert("bundles".to_owned(), json!(options.bundles));
    given(&mut body, "from_index", options.from_index.as_ref());
    given(&mut body, "binary_image", options.binary_image.as_ref());
    let scope = options.distribution_scope.as_ref();
    given(&mut body, "distribution_scope", scope);
    lists(&mut body, &options.add_arches, &options.build_tags);
    Value::Object(body)
}

fn rm_body(options: &RmOptions) -> Value {
    let mut body = Map::new();
    body.insert("operators".to_owned(), json!(options.operators));
    body.insert("from_index".to_owned(), json!(options.from_index));
    given(&mut body, "binary_image", options.binary_image.as_ref());
    let scope = options.distribution_scope.as_ref();
    given(&mut body, "distribution_scope", scope);
    lists(&mut body, &options.add_arches, &options.build_tags);
    Value::Object(body)
}

fn lists(body: &mut Map<String, Value>, add_arches: &[String], build_tags: &[String]) {
    for (name, list) in [("add_arches", add_arches), ("build_tags", build_tags)] {
        given(body, name, Some(&list).filter(|list| !list.is_empty()));
    }
}

fn create_empty_index_body(options: &CreateEmptyIndexOptions) -> Value {
    let mut body = Map::new();
    body.insert("from_index".to_owned(), json!(options.from_index));
    given(&mut body, "binary_image", options.binary_image.as_ref());
    let scope = options.distribution_scope.as_ref();
    given(&mut body, "distribution_scope", scope);
    let output_fbc = options.output_fbc.then_some(true);
    given(&mut body, "output_fbc", output_fbc.as_ref());
    let labels: Map<String, Value> = options
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let labels = Some(&labels).filter(|labels| !labels.is_empty());
    given(&mut body, "labels", labels);
    Value::Object(body)
}

fn given(body: &mut Map<String, Value>, name: &str, value: Option<&impl serde::Serialize>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), json!(value));
    }
}
