//! The commands that send requests to a running service.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use iib_edge::Config;
use iib_oci::PullSpec;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::cli::{
    AddOptions, Architectures, BatchOptions, BundleReading, CancelOptions, CreateEmptyIndexOptions,
    DeprecationsOptions, Documents, FbcOptions, Making, MergeOptions, Overwriting,
    RegenerateOptions, RelatedOptions, RmOptions, RollbackOptions, Sending, Tagging,
};
use crate::client::{Client, Refusal};
use crate::flags::with_flags;
use crate::follow::follow;
use crate::say;
use crate::source::registry;

/// The index that a login is for, by the names of its parameters.
const FROM_INDEX: [&str; 2] = ["overwrite_from_index", "overwrite_from_index_token"];
const TARGET_INDEX: [&str; 2] = ["overwrite_target_index", "overwrite_target_index_token"];

pub(crate) async fn add(options: &AddOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("bundles", &options.bundles);
    body.given("from_index", options.from_index.as_ref());
    body.flag("check_related_images", options.check_related_images);
    body.list("deprecation_list", &options.deprecation_list);
    body.given("graph_update_mode", options.graph_update_mode.as_ref());
    body.making(&options.making);
    body.architectures(&options.architectures);
    body.tagging(&options.tagging);
    body.overwriting(&options.overwriting, FROM_INDEX)?;
    body.send("add", &options.sending).await
}

pub(crate) async fn rm(options: &RmOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("operators", &options.operators);
    body.set("from_index", &options.from_index);
    body.making(&options.making);
    body.architectures(&options.architectures);
    body.tagging(&options.tagging);
    body.overwriting(&options.overwriting, FROM_INDEX)?;
    body.send("rm", &options.sending).await
}

pub(crate) async fn merge(options: &MergeOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("source_from_index", &options.source_from_index);
    body.given("target_index", options.target_index.as_ref());
    body.list("deprecation_list", &options.deprecation_list);
    body.given("graph_update_mode", options.graph_update_mode.as_ref());
    body.flag(
        "ignore_bundle_ocp_version",
        options.ignore_bundle_ocp_version,
    );
    body.making(&options.making);
    body.tagging(&options.tagging);
    body.overwriting(&options.overwriting, TARGET_INDEX)?;
    body.send("merge-index-image", &options.sending).await
}

pub(crate) async fn create_empty_index(options: &CreateEmptyIndexOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("from_index", &options.from_index);
    body.making(&options.making);
    body.flag("output_fbc", options.output_fbc);
    let labels = options.labels.iter();
    let labels: Map<String, Value> = labels
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    body.given("labels", Some(&labels).filter(|labels| !labels.is_empty()));
    body.send("create-empty-index", &options.sending).await
}

pub(crate) async fn fbc(options: &FbcOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("fbc_fragments", &options.fragments);
    body.set("from_index", &options.from_index);
    body.making(&options.making);
    body.architectures(&options.architectures);
    body.tagging(&options.tagging);
    body.overwriting(&options.overwriting, FROM_INDEX)?;
    body.send("fbc-operations", &options.sending).await
}

pub(crate) async fn deprecations(options: &DeprecationsOptions) -> anyhow::Result<Exit> {
    let file = &options.file;
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let mut body = Body::default();
    body.set("deprecation_schema", &text);
    body.set("operator_package", &options.operator_package);
    body.set("from_index", &options.from_index);
    body.given("binary_image", options.binary_image.as_ref());
    body.documents(&options.documents);
    body.tagging(&options.tagging);
    body.overwriting(&options.overwriting, FROM_INDEX)?;
    body.send("add-deprecations", &options.sending).await
}

pub(crate) async fn regenerate(options: &RegenerateOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("from_bundle_image", &options.bundle);
    let replacements = options.replacements.iter();
    let replacements: Map<String, Value> = replacements
        .map(|(old, new)| (old.clone(), json!(new)))
        .collect();
    let given = Some(&replacements).filter(|replacements| !replacements.is_empty());
    body.given("bundle_replacements", given);
    body.reading(&options.reading)?;
    body.documents(&options.documents);
    body.send("regenerate-bundle", &options.sending).await
}

pub(crate) async fn related(options: &RelatedOptions) -> anyhow::Result<Exit> {
    let mut body = Body::default();
    body.set("parent_bundle_image", &options.bundle);
    body.reading(&options.reading)?;
    body.send("recursive-related-bundles", &options.sending)
        .await
}

/// Several requests at once, from a file; they are followed one after the other.
pub(crate) async fn batch(options: &BatchOptions) -> anyhow::Result<Exit> {
    let file = &options.file;
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let body = match serde_json::from_str(&text) {
        Ok(Value::Array(requests)) => json!({"build_requests": requests}),
        Ok(body @ Value::Object(_)) => body,
        Ok(_) => bail!(
            "{} is neither a list of requests nor an object with `build_requests`",
            file.display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("{} is no JSON", file.display()));
        }
    };
    let Sending { service, following } = &options.sending;
    let client = Client::new(&service.url, service.token.as_ref())?;
    let path = format!("{}-batch", options.kind);
    let documents = client.submit(&path, &body, following.dry_run).await?;
    let requests = documents.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = requests
        .iter()
        .filter_map(|request| request.get("id")?.as_u64());
    let ids: Vec<u64> = ids.collect();
    ensure!(!ids.is_empty(), "the answer has no request ids");
    if !following.waits() {
        match following.json {
            true => say::line(documents)?,
            false => ids.iter().try_for_each(say::line)?,
        }
        return Ok(Exit::Done);
    }
    let deadline = Instant::now() + following.timeout;
    let mut exit = Exit::Done;
    for id in ids {
        if !following.json {
            say::aside(format_args!("request {id}"));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match follow(&client, id, service, left, following.json).await? {
            Exit::Done => {}
            // The others go on.
            Exit::RequestFailed => exit = Exit::RequestFailed,
            stopped => return Ok(stopped),
        }
    }
    Ok(exit)
}

/// The index is overwritten with the caller's own login: that of a file, else that which this machine has
/// for its registry.
pub(crate) async fn rollback(options: &RollbackOptions) -> anyhow::Result<Exit> {
    let Sending { service, .. } = &options.sending;
    let client = Client::new(&service.url, service.token.as_ref())?;
    let login = match &options.login_file {
        Some(file) => Some(login(file)?),
        None if client.is_private() => own_login(&client.get(options.request).await?).await?,
        None => {
            say::aside(
                "no login goes with it, because it could be read on its way: name one with --login-file, \
                 or the service by https",
            );
            None
        }
    };
    let mut body = Body::default();
    body.given(FROM_INDEX[1], login.as_ref());
    let path = format!("{}/rollback", options.request);
    body.send(&path, &options.sending).await
}

/// Nothing is made that others see: what was pushed before is a refusal.
pub(crate) async fn cancel(options: &CancelOptions) -> anyhow::Result<Exit> {
    let service = &options.service;
    let client = Client::new(&service.url, service.token.as_ref())?;
    let document = client.cancel(options.request).await?;
    let reason = document.get("state_reason").and_then(Value::as_str);
    match options.json {
        true => say::line(&document)?,
        false => say::line(reason.unwrap_or_default())?,
    }
    Ok(Exit::Done)
}

/// What `podman login` or `docker login` has left on this machine for the index that a request overwrote.
async fn own_login(request: &Value) -> anyhow::Result<Option<String>> {
    let text = |member| request.get(member).and_then(Value::as_str);
    let started_from = text("target_index").or_else(|| text("from_index"));
    // Only of one that took the place of its index: a login goes nowhere else.
    let index = text("index_image").filter(|index| Some(*index) == started_from);
    let Some(Ok(index)) = index.map(str::parse::<PullSpec>) else {
        // The service says what is wrong with such a request.
        return Ok(None);
    };
    let client = registry(&Config::from_env()?)?;
    let login = client.login(index.repository()).await?;
    Ok(login.map(|login| {
        say::aside(format_args!(
            "the login of {} for {} goes with it",
            login.user,
            index.repository()
        ));
        format!("{}:{}", login.user, login.password.expose())
    }))
}

/// The body of a call: only what was given.
#[derive(Default)]
struct Body(Map<String, Value>);

impl Body {
    fn set(&mut self, name: &str, value: &impl Serialize) {
        self.0.insert(name.to_owned(), json!(value));
    }

    fn given(&mut self, name: &str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn list(&mut self, name: &str, list: &[String]) {
        self.given(name, Some(&list).filter(|list| !list.is_empty()));
    }

    fn flag(&mut self, name: &str, flag: bool) {
        self.given(name, flag.then_some(&true));
    }

    fn making(&mut self, making: &Making) {
        self.given("binary_image", making.binary_image.as_ref());
        self.given("distribution_scope", making.distribution_scope.as_ref());
        self.documents(&making.documents);
    }

    fn documents(&mut self, documents: &Documents) {
        self.given("output_format", documents.output_format.as_ref());
    }

    fn architectures(&mut self, architectures: &Architectures) {
        self.list("add_arches", &architectures.add_arches);
    }

    fn tagging(&mut self, tagging: &Tagging) {
        self.list("build_tags", &tagging.build_tags);
    }

    fn overwriting(&mut self, asked: &Overwriting, names: [&str; 2]) -> anyhow::Result<()> {
        let [overwrite, token] = names;
        self.flag(overwrite, asked.overwrite);
        if let Some(file) = &asked.login_file {
            self.set(token, &login(file)?);
        }
        Ok(())
    }

    fn reading(&mut self, reading: &BundleReading) -> anyhow::Result<()> {
        self.given("organization", reading.organization.as_ref());
        if let Some(file) = &reading.auth_file {
            self.set("registry_auths", &logins(file)?);
        }
        Ok(())
    }

    async fn send(self, kind: &str, sending: &Sending) -> anyhow::Result<Exit> {
        let Sending { service, following } = sending;
        let client = Client::new(&service.url, service.token.as_ref())?;
        let body = Value::Object(self.0);
        let submitted = client.submit(kind, &body, following.dry_run).await;
        let document = submitted.map_err(in_flags)?;
        let id = document
            .get("id")
            .and_then(Value::as_u64)
            .context("the answer has no request id")?;
        if !following.waits() {
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
}

/// The logins in an auth file, as the API takes them. What asks a program for them stays on this machine.
fn logins(file: &Path) -> anyhow::Result<Value> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
    // What it holds is in no message.
    let document: Option<Value> = serde_json::from_str(&text).ok();
    let document = document.with_context(|| format!("{name} is no JSON"))?;
    let auths = document.get("auths").and_then(Value::as_object);
    let auths = auths.into_iter().flatten().filter_map(|(key, entry)| {
        let auth = entry.get("auth").and_then(Value::as_str);
        let usable = auth.filter(|_| entry.get("identitytoken").is_none());
        if usable.is_none() {
            say::aside(format_args!(
                "{name}: the login for {key} is left out: it is no `auth` with user and password"
            ));
        }
        Some((key.clone(), json!({"auth": usable?})))
    });
    let auths: Map<String, Value> = auths.collect();
    ensure!(
        !auths.is_empty(),
        "{name} has no logins: its `auths` are to have entries with an `auth`, as `podman login --authfile` writes them"
    );
    Ok(json!({"auths": auths}))
}

/// The first line of a file with a login.
fn login(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let login = text.lines().next().unwrap_or_default();
    ensure!(
        login.contains(':'),
        "{} has no login in its first line: write it as user:password",
        file.display()
    );
    Ok(login.to_owned())
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
