//! What is left of a request when its time has come.

use iib_pipeline::intake::{IntakeDeps, IntakeError, LogPart, diff, logs};
use iib_pipeline::prune;
use iib_request::AddRequest;
use jiff::SignedDuration;

use crate::crash::{self, Death, LastCall};
use crate::world::{OUTPUT, World};

/// More calls than a run takes.
const MANY: usize = 100;

#[tokio::test]
async fn the_result_outlives_the_log_and_the_intermediate_tags() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = AddRequest {
        binary_image: Some(world.push_binary(&["amd64", "arm64"]).await.to_string()),
        add_arches: vec!["amd64".to_owned(), "arm64".to_owned()],
        ..world.add(&bundle).await
    };
    let record = world.completes(request).await;
    assert_eq!(world.tags(OUTPUT).await.len(), 3);
    world.clock.advance(SignedDuration::from_hours(24 * 4));
    let report = prune::run(&world.prune(), None).await.unwrap();
    assert_eq!(
        (report.expired, report.removed_objects, report.kept_tags),
        (1, 2, 0)
    );
    let tags: Vec<String> = world.tags(OUTPUT).await.into_iter().collect();
    assert_eq!(tags, [record.id.to_string()]);
    // The images are there by digest, as the list names them.
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
    let intake = IntakeDeps::from(world.deps.clone());
    let gone = logs(&intake, record.id, LogPart::Whole).await;
    assert!(matches!(gone, Err(IntakeError::Expired(_))), "{gone:?}");
    let gone = diff(&intake, record.id).await;
    assert!(matches!(gone, Err(IntakeError::Expired(_))), "{gone:?}");
    assert_eq!(world.artifacts.keys(), []);
}

#[tokio::test]
async fn a_run_may_end_anywhere_and_the_next_one_finishes() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = world.add(&bundle).await;
    for last in [LastCall::Lost, LastCall::Unanswered] {
        for calls in 0..MANY {
            let id = world.submit(request.clone()).await;
            world.run_queue().await;
            world.clock.advance(SignedDuration::from_hours(24 * 4));
            let (dying, crash) = crash::at(Death::After(calls), last, &world.deps);
            let ended = prune::run(&world.prune_over(dying), None).await;
            assert!(ended.is_ok() || !crash.is_alive(), "{ended:?}");
            prune::run(&world.prune(), None).await.unwrap();
            assert!(world.record(id).await.data_removed, "{calls} calls");
            assert_eq!(world.artifacts.keys(), [], "{calls} calls");
            let tags = world.tags(OUTPUT).await;
            assert!(tags.contains(&id.to_string()), "{calls} calls");
            assert!(!tags.contains(&format!("{id}-amd64")), "{calls} calls");
            if crash.is_alive() {
                assert!(calls > 5, "only {calls} calls were seen");
                break;
            }
        }
    }
}
