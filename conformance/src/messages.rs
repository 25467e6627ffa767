//! Messages that scenarios of the API have recorded, held against ours.
//!
//! A scenario is played against the router and the stores of `iib serve`; after each step all that waits is told to
//! somebody who remembers. A step is compared only if it is answered as the reference answers it: where both differ on purpose,
//! so do the messages.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, header};
use http_body_util::BodyExt as _;
use iib_edge::Messaging;
use iib_pipeline::notify::{NotifyDeps, tell};
use iib_ports::{AnnounceError, Announcer};
use iib_request::{About, Destination, Message};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::api::{Scenario, USER_HEADER};

/// Steps whose messages differ from the recorded ones on purpose ([ADR 18](../../docs/adr/0018-what-is-told.md)): of
/// requests of a batch whose work cannot be handed over the reference sends once more that they go on, and of a
/// batch that fails as a whole that way nothing.
const ON_PURPOSE: [(&str, u32); 2] = [
    ("scheduling-fails-in-batch", 1),
    ("scheduling-fails-in-batch", 3),
];

/// Batches that are told of after a step; there are never so many.
const BATCHES: u32 = 1000;

/// Who plays a scenario calls the service so.
const BASE: &str = "http://iib.example";

#[derive(Deserialize)]
struct Recorded {
    name: String,
    config: Value,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    request: Call,
    response: Response,
    #[serde(default)]
    messages: Vec<Value>,
}

#[derive(Deserialize)]
struct Call {
    method: String,
    path: String,
    #[serde(default)]
    query: Map<String, Value>,
    user: Option<String>,
    json: Option<Value>,
    raw_body: Option<String>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
}

/// What playing scenarios came to.
#[derive(Default)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    on_purpose: u64,
}

/// Plays the scenarios in these files and folders, and says what differs.
pub(crate) fn run(places: &[PathBuf]) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut count = Count::default();
    for file in files(places)? {
        let text =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let recorded: Recorded = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no scenario", file.display()))?;
        let differences = runtime.block_on(play(&recorded, &mut count))?;
        differences.iter().for_each(|difference| say(difference));
    }
    let Count {
        passed,
        failed,
        on_purpose,
    } = count;
    say(&format!("{on_purpose} differ on purpose"));
    say(&format!("{passed} passed, {failed} failed"));
    Ok(failed == 0 && passed > 0)
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
fn say(line: &str) {
    println!("{line}");
}

fn files(places: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in places {
        if !place.is_dir() {
            files.push(place.clone());
            continue;
        }
        let entries: Result<Vec<_>, _> = std::fs::read_dir(place)?.collect();
        let mut found: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
        found.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Plays a scenario, and gives what differs in its messages.
async fn play(recorded: &Recorded, count: &mut Count) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.json");
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let config = recorded
        .config
        .to_string()
        .replace("<tmp>", &path_of(&data)?);
    std::fs::write(&file, config)?;
    let scenario = Scenario::read(&file)?;
    let messaging = scenario.messaging().clone();
    let (router, notify) = scenario.open()?;
    let heard = Arc::new(Heard {
        messaging,
        messages: Mutex::default(),
    });
    let notify = notify.map(|notify| NotifyDeps {
        announcers: vec![heard.clone()],
        ..notify.deps
    });
    let whom = BTreeSet::from([heard.destination()]);
    let mut differences = Vec::new();
    for (number, step) in (1..).zip(&recorded.steps) {
        let status = send(&router, &step.request).await?;
        if let Some(notify) = &notify {
            for behind in notify.outbox.waiting(&whom, BATCHES).await? {
                tell(notify, behind.batch, None).await?;
            }
        }
        let told = heard.take();
        if status != step.response.status {
            continue;
        }
        if ON_PURPOSE.contains(&(recorded.name.as_str(), number)) {
            count.on_purpose += 1;
            continue;
        }
        let what = format!(
            "{} step {number} {} {}",
            recorded.name, step.request.method, step.request.path
        );
        match difference(&json!(step.messages), &json!(told)) {
            None => count.passed += 1,
            Some(difference) => {
                count.failed += 1;
                differences.push(format!("{what}: {difference}"));
            }
        }
    }
    Ok(differences)
}

fn path_of(path: &Path) -> anyhow::Result<String> {
    Ok(path
        .to_str()
        .context("the temporary folder has an odd name")?
        .to_owned())
}

async fn send(router: &Router, call: &Call) -> anyhow::Result<u16> {
    let mut uri = format!("{BASE}{}", call.path);
    if !call.query.is_empty() {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let pairs = call.query.iter().flat_map(|(name, value)| match value {
            Value::Array(values) => values.iter().map(|value| (name, text(value))).collect(),
            value => vec![(name, text(value))],
        });
        let pairs: BTreeMap<_, _> = pairs.collect();
        uri = url::Url::parse_with_params(&uri, pairs)?.into();
    }
    let mut request = Request::builder().method(call.method.as_str()).uri(uri);
    request = request.header(header::HOST, "iib.example");
    if let Some(user) = &call.user {
        request = request.header(USER_HEADER, user);
    }
    let body = match (&call.json, &call.raw_body) {
        (Some(json), _) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(json.to_string())
        }
        (None, Some(raw)) => {
            if let Some(content_type) = &call.content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            Body::from(raw.clone())
        }
        (None, None) => Body::empty(),
    };
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let request = request.extension(ConnectInfo(from)).body(body)?;
    let response = router.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await?;
    Ok(status)
}

/// Somebody who remembers what he is told at the addresses of the settings.
struct Heard {
    messaging: Messaging,
    messages: Mutex<Vec<Value>>,
}

impl Heard {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Announcer for Heard {
    fn destination(&self) -> Destination {
        Destination::BrokerRequests
    }

    async fn reach(&self) -> Result<(), AnnounceError> {
        Ok(())
    }

    async fn announce(&self, messages: &[Message]) -> Result<(), AnnounceError> {
        let [requests_to, batches_to] = self.messaging.destinations();
        let mut heard = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        for message in messages {
            let address = match message.about {
                About::Request { .. } => &requests_to,
                About::Batch => &batches_to,
            };
            let properties = message.properties().into_iter();
            let properties: Map<_, _> = properties
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            heard.extend(address.as_ref().map(|address| {
                json!({"address": address, "body": message.body, "properties": properties})
            }));
        }
        Ok(())
    }
}

/// What differs first, and where. Placeholders are those of the replayer.
fn difference(expected: &Value, found: &Value) -> Option<String> {
    let unlike = || Some(format!("expected {expected}, got {found}"));
    match (expected, found) {
        (Value::Object(expected), Value::Object(_)) if expected.contains_key("$any_order") => {
            unlike()
        }
        (Value::Object(expected), Value::Object(found)) => {
            let names = expected.keys().chain(found.keys());
            names
                .into_iter()
                .find_map(|name| match (expected.get(name), found.get(name)) {
                    (Some(expected), Some(found)) => {
                        difference(expected, found).map(|text| format!("{name}: {text}"))
                    }
                    (expected, _) if expected.is_some() => Some(format!("{name} is missing")),
                    _ => Some(format!("there is no {name} in it")),
                })
        }
        (Value::Object(expected), Value::Array(found)) => {
            // A list in any order.
            let wanted = expected.get("$any_order").and_then(Value::as_array);
            let Some(wanted) = wanted.filter(|wanted| wanted.len() == found.len()) else {
                return unlike();
            };
            let is_there = |one: &Value| found.iter().any(|other| difference(one, other).is_none());
            if wanted.iter().all(is_there) {
                None
            } else {
                unlike()
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = (0..).zip(expected.iter().zip(found));
            pairs.find_map(|(at, (expected, found)): (usize, _)| {
                difference(expected, found).map(|text| format!("[{at}] {text}"))
            })
        }
        (Value::String(expected), Value::String(found)) => {
            let is_time = expected == "<timestamp>" && found.ends_with('Z');
            let same = is_time || expected.replace("<base>", BASE) == *found;
            if same { None } else { unlike() }
        }
        _ if expected == found => None,
        _ => unlike(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(messages: &Value) -> Recorded {
        serde_json::from_value(json!({
            "name": "own",
            "config": {
                "login_disabled": true,
                "IIB_WORKER_USERNAMES": ["worker"],
                "IIB_MESSAGING_URLS": ["amqps://broker.example:5671"],
                "IIB_MESSAGING_BATCH_STATE_DESTINATION": "topic://batches",
            },
            "steps": [{
                "request": {
                    "method": "POST", "path": "/api/v1/builds/regenerate-bundle", "user": "ann",
                    "json": {"from_bundle_image": "r.example/b:1", "organization": "acme"},
                },
                "response": {"status": 201},
                "messages": messages,
            }],
        }))
        .unwrap()
    }

    fn expected(state: &str) -> Value {
        let requests =
            json!([{"id": 1, "organization": "acme", "request_type": "regenerate-bundle"}]);
        json!([{
            "address": "topic://batches",
            "body": {"annotations": null, "batch": 1, "requests": requests, "state": state, "user": "ann"},
            "properties": {"batch": 1, "state": "in_progress", "user": "ann"},
        }])
    }

    #[tokio::test]
    async fn what_is_told_is_compared() {
        for (messages, differs) in [
            (expected("in_progress"), None),
            (
                expected("complete"),
                Some("[0] body: state: expected \"complete\", got \"in_progress\""),
            ),
            (json!([]), Some("expected [], got [")),
        ] {
            let mut count = Count::default();
            let differences = play(&scenario(&messages), &mut count).await.unwrap();
            assert_eq!(
                (count.passed, count.failed),
                if differs.is_none() { (1, 0) } else { (0, 1) }
            );
            assert_eq!(differences.len(), usize::from(differs.is_some()));
            if let Some(text) = differs {
                assert!(differences[0].contains(text), "{}", differences[0]);
            }
        }
    }
}
