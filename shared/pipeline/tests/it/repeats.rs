//! Messages that come twice, late, early, or side by side.

use iib_pipeline::Verdict;
use iib_ports::Queue as _;
use iib_request::{AddRequest, RequestId, Stage, State, Task};

use crate::world::{OUTPUT, World, deliver};

async fn world_and_request() -> (World, AddRequest) {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = AddRequest {
        build_tags: vec!["latest".to_owned()],
        ..world.add(&bundle).await
    };
    (world, request)
}

async fn assert_complete_once(world: &World, id: RequestId) {
    let record = world.record(id).await;
    let reasons: Vec<(State, &str)> = record
        .history
        .iter()
        .map(|entry| (entry.state, entry.state_reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (State::InProgress, "The request was initiated"),
            (State::InProgress, "Resolving the bundles"),
            (State::InProgress, "Resolving the container images"),
            (
                State::InProgress,
                "Building the index image for the following arches: amd64"
            ),
            (State::InProgress, "Creating the manifest list"),
            (
                State::Complete,
                "The operator bundle(s) were successfully added to the index image"
            ),
        ]
    );
    let tags: Vec<String> = world.tags(OUTPUT).await.into_iter().collect();
    assert_eq!(
        tags,
        [id.to_string(), format!("{id}-amd64"), "latest".into()]
    );
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
    world.assert_cleaned_up(id).await;
}

#[tokio::test]
async fn every_message_may_come_twice() {
    let (world, request) = world_and_request().await;
    let id = world.submit(request).await;
    let mut delivered = 0;
    while let Some(task) = world.queue.take_next() {
        for _ in 0..2 {
            assert_eq!(world.deliver(&task).await, Verdict::Done, "{task:?}");
            delivered += 1;
        }
        assert!(delivered < 100, "messages breed");
    }
    assert_complete_once(&world, id).await;
}

#[tokio::test]
async fn a_stage_that_is_asked_for_again_changes_nothing() {
    let (world, request) = world_and_request().await;
    let id = world.submit(request).await;
    world.run_queue().await;
    let done = world.record(id).await;
    for stage in [Stage::Pin, Stage::Mutate, Stage::Push, Stage::Pin] {
        assert_eq!(
            world.deliver(&Task::new(id, stage)).await,
            Verdict::Done,
            "{stage}"
        );
    }
    assert_eq!(world.record(id).await, done);
    assert_eq!(world.queue.waiting(), []);
    assert_complete_once(&world, id).await;
}

#[tokio::test]
async fn a_message_that_is_too_early_sends_the_one_that_is_due() {
    let (world, request) = world_and_request().await;
    let id = world.submit(request).await;
    for stage in [Stage::Push, Stage::Mutate] {
        assert_eq!(world.deliver(&Task::new(id, stage)).await, Verdict::Done);
        assert_eq!(world.record(id).await.work.stage, Stage::Queued);
    }
    // After each stage, messages for all of them.
    while let Some(task) = world.queue.take_next() {
        assert_eq!(world.deliver(&task).await, Verdict::Done);
        if world.record(id).await.work.stage == Stage::Mutate {
            assert_eq!(
                world.deliver(&Task::new(id, Stage::Push)).await,
                Verdict::Done
            );
        }
    }
    assert_complete_once(&world, id).await;
}

#[tokio::test]
async fn of_two_deliveries_at_the_same_time_one_works_and_the_other_goes_back() {
    let (world, request) = world_and_request().await;
    let id = world.submit(request).await;
    let mut stages = Vec::new();
    while let Some(task) = world.queue.take_next() {
        if world.record(id).await.work.stage > task.stage {
            assert_eq!(world.deliver(&task).await, Verdict::Done);
            continue;
        }
        let both = tokio::join!(world.deliver(&task), world.deliver(&task));
        assert!(
            matches!(both, (Verdict::Done, Verdict::Again(_))),
            "{task:?}: {both:?}"
        );
        world.queue.send(&task).await.unwrap();
        stages.push(task.stage);
    }
    assert_eq!(stages, [Stage::Pin, Stage::Mutate, Stage::Push]);
    assert_complete_once(&world, id).await;
    assert_eq!(world.record(id).await.work.attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_deliveries_on_many_threads_do_the_work_once() {
    let (world, request) = world_and_request().await;
    let id = world.submit(request).await;
    while let Some(task) = world.queue.take_next() {
        let deliveries: Vec<_> = (0..6)
            .map(|_| {
                let (deps, task) = (world.deps.clone(), task.clone());
                tokio::spawn(async move { deliver(&deps, &task).await })
            })
            .collect();
        let mut again = false;
        for delivery in deliveries {
            again |= delivery.await.unwrap() != Verdict::Done;
        }
        if again {
            world.queue.send(&task).await.unwrap();
        }
    }
    assert_complete_once(&world, id).await;
}

#[tokio::test]
async fn requests_side_by_side_do_not_disturb_one_another() {
    let (world, request) = world_and_request().await;
    let plain = AddRequest {
        build_tags: Vec::new(),
        ..request
    };
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.submit(plain.clone()).await);
    }
    while !world.queue.waiting().is_empty() {
        let tasks: Vec<Task> = std::iter::from_fn(|| world.queue.take_next()).collect();
        let verdicts =
            futures::future::join_all(tasks.iter().map(|task| world.deliver(task))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done));
    }
    let mut digests = Vec::new();
    for id in ids {
        let image = world.record(id).await.facts.index_image_resolved.unwrap();
        digests.push(image.rsplit_once('@').unwrap().1.to_owned());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[tokio::test]
async fn a_message_about_nothing_is_dropped() {
    let world = World::new().await;
    for stage in [Stage::Pin, Stage::Mutate, Stage::Push] {
        let task = Task::new(RequestId(77), stage);
        assert_eq!(world.deliver(&task).await, Verdict::Done);
    }
}
