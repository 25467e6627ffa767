//! What the reason of a request says that was refused because of an index (architecture §5): enough to tell
//! a typo from an index that was read too early.

use axum::http::Method;
use iib_oci::PullSpec;
use iib_request::{AddDeprecations, AddRequest, Record, RmRequest, Stage, State};
use iib_testkit::scripted_registry::Answer;
use jiff::SignedDuration;

use crate::overwrite::{tagged, world_and_request};
use crate::samples::{self, index_image};
use crate::world::World;

/// The files of the third lantern, which replaces what is named.
fn lantern_replacing(replaces: &str) -> samples::Files {
    let mut files = samples::bundle_files("lantern", "0.2.0");
    let path = samples::csv_path("lantern");
    let text = String::from_utf8(files[&path].clone()).unwrap();
    let next = text.replace("0.2.0", "0.3.0");
    let changed = next.replace("replaces: lantern.v0.1.0", &format!("replaces: {replaces}"));
    assert_ne!(changed, next);
    files.insert(path, changed.into_bytes());
    files
}

async fn push_lantern_replacing(world: &World, replaces: &str) -> PullSpec {
    let image = samples::bundle_image("lantern", &lantern_replacing(replaces));
    world.push("bundles/lantern:v0.3.0", &image).await
}

/// Runs pin of the request that comes next in the queue, and gives back what is to follow.
async fn pin_next(world: &World) -> iib_request::Task {
    let task = world.queue.take_next().unwrap();
    assert_eq!(task.stage, Stage::Pin);
    assert_eq!(world.deliver(&task).await, iib_pipeline::Verdict::Done);
    let next = world.queue.take_next().unwrap();
    assert_eq!(next.stage, Stage::Mutate);
    next
}

async fn ended_after(world: &World, task: iib_request::Task) -> Record {
    assert_eq!(world.deliver(&task).await, iib_pipeline::Verdict::Done);
    let record = world.record(task.request_id).await;
    assert_eq!(record.state(), State::Failed, "{}", record.state_reason());
    record
}

#[tokio::test]
async fn a_typo_is_told_with_the_name_that_is_meant_and_the_index_that_was_read() {
    let (world, index, request) = world_and_request().await;
    let read = tagged(&world, &index).await;
    // certified-operators#4024 named the version alone.
    let bundle = push_lantern_replacing(&world, "0.1.0").await;
    let typo = AddRequest {
        bundles: vec![bundle.to_string()],
        overwrite_from_index: false,
        ..request
    };
    let reason = world.fails(typo).await;
    let at = world.record(iib_request::RequestId(1)).await.began();
    let said = format!(
        "Failed to add the bundles to the index image: Invalid bundle lantern.v0.3.0, replaces \
         nonexistent bundle 0.1.0 - If lantern.v0.1.0 is meant, the nearest name in its package, \
         correct spec.replaces; else add 0.1.0 first or in the same request. The index read was \
         {index} as of {at:.0}, which was {read}, as it is now."
    );
    assert_eq!(reason, said);
}

#[tokio::test]
async fn a_request_that_finished_in_between_is_named() {
    let (world, index, request) = world_and_request().await;
    let read = tagged(&world, &index).await;
    let bundle = push_lantern_replacing(&world, "lantern.v0.2.0").await;
    let early = AddRequest {
        bundles: vec![bundle.to_string()],
        overwrite_from_index: false,
        ..request.clone()
    };
    // It is pinned before the other one is even sent.
    world.submit(early).await;
    let rest = pin_next(&world).await;
    world.clock.advance(SignedDuration::from_secs(5));
    let other = world.completes(request).await;
    let record = ended_after(&world, rest).await;
    let reason = record.state_reason();
    for part in [
        "replaces nonexistent bundle lantern.v0.2.0 - ".to_owned(),
        format!("{index} as of "),
        format!(
            "which was {read}. The request {} has overwritten it since, at ",
            other.id
        ),
        ": if that mends it, send the request 1 again.".to_owned(),
    ] {
        assert!(reason.contains(&part), "no `{part}` in: {reason}");
    }
    // The log says it, too.
    assert!(world.log(record.id).await.contains(reason));
}

#[tokio::test]
async fn one_that_moved_the_tag_before_is_not_named_and_followers_are_told_whom_to_send_again() {
    let (world, index, request) = world_and_request().await;
    let before = world.completes(request.clone()).await;
    world.clock.advance(SignedDuration::from_secs(5));
    let bundle = push_lantern_replacing(&world, "lantern.v0.2.9").await;
    let typo = AddRequest {
        bundles: vec![bundle.to_string()],
        overwrite_from_index: false,
        ..request.clone()
    };
    let failing = world.submit(typo).await;
    let rest = pin_next(&world).await;
    let follower = AddRequest {
        from_index: Some(format!("request:{failing}")),
        overwrite_from_index: false,
        ..request
    };
    let follower = world.submit(follower).await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let foreign = index_image(&samples::database(&[("kettle", "1.0.0", &kettle)]));
    world.push("team/index:v4.6", &foreign).await;
    let record = ended_after(&world, rest).await;
    let reason = record.state_reason();
    let now = tagged(&world, &index).await;
    let said = format!("; it is {now} now: if that mends it, send the request {failing} again.");
    assert!(reason.ends_with(&said), "{reason}");
    assert!(
        !reason.contains(&format!("request {} ", before.id)),
        "{reason}"
    );
    world.run_queue().await;
    let follower = world.record(follower).await;
    assert!(
        follower.state_reason().ends_with(&said),
        "{}",
        follower.state_reason()
    );
}

#[tokio::test]
async fn one_that_goes_on_is_named_and_one_from_outside_is_told() {
    let (world, index, request) = world_and_request().await;
    let bundle = push_lantern_replacing(&world, "lantern.v0.2.0").await;
    let early = AddRequest {
        bundles: vec![bundle.to_string()],
        overwrite_from_index: false,
        ..request.clone()
    };
    world.submit(early.clone()).await;
    let rest = pin_next(&world).await;
    let other = world.submit(request).await;
    let half_done = pin_next(&world).await;
    let record = ended_after(&world, rest).await;
    let said = format!(
        ", as it is now. The request {other}, which overwrites it, goes on: if that mends it, send the request 1 again when that is complete."
    );
    assert!(
        record.state_reason().contains(&said),
        "{}",
        record.state_reason()
    );

    world.submit(early).await;
    let rest = pin_next(&world).await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let foreign = index_image(&samples::database(&[("kettle", "1.0.0", &kettle)]));
    world.push("team/index:v4.6", &foreign).await;
    let now = tagged(&world, &index).await;
    let record = ended_after(&world, rest).await;
    let said = format!("; it is {now} now: if that mends it, send the request 3 again.");
    assert!(
        record.state_reason().ends_with(&said),
        "{}",
        record.state_reason()
    );
    drop(half_done);
}

#[tokio::test]
async fn an_index_that_is_named_by_its_digest_is_what_it_is() {
    let (world, index, request) = world_and_request().await;
    let bundle = push_lantern_replacing(&world, "lantern.v0.9.0").await;
    let typo = AddRequest {
        bundles: vec![bundle.to_string()],
        from_index: Some(index.pin(tagged(&world, &index).await).to_string()),
        overwrite_from_index: false,
        ..request
    };
    let named = typo.from_index.clone().unwrap();
    let reason = world.fails(typo).await;
    let said = format!("The index read was {named}.");
    assert!(reason.ends_with(&said), "{reason}");
}

#[tokio::test]
async fn packages_that_are_not_there_are_told_with_those_that_are_meant() {
    let world = World::new().await;
    let full = world.index_of_two().await;
    let rm = RmRequest {
        operators: ["lantern", "ketle", "none-such"].map(Into::into).into(),
        from_index: full.facts.index_image.clone().unwrap(),
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        ..RmRequest::default()
    };
    let parts = [
        "Error deleting packages from database - The index has no package ketle: is kettle meant?",
        " The index has no package none-such: check its spelling. The index read was ",
    ];
    world.fails_saying(rm, &parts).await;

    let (index, binary) = crate::catalogs::mixed(&world).await;
    let deprecations = AddDeprecations {
        operator_package: "lanter".to_owned(),
        deprecation_schema: r#"{"schema":"olm.deprecations","package":"lanter","entries":[]}"#
            .to_owned(),
        from_index: index.clone(),
        binary_image: Some(binary.clone()),
        ..AddDeprecations::default()
    };
    let parts = ["or opted in fbc - Is lantern meant? The index read was "];
    world.fails_saying(deprecations, &parts).await;

    // Those of a catalog are passed over, as ever; the log says what may be meant.
    let rm = RmRequest {
        operators: vec!["lanten".to_owned()],
        from_index: index,
        binary_image: Some(binary),
        ..RmRequest::default()
    };
    let done = world.completes(rm).await;
    let log = world.log(done.id).await;
    let said = "lanten is not in the index and is passed over: is lantern meant?";
    assert!(log.contains(said), "{log}");
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_without_a_word_of_the_database() {
    // certified-operators#3497: another image of a bundle that is there.
    let (world, _, request) = world_and_request().await;
    let mut files = samples::bundle_files("lantern", "0.1.0");
    files.insert("manifests/NOTE".to_owned(), b"other".to_vec());
    let other = samples::bundle_image("lantern", &files);
    let other = world.push("bundles/other:v0.1.0", &other).await;
    let twice = AddRequest {
        bundles: vec![other.to_string()],
        ..request
    };
    let parts = [
        "Bundle already added that provides package and csv - ",
        "The index has lantern.v0.1.0 with another image; give the bundle a new name and version. ",
    ];
    world.fails_saying(twice, &parts).await;
}

#[tokio::test]
async fn plain_reasons_are_those_of_the_reference_and_the_log_has_the_rest() {
    let (mut world, index, request) = world_and_request().await;
    world.deps.work.plain_reasons = true;
    let bundle = push_lantern_replacing(&world, "lantern.v0.1").await;
    let typo = AddRequest {
        bundles: vec![bundle.to_string()],
        ..request
    };
    let reason = world.fails(typo).await;
    assert_eq!(
        reason,
        "Failed to add the bundles to the index image: Invalid bundle lantern.v0.3.0, replaces \
         nonexistent bundle lantern.v0.1"
    );
    let log = world.log(iib_request::RequestId(1)).await;
    let said = format!("in the same request. The index read was {index} as of ");
    assert!(log.contains(&said), "{log}");
}

#[tokio::test]
async fn what_a_registry_does_not_tell_is_not_said() {
    let world = World::scripted().await;
    let lantern = world.push_bundle("lantern", "0.1.0").await;
    let index = index_image(&samples::database(&[("lantern", "0.1.0", &lantern)]));
    let index = world.push("team/index:v4.6", &index).await;
    let bundle = push_lantern_replacing(&world, "lantern.v0.9.0").await;
    let typo = AddRequest {
        from_index: Some(index.to_string()),
        ..world.add(&bundle).await
    };
    world.submit(typo).await;
    let rest = pin_next(&world).await;
    let tag = "/team/index/manifests/v4.6";
    for method in [Method::GET, Method::HEAD] {
        world
            .script()
            .on(method, tag, [Answer::Status(403), Answer::Status(403)]);
    }
    let record = ended_after(&world, rest).await;
    let reason = record.state_reason();
    assert!(reason.contains("The index read was "), "{reason}");
    assert!(!reason.contains(" now"), "{reason}");
    // The rest of the sentence is there.
    let digest = reason.rsplit("which was sha256:").next().unwrap();
    assert_eq!(digest.len(), 65, "{reason}");
}
