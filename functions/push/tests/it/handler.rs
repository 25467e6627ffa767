//! The handler does its stage, given the event documents of `events/`.

use std::sync::Arc;

use iib_indexdb::SqliteIndex;
use iib_oci::{PullSpec, Resolved};
use iib_ports::ArtifactRoot;
use iib_request::{Stage, State, Task};
use iib_testkit::Pull as _;
use serde_json::{Value, json};

use crate::machine::{Machine, log_of, record, waiting};

/// The index of the test takes far less.
const INDEX_LIMIT: u64 = 1 << 24;

fn event() -> Value {
    serde_json::from_str(include_str!("../../../../events/sqs-push.json")).unwrap()
}

#[tokio::test]
async fn the_function_pushes_the_index_of_a_request() {
    let machine = Machine::before(Stage::Push).await;
    let response = machine.run(iib_push::handle, &event()).await;
    assert_eq!(response, json!({"batchItemFailures": []}));

    let local = machine.open();
    let registry = &*local.deps.registry;
    let record = record(&local).await;
    assert_eq!(
        (record.work.stage, record.state()),
        (Stage::Done, State::Complete)
    );
    let manifest = async |tag: &str| {
        let spec: PullSpec = format!("{}/iib-build:{tag}", machine.host).parse().unwrap();
        registry.pull(&spec).await.unwrap()
    };
    let list = manifest("1").await;
    assert_eq!(manifest("nightly").await, list);
    let pinned = format!("{}/iib-build@{}", machine.host, list.digest());
    assert_eq!(record.facts.index_image_resolved, Some(pinned));
    let Resolved::List(list) = list.read().unwrap() else {
        panic!("the result is one image")
    };
    let listed: Vec<_> = list
        .manifests
        .iter()
        .map(|entry| &entry.descriptor.digest)
        .collect();
    let images = [
        manifest("1-amd64").await.digest(),
        manifest("1-arm64").await.digest(),
    ];
    assert_eq!(listed, images.each_ref());

    let index = record.facts.index_image.unwrap().parse().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let catalog = iib_pipeline::read_catalog(
        registry,
        Arc::new(SqliteIndex),
        &index,
        scratch.path(),
        INDEX_LIMIT,
    )
    .await
    .unwrap();
    let bundles: Vec<_> = catalog.packages["lantern"].bundles.iter().collect();
    assert_eq!(bundles, ["lantern.v0.1.0", "lantern.v0.2.0"]);

    let left = local
        .deps
        .artifacts
        .list(ArtifactRoot::Work, Some(record.id), None, 1)
        .await;
    assert_eq!(left.unwrap(), []);
    // Only what mutate sent: nothing comes after this stage.
    let sent = Task::new(record.id, Stage::Push);
    assert_eq!(waiting(&local, Stage::Push).await, [sent]);
    let log = log_of(&local, Stage::Push).await;
    assert_eq!(
        log,
        [
            "Creating the manifest list",
            "The operator bundle(s) were successfully added to the index image"
        ]
    );
}

#[tokio::test]
async fn messages_fail_alone() {
    let machine = Machine::before(Stage::Push).await;
    machine
        .assert_that_messages_fail_alone(iib_push::handle, event(), Stage::Pin)
        .await;
    assert_eq!(record(&machine.open()).await.work.stage, Stage::Done);
}
