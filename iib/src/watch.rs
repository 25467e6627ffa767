//! Files that appear in the data folder, handed to their function as a bucket's events.

use std::collections::BTreeMap;
use std::time::Duration;

use iib_pipeline::artifact::ArtifactDeps;
use iib_ports::{Artifact, ArtifactError, ArtifactKey, ArtifactRoot, chain};
use jiff::Timestamp;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the folders are looked at: a person who puts a file there sees at once what becomes
/// of it.
const EVERY: Duration = Duration::from_secs(1);

/// Files of a folder looked at in one round. Those that are handled go, so the others' turn comes.
const FILES: u32 = 1000;

/// How often a file is handed over whose handling fails, as an event is delivered on AWS. It may
/// be touched for more.
const DELIVERIES: u32 = 3;

/// Hands files over until `stop`.
pub(crate) async fn watch(deps: ArtifactDeps, stop: CancellationToken) {
    let rounds = async {
        let mut watch = Watch::new(deps);
        let mut ticks = tokio::time::interval(EVERY);
        // A long round is followed by a pause, not by those that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = watch.round().await {
                warn!(error = chain(&error), "the folders cannot be looked at");
            }
        }
    };
    stop.run_until_cancelled_owned(rounds).await;
}

/// What was seen of a file.
#[derive(Debug, Clone, Copy)]
struct Seen {
    size: u64,
    changed: Timestamp,
    /// How often it was handed over.
    deliveries: u32,
}

struct Watch {
    deps: ArtifactDeps,
    seen: BTreeMap<ArtifactKey, Seen>,
}

impl Watch {
    fn new(deps: ArtifactDeps) -> Self {
        Self {
            deps,
            seen: BTreeMap::new(),
        }
    }

    /// Looks at the folders once. A file is handed over when it has not changed since the last
    /// time: whoever still writes it would change it.
    async fn round(&mut self) -> Result<(), ArtifactError> {
        let mut seen = BTreeMap::new();
        for root in [ArtifactRoot::Inbox, ArtifactRoot::Uploads] {
            let artifacts = &self.deps.intake.artifacts;
            for file in artifacts.list(root, None, None, FILES).await? {
                let now = self.look_at(&file).await;
                seen.insert(file.key, now);
            }
        }
        // What is gone is forgotten.
        self.seen = seen;
        Ok(())
    }

    async fn look_at(&self, file: &Artifact) -> Seen {
        let unchanged = |before: &&Seen| (before.size, before.changed) == (file.size, file.stored);
        let Some(before) = self.seen.get(&file.key).filter(unchanged) else {
            return Seen {
                size: file.size,
                changed: file.stored,
                deliveries: 0,
            };
        };
        if before.deliveries >= DELIVERIES {
            return *before;
        }
        let event = LambdaEvent::new(event(file), Context::default());
        let handling = Box::pin(iib_artifact::handle(&self.deps, event));
        let deliveries = match handling.await {
            // If it is there all the same, nothing more is to be done with it.
            Ok(()) => DELIVERIES,
            Err(_) => before.deliveries + 1,
        };
        Seen {
            deliveries,
            ..*before
        }
    }
}

/// The event in the shape a bucket sends.
fn event(file: &Artifact) -> Value {
    let changed = file.stored;
    json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "local",
        "eventTime": format!("{changed:.3}"),
        "eventName": "ObjectCreated:Put",
        // A folder does not say who wrote to it.
        "userIdentity": {},
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "iib-artifact",
            "bucket": { "name": "local", "arn": "arn:aws:s3:::local" },
            "object": {
                "key": encode(file.key.as_str()),
                "size": file.size,
                "sequencer": format!("{:016X}{:08X}", changed.as_nanosecond(), file.size),
            },
        },
    }] })
}

/// A key as events have it.
fn encode(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'/' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iib_pipeline::intake::IntakeDeps;
    use iib_ports::Requests as _;
    use iib_request::{ApiSettings, BinaryImages, RequestId};
    use iib_testkit::memory::{
        MemoryArtifacts, MemoryLines, MemoryLogs, MemoryQueue, MemoryRequests, MemorySecrets,
        RecordingNotifier,
    };
    use iib_testkit::time::ManualClock;
    use jiff::SignedDuration;

    use super::*;

    const DOCUMENT: &str = r#"{"from_index": "r.example/i:1", "binary_image": "r.example/b:1"}"#;

    struct Folder {
        watch: Watch,
        artifacts: Arc<MemoryArtifacts>,
        requests: Arc<MemoryRequests>,
        queue: Arc<MemoryQueue>,
        clock: Arc<ManualClock>,
    }

    impl Folder {
        fn new() -> Self {
            let clock = Arc::new(ManualClock::default());
            let artifacts = Arc::new(MemoryArtifacts::with_clock(clock.clone()));
            let requests = Arc::new(MemoryRequests::default());
            let queue = Arc::new(MemoryQueue::default());
            let intake = IntakeDeps {
                results: None,
                new: iib_request::RequestSettings::default(),
                requests: requests.clone(),
                operators: requests.clone(),
                queue: queue.clone(),
                lines: Arc::new(MemoryLines::default()),
                logs: Arc::new(MemoryLogs::default()),
                artifacts: artifacts.clone(),
                secrets: Arc::new(MemorySecrets::default()),
                clock: clock.clone(),
                notifier: Arc::new(RecordingNotifier::default()),
                figures: Arc::new(iib_ports::NoFigures),
                traces: Arc::new(iib_ports::NoTraces),
                api: ApiSettings::default(),
                binary_images: BinaryImages::new(),
                hosts: iib_oci::hosts::HostRules::default(),
            };
            let watch = Watch::new(ArtifactDeps {
                intake,
                max_bundle_bytes: 1,
            });
            Self {
                watch,
                artifacts,
                requests,
                queue,
                clock,
            }
        }

        async fn put(&self, key: &str, content: &'static str) {
            let content = Box::pin(futures::stream::iter([Ok(content.into())]));
            let artifacts = &self.watch.deps.intake.artifacts;
            artifacts.put(&key.parse().unwrap(), content).await.unwrap();
            self.clock.advance(SignedDuration::from_millis(1));
        }

        async fn round(&mut self) -> Vec<String> {
            self.watch.round().await.unwrap();
            let keys = self.artifacts.keys().into_iter();
            keys.map(|key| key.to_string()).collect()
        }
    }

    #[tokio::test]
    async fn a_file_is_handed_over_when_nobody_writes_it_any_more() {
        let mut folder = Folder::new();
        let key = "inbox/žlutý one.json";
        folder.put(key, &DOCUMENT[..10]).await;
        assert_eq!(folder.round().await, [key]);
        folder.put(key, DOCUMENT).await;
        assert_eq!(folder.round().await, [key]);
        assert_eq!(folder.round().await, ["results/žlutý one.json"]);
        // The same once more is another request.
        folder.put(key, DOCUMENT).await;
        folder.round().await;
        folder.round().await;
        let second = folder.requests.get(RequestId(2)).await.unwrap();
        assert!(second.is_some());
        assert!(folder.requests.get(RequestId(3)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_whose_handling_fails_is_handed_over_some_times_again() {
        let mut folder = Folder::new();
        folder.put("inbox/a.json", DOCUMENT).await;
        folder.round().await;
        folder.queue.refuse_next(1);
        assert_eq!(folder.round().await, ["inbox/a.json"]);
        assert_eq!(folder.round().await, ["results/a.json"]);
    }
}
