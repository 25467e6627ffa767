//! Requests that are stopped, and those that follow another one.

use iib_pipeline::intake::{self, IntakeDeps, IntakeError};
use iib_pipeline::prune::sweep;
use iib_ports::Requests as _;
use iib_request::{
    AddRequest, CreateEmptyIndex, NotCancelled, RegenerateBundle, RequestId, RmRequest, Stage,
    State,
};
use jiff::SignedDuration;

use crate::overwrite::{tagged, world_and_request};
use crate::world::{OUTPUT, World, told};

async fn cancel(world: &World, id: RequestId) -> Result<iib_request::Record, IntakeError> {
    let intake = IntakeDeps::from(world.deps.clone());
    intake::cancel(&intake, id, None).await
}

#[tokio::test]
async fn at_every_moment_it_is_stopped_whole_or_not_at_all() {
    let mut refused = 0;
    let mut stopped = 0;
    // After each write of a run without a cancel.
    for moment in 1..40 {
        let (world, index, request) = world_and_request().await;
        let before = tagged(&world, &index).await;
        let id = world.submit(request).await;
        let (deps, watch) = (world.deps.clone(), world.requests.clone());
        let cancelling = tokio::spawn(async move {
            let patience = std::time::Duration::from_secs(60);
            iib_ports::Watch::changed(&*watch, id, moment - 1, patience)
                .await
                .unwrap();
            intake::cancel(&IntakeDeps::from(deps), id, None).await
        });
        world.run_queue().await;
        let record = world.record(id).await;
        if record.version < moment {
            cancelling.abort();
            break;
        }
        let cancelled = cancelling.await.unwrap();
        // What it left to be put away.
        world.run_queue().await;
        let record = world.record(id).await;
        match cancelled {
            Ok(_) => {
                stopped += 1;
                assert_eq!(record.state_reason(), "The request was cancelled");
                assert_eq!(tagged(&world, &index).await, before, "moment {moment}");
                let tags = world.tags(OUTPUT).await;
                assert!(!tags.contains("1"), "moment {moment}: {tags:?}");
                let log = world.log(id).await;
                assert!(
                    log.contains("Somebody asks for the request to be cancelled"),
                    "{log}"
                );
            }
            Err(IntakeError::NotCancelled(_, why)) => {
                refused += 1;
                assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
                assert_ne!(tagged(&world, &index).await, before);
                let ended = NotCancelled::Ended(State::Complete);
                assert!([NotCancelled::Pushed, ended].contains(&why), "{why}");
            }
            Err(error) => panic!("{error}"),
        }
        let line = world.deps.lines.of(index.as_str()).await.unwrap();
        assert!(line.is_empty(), "moment {moment}");
        let mut left = world.artifacts.keys().into_iter();
        assert!(left.all(|key| key.as_str().starts_with("kept/")));
    }
    assert!(stopped >= 5 && refused >= 3, "{stopped} and {refused}");
}

#[tokio::test]
async fn one_that_waits_for_its_turn_leaves_the_line_and_the_next_one_has_it() {
    let (world, index, request) = world_and_request().await;
    let first = world.submit(request.clone()).await;
    let pin = world.queue.take_next().unwrap();
    world.deliver(&pin).await;
    let second = world.submit(request.clone()).await;
    let pin = world.queue.take_next().unwrap();
    assert_eq!(pin.request_id, first);
    let waiting = world.queue.take_next().unwrap();
    world.deliver(&waiting).await;
    cancel(&world, second).await.unwrap();
    cancel(&world, first).await.unwrap();
    // Twice is once.
    let again = cancel(&world, first).await.unwrap();
    assert_eq!(again.state_reason(), "The request was cancelled");
    let third = world.submit(request).await;
    world.run_queue().await;
    assert_eq!(world.record(third).await.state(), State::Complete);
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");
}

/// A request that takes the lantern out of what another one makes.
fn after(first: RequestId, request: &AddRequest) -> RmRequest {
    RmRequest {
        operators: vec!["lantern".to_owned()],
        from_index: format!("request:{first}"),
        binary_image: request.binary_image.clone(),
        ..RmRequest::default()
    }
}

#[tokio::test]
async fn a_chain_starts_when_the_first_is_complete() {
    let (world, index, request) = world_and_request().await;
    let before = tagged(&world, &index).await;
    let first = world.submit(request.clone()).await;
    let second = world.submit(after(first, &request)).await;
    let third = CreateEmptyIndex {
        from_index: format!("request:{second}"),
        binary_image: request.binary_image.clone(),
        ..CreateEmptyIndex::default()
    };
    let third = world.submit(third).await;
    world.run_queue().await;
    for id in [first, second, third] {
        let record = world.record(id).await;
        assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    }
    let waited = world.record(second).await;
    let waiting = "Waiting for the request 1, from whose index this one starts";
    assert!(told(&waited).contains(&waiting), "{:?}", told(&waited));
    let made = world.record(first).await.made_index().unwrap().to_owned();
    assert_eq!(waited.facts.from_index_resolved.as_deref(), Some(&*made));
    let result = waited.facts.index_image.unwrap();
    assert!(world.catalog(&result).await.packages.is_empty());
    // That the tag has moved since makes no difference.
    world
        .push("team/index:v4.6", &world.image_of_lantern().await)
        .await;
    let late = world.completes(after(first, &request)).await;
    assert_eq!(late.facts.from_index_resolved.as_deref(), Some(&*made));
    assert_ne!(tagged(&world, &index).await, before);
    assert!(!told(&late).iter().any(|told| told.starts_with("Waiting")));
}

#[tokio::test]
async fn a_chain_follows_failure_and_cancel() {
    let (world, _, request) = world_and_request().await;
    let missing = AddRequest {
        bundles: vec![world.spec("bundles/none:v1").to_string()],
        ..request.clone()
    };
    let fails = world.submit(missing).await;
    let follows = world.submit(after(fails, &request)).await;
    world.run_queue().await;
    let reason = world.record(fails).await.state_reason().to_owned();
    let followed = world.record(follows).await;
    assert_eq!(followed.state(), State::Failed);
    assert_eq!(
        followed.state_reason(),
        format!("The request {fails}, from whose index this one was to start, failed: {reason}")
    );

    let first = world.submit(request.clone()).await;
    let follows = world.submit(after(first, &request)).await;
    let last = world.submit(after(follows, &request)).await;
    let mut later = Vec::new();
    // The followers wait before the first one has begun.
    while let Some(task) = world.queue.take_next() {
        match task.request_id == first {
            true => later.push(task),
            false => drop(world.deliver(&task).await),
        }
    }
    assert_eq!(world.record(last).await.work.stage, Stage::Queued);
    cancel(&world, first).await.unwrap();
    world.run_queue().await;
    for (id, before) in [(follows, first), (last, follows)] {
        let record = world.record(id).await;
        assert_eq!(record.state(), State::Failed);
        let reason = record.state_reason();
        assert!(
            reason.starts_with(&format!("The request {before}, ")),
            "{reason}"
        );
    }
    let reason = world.record(follows).await;
    assert!(reason.state_reason().ends_with("was cancelled"));
    assert_eq!(later.len(), 1);
}

#[tokio::test]
async fn who_follows_is_woken_by_the_sweep_if_nobody_else_does() {
    let (world, _, request) = world_and_request().await;
    let first = world.submit(request.clone()).await;
    let second = world.submit(after(first, &request)).await;
    // Its message comes first, and is done with; then that of the first is lost at its end.
    while let Some(task) = world.queue.take_next() {
        if task.request_id == first {
            continue;
        }
        world.deliver(&task).await;
    }
    let mut record = world.record(first).await;
    record.fail("lost", record.updated());
    world.requests.replace(record).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(1));
    sweep(&world.prune(), SignedDuration::ZERO).await.unwrap();
    world.run_queue().await;
    assert_eq!(world.record(second).await.state(), State::Failed);
}

#[tokio::test]
async fn what_makes_no_index_is_nothing_to_start_from() {
    let (world, _, request) = world_and_request().await;
    let bundle = RegenerateBundle {
        from_bundle_image: "r.example/bundle:1".to_owned(),
        ..RegenerateBundle::default()
    };
    let bundle = world.submit(bundle).await;
    let intake = IntakeDeps::from(world.deps.clone());
    for (id, why) in [
        (bundle, "requests of the type regenerate-bundle make none"),
        (RequestId(99), "there is no such request"),
    ] {
        let refused = intake::submit(&intake, None, after(id, &request)).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(world.requests.get(RequestId(2)).await.unwrap(), None);
}
