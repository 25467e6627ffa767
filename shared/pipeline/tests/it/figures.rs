//! What is counted of requests.

use iib_pipeline::intake::{self, IntakeDeps};
use iib_request::Stage;
use jiff::SignedDuration;

use crate::world::World;

fn sum(world: &World, name: &str, about: &[&str]) -> f64 {
    world.figures.sum(name, about)
}

#[tokio::test]
async fn a_request_that_completes_is_counted_with_its_stages_and_bytes() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = world.add(&bundle).await;
    let id = world.submit(iib_request::Request::Add(request)).await;
    // What it waits for its first stage.
    world.clock.advance(SignedDuration::from_secs(7));
    world.run_queue().await;
    let about = |name: &str, about: &[&str]| sum(&world, name, about);
    assert_eq!(about("RequestsCompleted", &["add"]), 1.);
    assert!(about("RequestSeconds", &["add"]) >= 7.);
    assert_eq!(about("WaitingSeconds", &["pin"]), 7.);
    for stage in ["pin", "mutate", "push"] {
        assert_eq!(about("Attempts", &[stage, "done"]), 1., "{stage}");
        assert!(about("FreeScratchBytes", &[stage]) > 0., "{stage}");
    }
    let read = about("BytesRead", &["pin"]) + about("BytesRead", &["mutate"]);
    assert!(read > 0., "the bundle was read");
    assert!(
        about("BytesWritten", &["push"]) > 0.,
        "the index was pushed"
    );
    // A message that comes once more is no second end, and no attempt.
    let task = world.record(id).await.task(Stage::Push);
    world.deliver(&task).await;
    assert_eq!(about("RequestsCompleted", &["add"]), 1.);
    assert_eq!(about("Attempts", &["push", "done"]), 1.);
}

#[tokio::test]
async fn a_request_that_fails_is_counted_by_whose_fault_it_is() {
    let world = World::new().await;
    let missing = world.spec("nothing/here:1");
    let request = world.add(&missing).await;
    world.fails(iib_request::Request::Add(request)).await;
    assert_eq!(sum(&world, "RequestsFailed", &["reject", "add"]), 1.);
    assert_eq!(sum(&world, "Attempts", &["pin", "reject"]), 1.);
    assert_eq!(sum(&world, "RequestsCompleted", &["add"]), 0.);
}

#[tokio::test]
async fn a_registry_that_is_away_fails_requests_that_are_not_to_blame() {
    let mut world = World::new().await;
    world.deps.work.max_attempts = 2;
    let away = format!("{}/lantern:1", unused_address());
    let request = world.add(&away.parse().unwrap()).await;
    let reason = world.fails(iib_request::Request::Add(request)).await;
    assert!(reason.contains("It was tried 2 times"), "{reason}");
    assert_eq!(sum(&world, "RequestsFailed", &["retry", "add"]), 1.);
    assert_eq!(sum(&world, "Attempts", &["pin", "retry"]), 2.);
}

/// Where nothing listens.
fn unused_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_request_that_was_taken_back_did_not_fail() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = world.add(&bundle).await;
    let id = world.submit(iib_request::Request::Add(request)).await;
    let intake = IntakeDeps::from(world.deps.clone());
    intake::cancel(&intake, id, None).await.unwrap();
    // Twice is once.
    intake::cancel(&intake, id, None).await.unwrap();
    world.run_queue().await;
    assert_eq!(sum(&world, "RequestsCancelled", &["add"]), 1.);
    let failed =
        ["reject", "retry", "bug"].map(|class| sum(&world, "RequestsFailed", &[class, "add"]));
    assert_eq!(failed, [0.; 3]);
    assert_eq!(sum(&world, "Attempts", &["pin", "done"]), 0.);
}
