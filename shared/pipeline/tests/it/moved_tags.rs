//! Build tags that somebody else moves while a request is at work.

use iib_ports::Queue as _;
use iib_request::{AddRequest, Stage, State, Task};
use iib_testkit::Pull as _;

use crate::crash::{self, Death, LastCall};
use crate::crashes::{dies, lease_ends, repository, with_token, world_and_request};
use crate::world::deliver;

#[tokio::test]
async fn a_build_tag_that_a_newer_request_moved_does_not_go_back() {
    const PUSH: &str = "registry.push_manifest";
    let (mut world, older) = world_and_request().await;
    let repository = repository(&mut world, "moved");
    let newer = AddRequest {
        bundles: vec![world.push_bundle("lantern", "0.3.0").await.to_string()],
        ..older.clone()
    };

    // Two images and the list; then the list under the build tag, of which nobody hears.
    let older = world.submit(with_token(&older)).await;
    assert!(dies(Death::At(PUSH, 3), LastCall::Unanswered, &world).await);
    let extra = world.spec(&format!("{repository}:extra"));
    let first = world.deps.registry.pull(&extra).await.unwrap();
    let task = world.queue.take_next().unwrap();

    let newer = world.submit(with_token(&newer)).await;
    world.run_queue().await;
    let moved = world.deps.registry.pull(&extra).await.unwrap();
    assert_ne!(moved.digest(), first.digest());

    lease_ends(&world);
    world.queue.send(&task).await.unwrap();
    world.run_queue().await;
    for id in [older, newer] {
        assert_eq!(world.record(id).await.state(), State::Complete);
    }
    let now = world.deps.registry.pull(&extra).await.unwrap();
    assert_eq!(now.digest(), moved.digest());
    let log = world.log(older).await;
    assert!(log.contains("the tag extra was moved by"), "{log}");
}

/// The first attempt stands still before the list is under its number. Another one ends the request,
/// and a newer request moves the build tag on; what wakes up then must not move it back.
#[tokio::test]
async fn a_process_that_wakes_up_leaves_a_build_tag_where_a_newer_request_put_it() {
    const PUSH: &str = "registry.push_manifest";
    let (mut world, older) = world_and_request().await;
    let repository = repository(&mut world, "woken");
    let newer = AddRequest {
        bundles: vec![world.push_bundle("lantern", "0.3.0").await.to_string()],
        ..older.clone()
    };
    let older = world.submit(with_token(&older)).await;
    // The two images come before.
    let (pausing, crash) = crash::at(Death::At(PUSH, 2), LastCall::Paused, &world.deps);
    let queue = world.queue.clone();
    let sleeper = tokio::spawn(async move {
        while let Some(task) = queue.take_next() {
            deliver(&pausing, &task).await;
        }
    });
    crash.stands_still().await;
    lease_ends(&world);
    world
        .queue
        .send(&Task::new(older, Stage::Push))
        .await
        .unwrap();
    world.run_queue().await;
    assert_eq!(world.record(older).await.state(), State::Complete);

    world.submit(with_token(&newer)).await;
    world.run_queue().await;
    let extra = world.spec(&format!("{repository}:extra"));
    let moved = world.deps.registry.pull(&extra).await.unwrap();
    crash.wake();
    sleeper.await.unwrap();
    let now = world.deps.registry.pull(&extra).await.unwrap();
    assert_eq!(now.digest(), moved.digest());
}
