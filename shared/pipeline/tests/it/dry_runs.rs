//! Requests of which it is only to be seen what they would do.

use iib_pipeline::intake::{
    Asker, Document, IntakeDeps, IntakeError, Submission, diff, document, graph, plan, submit,
};
use iib_ports::Secret;
use iib_request::{
    AddRequest, CreateEmptyIndex, Record, RecursiveRelatedBundles, RegenerateBundle, Request,
    RmRequest, Rollback, Stage, State, Unknown,
};
use serde_json::{Value, json};

use crate::overwrite::{tagged, world_and_request};
use crate::regenerate::{bundle, files};
use crate::world::{OUTPUT, World, told};

/// Submits a request as a dry run, and follows it to its end.
async fn shows(world: &World, request: impl Into<Submission>) -> Record {
    let asker = Asker {
        is_dry_run: true,
        ..Asker::default()
    };
    let intake = IntakeDeps::from(world.deps.clone());
    let record = submit(&intake, asker, request).await.unwrap();
    world.run_queue().await;
    let record = world.record(record.id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!(record.work.stage, Stage::Done);
    record
}

fn value(plan: &impl serde::Serialize) -> Value {
    serde_json::to_value(plan).unwrap()
}

#[tokio::test]
async fn nothing_is_pushed_or_moved_and_the_diff_is_that_of_the_request_itself() {
    let (world, index, request) = world_and_request().await;
    let before = tagged(&world, &index).await;
    let submission = Submission {
        request: request.clone().into(),
        secrets: [("overwrite_from_index_token", Secret::new("ann:word"))].into(),
    };
    let record = shows(&world, submission).await;
    assert_eq!(tagged(&world, &index).await, before);
    assert_eq!(world.tags(OUTPUT).await.len(), 0);
    assert_eq!(record.facts.index_image, None);
    assert_eq!(record.overwritten, None);
    assert_eq!(record.results, []);
    let states = told(&record);
    let last = "The dry run completed successfully: nothing was pushed";
    assert_eq!(states.last(), Some(&last));
    // Nothing of it is left but what is shown.
    let mut left = world.artifacts.keys().into_iter();
    assert!(left.all(|key| key.as_str().starts_with("kept/")));
    assert_eq!(world.secrets.count(), 0);
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");

    let intake = IntakeDeps::from(world.deps.clone());
    let shown = value(&plan(&intake, record.id).await.unwrap());
    assert_eq!(shown["makes"], "index");
    let pinned = index.pin(before.clone()).to_string();
    assert_eq!(shown["from_index"], json!(pinned));
    let overwrites = json!({"index": index.to_string(), "digest": before.to_string()});
    assert_eq!(shown["overwrites"], overwrites);
    assert_eq!(shown["bundles"][0]["package"], "lantern");
    let would = diff(&intake, record.id).await.unwrap();
    assert!(!would.is_empty());
    let picture = graph(&intake, record.id, None).await.unwrap();

    let done = world.completes(request).await;
    assert_eq!(diff(&intake, done.id).await.unwrap(), would);
    assert_eq!(graph(&intake, done.id, None).await.unwrap(), picture);
    assert_eq!(value(&plan(&intake, done.id).await.unwrap()), shown);
    assert_ne!(tagged(&world, &index).await, before);
}

#[tokio::test]
async fn it_waits_for_nobody_and_nobody_waits_for_it() {
    let (world, index, request) = world_and_request().await;
    let intake = IntakeDeps::from(world.deps.clone());
    let first = world.submit(request.clone()).await;
    let pin = world.queue.take_next().unwrap();
    world.deliver(&pin).await;
    let asker = Asker {
        is_dry_run: true,
        ..Asker::default()
    };
    let dry = submit(&intake, asker, request.clone()).await.unwrap().id;
    let turn = async || world.deps.lines.of(index.as_str()).await.unwrap().turn;
    // It goes its whole way while the other one has the turn and stands still.
    let mut later = Vec::new();
    while let Some(task) = world.queue.take_next() {
        match task.request_id == dry {
            true => drop(world.deliver(&task).await),
            false => later.push(task),
        }
        assert_eq!(turn().await, Some(first));
    }
    let record = world.record(dry).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!(world.record(first).await.state(), State::InProgress);
    for task in later {
        world.deliver(&task).await;
    }
    world.run_queue().await;
    assert_eq!(world.record(first).await.state(), State::Complete);
    assert_eq!(world.record(first).await.work.rebases, 0);
}

#[tokio::test]
async fn what_fails_fails_as_the_request_would() {
    let (world, _, request) = world_and_request().await;
    let missing = AddRequest {
        bundles: vec![world.spec("bundles/none:v1").to_string()],
        ..request
    };
    let asker = Asker {
        is_dry_run: true,
        ..Asker::default()
    };
    let intake = IntakeDeps::from(world.deps.clone());
    let dry = submit(&intake, asker, missing.clone()).await.unwrap().id;
    let real = world.submit(missing).await;
    world.run_queue().await;
    let [dry, real] = [world.record(dry).await, world.record(real).await];
    assert_eq!(dry.state(), State::Failed);
    assert_eq!(dry.state_reason(), real.state_reason());
    let none = plan(&intake, dry.id).await.unwrap_err();
    assert!(matches!(none, IntakeError::Failed(..)), "{none:?}");
    assert!(
        none.to_string()
            .ends_with("so it has no plan: its logs say why")
    );
}

#[tokio::test]
async fn every_kind_can_be_tried() {
    let (world, index, request) = world_and_request().await;
    let done = world.completes(request.clone()).await;
    let overwritten = done.overwritten.clone().unwrap();
    let bundle = bundle("amd64", &files(&[]));
    let bundle = world.push("bundles/oil:v1", &bundle).await.to_string();
    let before = tagged(&world, &index).await;
    let tags = world.tags(OUTPUT).await;
    let kinds: Vec<(Request, &str, bool)> = vec![
        (
            RmRequest {
                operators: vec!["lantern".to_owned()],
                from_index: index.to_string(),
                binary_image: request.binary_image.clone(),
                ..RmRequest::default()
            }
            .into(),
            "index",
            true,
        ),
        (
            CreateEmptyIndex {
                from_index: index.to_string(),
                binary_image: request.binary_image.clone(),
                ..CreateEmptyIndex::default()
            }
            .into(),
            "index",
            true,
        ),
        (
            RegenerateBundle {
                from_bundle_image: bundle.clone(),
                ..RegenerateBundle::default()
            }
            .into(),
            "bundle",
            true,
        ),
        (
            RecursiveRelatedBundles {
                parent_bundle_image: bundle,
                ..RecursiveRelatedBundles::default()
            }
            .into(),
            "list",
            false,
        ),
        (
            Rollback {
                rolled_back: done.id,
                from_index: overwritten.index,
                result: overwritten.result,
                replaced: overwritten.replaced,
                unknown: Unknown::default(),
            }
            .into(),
            "rollback",
            false,
        ),
    ];
    let intake = IntakeDeps::from(world.deps.clone());
    for (request, makes, has_diff) in kinds {
        let record = shows(&world, request).await;
        let shown = value(&plan(&intake, record.id).await.unwrap());
        assert_eq!(shown["makes"], makes);
        assert_eq!(diff(&intake, record.id).await.is_ok(), has_diff, "{makes}");
        assert_eq!(record.facts.index_image, None);
        assert_eq!(record.facts.bundle_image, None);
        if makes == "list" {
            let list = document(&intake, record.id, Document::NestedBundles).await;
            assert!(list.is_ok(), "{list:?}");
        }
    }
    assert_eq!(tagged(&world, &index).await, before);
    assert_eq!(world.tags(OUTPUT).await, tags);
}
