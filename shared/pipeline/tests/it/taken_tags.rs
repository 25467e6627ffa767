//! Tags of results that name something else already.

use iib_pipeline::numbers;
use iib_ports::Queue as _;
use iib_request::State;
use iib_testkit::Pull as _;

use crate::crash::{self, Death, LastCall};
use crate::overwrite::world_and_request;
use crate::samples::{self, index_image};
use crate::world::{OUTPUT, World, deliver};

#[tokio::test]
async fn the_result_of_another_service_is_left_alone() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let other = index_image(&samples::database(&[]));
    let taken = world.push(&format!("{OUTPUT}:1"), &other).await;
    let before = world.deps.registry.pull(&taken).await.unwrap().digest();
    let reason = world.fails(world.add(&bundle).await).await;
    let wanted = format!("{taken} names {before} already, which this request did not make");
    assert!(reason.starts_with(&wanted), "{reason}");
    assert!(reason.contains("`requests.first_number`"), "{reason}");
    let now = world.deps.registry.pull(&taken).await.unwrap().digest();
    assert_eq!(now, before);
    // Nothing is pushed beside it either.
    let tags: Vec<String> = world.tags(OUTPUT).await.into_iter().collect();
    assert_eq!(tags, ["1"]);
}

#[tokio::test]
async fn what_the_request_itself_has_made_before_is_not() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    // An image and the list are pushed; then somebody moves the index, so all is done anew.
    let death = Death::At("registry.push_manifest", 2);
    let (pausing, crash) = crash::at(death, LastCall::Paused, &world.deps);
    let queue = world.queue.clone();
    let sleeper = tokio::spawn(async move {
        while let Some(task) = queue.take_next() {
            if deliver(&pausing, &task).await != iib_pipeline::Verdict::Done {
                queue.send(&task).await.unwrap();
            }
        }
    });
    crash.stands_still().await;
    let first = world.spec(&format!("{OUTPUT}:{id}"));
    let before = world.deps.registry.pull(&first).await.unwrap().digest();
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let lantern = world.spec("bundles/lantern:v0.1.0");
    let other = samples::database(&[("lantern", "0.1.0", &lantern), ("kettle", "1.0.0", &kettle)]);
    world.push("team/index:v4.6", &index_image(&other)).await;
    crash.wake();
    sleeper.await.unwrap();
    world.run_queue().await;
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!((record.work.rebases, record.results.len()), (1, 2));
    let now = world.deps.registry.pull(&first).await.unwrap().digest();
    assert_ne!(now, before);
    let packages = world.catalog(index.as_str()).await.packages;
    assert_eq!(
        packages.into_keys().collect::<Vec<_>>(),
        ["kettle", "lantern"]
    );
}

#[tokio::test]
async fn numbers_that_are_free_are_found_among_many() {
    let world = World::new().await;
    let image = index_image(&samples::database(&[]));
    let mut next = 1;
    for taken in [0_u64, 1, 2, 3, 7, 20] {
        while next <= taken {
            world.push(&format!("{OUTPUT}:{next}"), &image).await;
            next += 1;
        }
        let free = numbers::first_free(&*world.deps.registry, &world.deps.work, 1).await;
        assert_eq!(free.unwrap(), Some(taken + 1));
    }
    let free = numbers::first_free(&*world.deps.registry, &world.deps.work, 100).await;
    assert_eq!(free.unwrap(), Some(100));
}

#[tokio::test]
async fn the_result_of_another_service_is_overwritten_where_the_settings_want_that() {
    let mut world = World::new().await;
    world.deps.new.keep_others = false;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let other = index_image(&samples::database(&[]));
    let taken = world.push(&format!("{OUTPUT}:1"), &other).await;
    let before = world.deps.registry.pull(&taken).await.unwrap().digest();
    world.completes(world.add(&bundle).await).await;
    let now = world.deps.registry.pull(&taken).await.unwrap().digest();
    assert_ne!(now, before);
}
