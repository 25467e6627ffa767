//! What a request overwrote is put back.

use std::collections::BTreeMap;

use iib_oci::{Digest, PullSpec, Reference};
use iib_pipeline::intake::{self, IntakeDeps, IntakeError, Submission};
use iib_ports::Secret;
use iib_request::{Payload, Record, RequestId, Rollback, Stage, State, Unknown};
use serde_json::json;

use crate::crash::{Death, LastCall};
use crate::crashes::{dies, lease_ends};
use crate::overwrite::{tagged, world_and_request};
use crate::samples;
use crate::world::{World, told};

/// Asks for a request to be undone.
async fn roll_back(world: &World, id: RequestId) -> Record {
    let deps = IntakeDeps::from(world.deps.clone());
    let asked = intake::read_rollback(&deps, id, &Payload::new(), None).await;
    let id = world.submit(asked.unwrap()).await;
    world.run_queue().await;
    world.record(id).await
}

#[tokio::test]
async fn an_index_names_again_what_it_named_and_that_can_be_undone_too() {
    let (world, index, request) = world_and_request().await;
    let before = tagged(&world, &index).await;
    let overwriting = world.completes(request).await;
    let after = tagged(&world, &index).await;
    let first = roll_back(&world, overwriting.id).await;
    assert_eq!(first.state(), State::Complete, "{}", first.state_reason());
    assert_eq!(
        told(&first),
        [
            "Resolving the container images".to_owned(),
            format!("Putting {index} back to {before}"),
            "The index image was put back to what it named before the request 1 overwrote it"
                .to_owned(),
        ]
    );
    assert_eq!(tagged(&world, &index).await, before);
    let facts = &first.facts;
    let pinned = |digest: &Digest| Some(index.pin(digest.clone()).to_string());
    assert_eq!(facts.from_index_resolved, pinned(&after));
    assert_eq!(facts.index_image.as_deref(), Some(index.as_str()));
    assert_eq!(facts.index_image_resolved, pinned(&before));
    assert_eq!(facts.arches, overwriting.facts.arches);
    world.assert_cleaned_up(first.id).await;
    let again = roll_back(&world, overwriting.id).await;
    assert_eq!(again.state(), State::Failed);
    let nothing = "there is nothing to put back";
    assert!(
        again.state_reason().ends_with(nothing),
        "{}",
        again.state_reason()
    );
    let second = roll_back(&world, first.id).await;
    assert_eq!(second.state(), State::Complete, "{}", second.state_reason());
    assert_eq!(tagged(&world, &index).await, after);
    let deps = IntakeDeps::from(world.deps.clone());
    let diff = intake::diff(&deps, second.id).await;
    assert!(matches!(diff, Err(IntakeError::PutBack(..))), "{diff:?}");
}

#[tokio::test]
async fn what_somebody_has_put_there_since_is_not_taken_away() {
    let (world, index, request) = world_and_request().await;
    let first = world.completes(request.clone()).await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let later = iib_request::AddRequest {
        bundles: vec![kettle.to_string()],
        ..request
    };
    let later = world.completes(later).await;
    let now = tagged(&world, &index).await;
    let refused = roll_back(&world, first.id).await;
    assert_eq!(refused.state(), State::Failed);
    let result = first.overwritten.unwrap().result;
    let wanted = format!(
        "{index} names {now}, and not {result} any more, the result of the request {}: nothing is put back",
        first.id
    );
    assert!(
        refused.state_reason().starts_with(&wanted),
        "{}",
        refused.state_reason()
    );
    assert_eq!(tagged(&world, &index).await, now);
    // One after the other, from the last.
    for request in [later.id, first.id] {
        let done = roll_back(&world, request).await;
        assert_eq!(done.state(), State::Complete, "{}", done.state_reason());
    }
}

#[tokio::test]
async fn what_is_gone_cannot_be_put_back() {
    let (world, index, request) = world_and_request().await;
    let overwriting = world.completes(request).await;
    let after = tagged(&world, &index).await;
    let gone = Rollback {
        rolled_back: overwriting.id,
        from_index: index.to_string(),
        result: after.clone(),
        replaced: Digest::of(b"swept away"),
        unknown: Unknown::default(),
    };
    let reason = world.fails(gone).await;
    assert!(reason.contains("swept away") || reason.contains(Digest::of(b"swept away").as_str()));
    assert_eq!(tagged(&world, &index).await, after);
}

#[tokio::test]
async fn it_waits_for_those_that_overwrite_the_same_index() {
    let (world, index, request) = world_and_request().await;
    let overwriting = world.completes(request.clone()).await;
    let other = world.submit(request).await;
    let deps = IntakeDeps::from(world.deps.clone());
    let asked = intake::read_rollback(&deps, overwriting.id, &Payload::new(), None).await;
    let id = world.submit(asked.unwrap()).await;
    world.run_queue().await;
    assert_eq!(world.record(other).await.state(), State::Complete);
    let record = world.record(id).await;
    let waiting = format!("Waiting for the request {other}, which overwrites the same index");
    assert!(told(&record).contains(&waiting.as_str()));
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");
}

#[tokio::test]
async fn what_somebody_does_after_the_tag_was_put_back_is_not_undone_by_an_attempt_after_a_crash() {
    let (world, index, _, asked) = set_up().await;
    let id = world.submit(asked).await;
    let moving = Death::At("registry.push_manifest", 0);
    assert!(dies(moving, LastCall::Unanswered, &world).await);
    let other = samples::index_image(&samples::database(&[])).label("change", "later");
    world.push("team/index:v4.6", &other).await;
    lease_ends(&world);
    world.run_queue().await;
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    let left = world.config_of_image(&index).await;
    assert_eq!(left.labels()["change"], "later");
    let log = world.log(id).await;
    assert!(log.contains("it is left where it is"), "{log}");
}

/// A rollback of an index whose tag names the second of two images.
async fn set_up() -> (World, PullSpec, [Digest; 2], Submission) {
    let (world, index, request) = world_and_request().await;
    let before = tagged(&world, &index).await;
    let record = world.completes(request).await;
    let deps = IntakeDeps::from(world.deps.clone());
    let body = json!({"overwrite_from_index_token": "ann:hunter2"});
    let body = body.as_object().unwrap();
    let asked = intake::read_rollback(&deps, record.id, body, Some("ann")).await;
    let asked = asked.unwrap();
    let secret = BTreeMap::from([("overwrite_from_index_token", Secret::new("ann:hunter2"))]);
    assert_eq!(asked.secrets, secret);
    let after = tagged(&world, &index).await;
    (world, index, [before, after], asked)
}

/// The tag names the result again, as before the rollback.
async fn reset(world: &World, index: &PullSpec, result: &Digest) {
    let result = Reference::Digest(result.clone());
    let registry = &world.deps.registry;
    let list = registry.manifest(index.repository(), &result).await;
    registry
        .push_manifest(index.repository(), index.reference(), &list.unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_crash_between_any_two_calls_changes_nothing() {
    for last in [LastCall::Lost, LastCall::Unanswered] {
        let (mut world, index, [before, after], asked) = set_up().await;
        world.deps.work.max_attempts = 1000;
        let mut calls = 0;
        loop {
            reset(&world, &index, &after).await;
            let id = world.submit(asked.clone()).await;
            let died = dies(Death::After(calls), last, &world).await;
            lease_ends(&world);
            world.run_queue().await;
            let record = world.record(id).await;
            let reason = record.state_reason();
            assert_eq!(record.state(), State::Complete, "{calls} calls: {reason}");
            assert_eq!(record.work.stage, Stage::Done);
            assert_eq!(tagged(&world, &index).await, before, "{calls} calls");
            world.assert_cleaned_up(id).await;
            let line = world.deps.lines.of(index.as_str()).await.unwrap();
            assert!(line.is_empty(), "{calls} calls");
            if !died {
                break;
            }
            calls += 1;
        }
        assert!(calls > 20, "only {calls} calls were seen");
    }
}
