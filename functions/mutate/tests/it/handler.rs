//! The handler does its stage, given the event documents of `events/`.

use futures::TryStreamExt;
use iib_oci::Digest;
use iib_ports::ArtifactKey;
use iib_request::{Stage, State, Task};
use serde_json::{Value, json};

use crate::machine::{Machine, log_of, record, waiting};

fn event() -> Value {
    serde_json::from_str(include_str!("../../../../events/sqs-mutate.json")).unwrap()
}

#[tokio::test]
async fn the_function_makes_the_layer_of_a_request() {
    let machine = Machine::before(Stage::Mutate).await;
    let response = machine.run(iib_mutate::handle, &event()).await;
    assert_eq!(response, json!({"batchItemFailures": []}));

    let local = machine.open();
    let record = record(&local).await;
    assert_eq!(
        (record.work.stage, record.state()),
        (Stage::Push, State::InProgress)
    );
    let built = record.built.unwrap().layers.remove(0);
    let key: ArtifactKey = built.artifact.parse().unwrap();
    assert_eq!(key.request(), Some(record.id));
    let pieces: Vec<_> = local
        .deps
        .artifacts
        .get(&key)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let layer = pieces.concat();
    assert_eq!(built.layer.size, layer.len() as u64);
    assert_eq!(built.layer.digest, Digest::of(&layer));

    let next = Task::new(record.id, Stage::Push);
    assert_eq!(waiting(&local, Stage::Push).await, [next]);
    let log = log_of(&local, Stage::Mutate).await;
    let (last, others) = log.split_last().unwrap();
    assert_eq!(
        others,
        [
            "Checking if bundles are already present in index image",
            "~ package lantern",
            "  ~ package lantern: default channel alpha -> stable",
            "  ~ channel lantern/alpha: head lantern.v0.1.0 -> lantern.v0.2.0",
            "  ~ channel lantern/alpha: + entry lantern.v0.2.0 replaces lantern.v0.1.0",
            "  + channel lantern/stable: head lantern.v0.2.0, 2 entries",
            "  + bundle lantern/lantern.v0.2.0",
        ]
    );
    assert!(last.contains(built.layer.digest.as_str()), "{last}");
}

#[tokio::test]
async fn messages_fail_alone() {
    let machine = Machine::before(Stage::Mutate).await;
    machine
        .assert_that_messages_fail_alone(iib_mutate::handle, event(), Stage::Push)
        .await;
    assert_eq!(record(&machine.open()).await.work.stage, Stage::Push);
}
