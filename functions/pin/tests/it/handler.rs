//! The handler does its stage, given the event documents of `events/`.

use iib_request::{IndexForm, Plan, Stage, State, Task};
use iib_testkit::Pull as _;
use serde_json::{Value, json};

use crate::machine::{Machine, log_of, record, waiting};

fn event() -> Value {
    serde_json::from_str(include_str!("../../../../events/sqs-pin.json")).unwrap()
}

#[tokio::test]
async fn the_function_pins_the_images_of_a_request() {
    let machine = Machine::before(Stage::Pin).await;
    let response = machine.run(iib_pin::handle, &event()).await;
    assert_eq!(response, json!({"batchItemFailures": []}));

    let local = machine.open();
    let record = record(&local).await;
    assert_eq!(
        (record.work.stage, record.state()),
        (Stage::Mutate, State::InProgress)
    );
    assert_eq!(
        record.state_reason(),
        "Building the index image for the following arches: amd64, arm64"
    );
    let Some(Plan::Index(plan)) = record.plan else {
        panic!("no plan of an index: {:?}", record.plan)
    };
    let digest = async |name: &str| {
        let spec = format!("{}/examples/{name}", machine.host).parse().unwrap();
        local.deps.registry.pull(&spec).await.unwrap().digest()
    };
    let bundle = &plan.bundles[0];
    assert_eq!(plan.bundles.len(), 1);
    assert_eq!(bundle.pinned.digest(), &digest("lantern:v0.2.0").await);
    assert_eq!(bundle.package.as_deref(), Some("lantern"));
    let index = plan.from.unwrap();
    assert_eq!(index.resolved.digest(), &digest("index:v1").await);
    assert_eq!(
        index.form,
        IndexForm::Database("database/index.db".to_owned())
    );
    assert_eq!(plan.version, "v4.6");
    let arches: Vec<_> = plan.bases.keys().map(ToString::to_string).collect();
    assert_eq!(arches, ["amd64", "arm64"]);

    let next = Task::new(record.id, Stage::Mutate);
    assert_eq!(waiting(&local, Stage::Mutate).await, [next]);
    assert_eq!(
        log_of(&local, Stage::Pin).await,
        [
            "Resolving the bundles",
            "Resolving the container images",
            "Building the index image for the following arches: amd64, arm64",
        ]
    );
}

#[tokio::test]
async fn messages_fail_alone() {
    let machine = Machine::before(Stage::Pin).await;
    machine
        .assert_that_messages_fail_alone(iib_pin::handle, event(), Stage::Mutate)
        .await;
    assert_eq!(record(&machine.open()).await.work.stage, Stage::Mutate);
}
