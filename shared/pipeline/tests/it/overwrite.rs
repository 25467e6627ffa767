//! Results that take the place of an index.

use std::collections::BTreeMap;

use iib_oci::{Digest, PullSpec};
use iib_pipeline::dead_letter::{self, DeadLetter};
use iib_pipeline::intake::{self, IntakeDeps, Submission};
use iib_ports::{Queue as _, Secret};
use iib_request::{AddRequest, Members, MergeIndexImage, Request, Stage, State};

use crate::crash::{Death, LastCall};
use crate::crashes::{dies, lease_ends};
use crate::samples::{self, index_image};
use crate::world::{OUTPUT, World, told};

/// An index with one lantern under a tag, and a request that adds the next one to it.
pub(crate) async fn world_and_request() -> (World, PullSpec, AddRequest) {
    let world = World::new().await;
    let first = world.push_bundle("lantern", "0.1.0").await;
    let next = world.push_bundle("lantern", "0.2.0").await;
    let index = index_image(&samples::database(&[("lantern", "0.1.0", &first)]));
    let index = world.push("team/index:v4.6", &index).await;
    let request = AddRequest {
        from_index: Some(index.to_string()),
        overwrite_from_index: true,
        ..world.add(&next).await
    };
    (world, index, request)
}

pub(crate) async fn tagged(world: &World, index: &PullSpec) -> Digest {
    let tag = index.reference().to_string();
    let found = world.deps.registry.tagged(index.repository(), &tag).await;
    found.unwrap().unwrap()
}

#[tokio::test]
async fn the_tag_names_the_result_and_the_rest_is_told_as_ever() {
    let (world, index, request) = world_and_request().await;
    let before = tagged(&world, &index).await;
    let record = world
        .completes(AddRequest {
            build_tags: vec!["extra".to_owned()],
            ..request
        })
        .await;
    let states = told(&record);
    let overwriting = format!(
        "Overwriting the index image {index} with {}/{OUTPUT}:1",
        world.host
    );
    assert_eq!(
        states[states.len() - 3..],
        [
            "Creating the manifest list",
            &overwriting,
            "The operator bundle(s) were successfully added to the index image",
        ]
    );
    let after = tagged(&world, &index).await;
    let facts = &record.facts;
    assert_eq!(facts.index_image.as_deref(), Some(index.as_str()));
    let resolved = index.pin(after.clone()).to_string();
    assert_eq!(facts.index_image_resolved.as_ref(), Some(&resolved));
    let copy = format!("{}/{OUTPUT}:1", world.host);
    assert_eq!(facts.internal_index_image_copy, Some(copy));
    let overwritten = record.overwritten.unwrap();
    assert_eq!(
        (overwritten.index.as_str(), overwritten.replaced),
        (index.as_str(), before)
    );
    assert_eq!(overwritten.result, after);
    let tags: Vec<String> = world.tags("team/index").await.into_iter().collect();
    assert_eq!(tags, ["v4.6"]);
    assert_eq!(world.tags(OUTPUT).await.len(), 3);
}

#[tokio::test]
async fn of_two_that_overwrite_the_same_index_neither_is_lost() {
    let (world, index, request) = world_and_request().await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let other = AddRequest {
        bundles: vec![kettle.to_string()],
        ..request.clone()
    };
    // Each message of both comes before the next one of either.
    let first = world.submit(request).await;
    let second = world.submit(other).await;
    world.run_queue().await;
    let records = [world.record(first).await, world.record(second).await];
    for record in &records {
        assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    }
    let rebases = records.each_ref().map(|record| record.work.rebases);
    assert_eq!(rebases, [0, 0]);
    let waiting = "Waiting for the request 1, which overwrites the same index";
    assert_eq!(
        records
            .each_ref()
            .map(|record| told(record).contains(&waiting)),
        [false, true]
    );
    let catalog = world.catalog(index.as_str()).await;
    let packages: Vec<&String> = catalog.packages.keys().collect();
    assert_eq!(packages, ["kettle", "lantern"]);
    assert_eq!(catalog.packages["lantern"].bundles.len(), 2);
    let [first, second] = records.map(|record| record.overwritten.unwrap());
    assert_eq!(second.replaced, first.result);
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");
}

#[tokio::test]
async fn others_that_move_the_tag_are_built_upon() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let lantern = world.spec("bundles/lantern:v0.1.0");
    let other = samples::database(&[("lantern", "0.1.0", &lantern), ("kettle", "1.0.0", &kettle)]);
    let mut is_moved = false;
    while let Some(task) = world.queue.take_next() {
        if task.stage == Stage::Push && !is_moved {
            is_moved = true;
            world.push("team/index:v4.6", &index_image(&other)).await;
        }
        assert_eq!(world.deliver(&task).await, iib_pipeline::Verdict::Done);
    }
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!(record.work.rebases, 1);
    let catalog = world.catalog(index.as_str()).await;
    let packages: Vec<&String> = catalog.packages.keys().collect();
    assert_eq!(packages, ["kettle", "lantern"]);
    assert_eq!(catalog.packages["lantern"].bundles.len(), 2);
    let log = world.log(id).await;
    assert!(log.contains("it is done anew on top of that"), "{log}");
}

#[tokio::test]
async fn whoever_waits_says_how_many_are_ahead_and_is_woken_when_they_have_ended() {
    let (world, index, request) = world_and_request().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.submit(request.clone()).await);
    }
    // Pin of all of them, and no more.
    for _ in &ids {
        let task = world.queue.take_next().unwrap();
        assert_eq!(task.stage, Stage::Pin);
        assert_eq!(world.deliver(&task).await, iib_pipeline::Verdict::Done);
    }
    let deps = IntakeDeps::from(world.deps.clone());
    let ahead = async |id| {
        let record = world.record(id).await;
        intake::ahead(&deps, &record).await.unwrap()
    };
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(ahead(*id).await);
    }
    assert_eq!(seen, [None, Some(1), Some(2), Some(3)]);
    // Asking again, as the sweep does, changes nothing.
    let waiting = world.record(ids[1]).await;
    let again = world.deliver(&waiting.task(Stage::Pin)).await;
    assert_eq!(again, iib_pipeline::Verdict::Done);
    assert_eq!(world.record(ids[1]).await, waiting);
    // One that waits is given up by its user: the others go on without it.
    let members = serde_json::json!({"state": "failed", "state_reason": "not needed"});
    let members: Members = serde_json::from_value(members).unwrap();
    intake::patch(&deps, ids[2], &members).await.unwrap();
    world.run_queue().await;
    for id in [ids[0], ids[1], ids[3]] {
        let record = world.record(id).await;
        assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
        assert_eq!((record.work.rebases, ahead(id).await), (0, None));
    }
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");
}

#[tokio::test]
async fn a_turn_whose_request_has_ended_counts_for_nothing() {
    let (world, index, request) = world_and_request().await;
    let ended = world.submit(request.clone()).await;
    let task = world.queue.take_next().unwrap();
    world.deps.lines.take(index.as_str(), ended).await.unwrap();
    // Its dead letter ends it, of which nobody hears who waits.
    let letter = DeadLetter {
        message_id: "1".to_owned(),
        body: serde_json::to_string(&task).unwrap(),
        deliveries: 50,
    };
    dead_letter::run(&world.deps.clone().into(), &letter).await;
    assert_eq!(world.record(ended).await.state(), State::Failed);
    let record = world.completes(request).await;
    assert_eq!(record.work.rebases, 0);
    let line = world.deps.lines.of(index.as_str()).await.unwrap();
    assert!(line.is_empty(), "{line:?}");
}

#[tokio::test]
async fn an_index_that_changes_again_and_again_is_left_alone() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    let lantern = world.spec("bundles/lantern:v0.1.0");
    let database = samples::database(&[("lantern", "0.1.0", &lantern)]);
    let mut changes = 0;
    while let Some(task) = world.queue.take_next() {
        if task.stage == Stage::Push {
            changes += 1;
            let other = index_image(&database).label("change", &changes.to_string());
            world.push("team/index:v4.6", &other).await;
        }
        if world.deliver(&task).await != iib_pipeline::Verdict::Done {
            world.queue.send(&task).await.unwrap();
        }
    }
    let record = world.record(id).await;
    assert_eq!((record.state(), changes), (State::Failed, 4));
    let reason = record.state_reason();
    let wanted = "The supplied from_index image changed during the IIB request. Please resubmit the request. ";
    assert!(reason.starts_with(wanted), "{reason}");
    assert!(reason.contains("done anew 3 times"), "{reason}");
    let left = world.config_of_image(&index).await;
    assert_eq!(left.labels()["change"], "4");
    world.assert_cleaned_up(id).await;
}

#[tokio::test]
async fn a_login_is_needed_for_as_long_as_the_request_goes_on() {
    let (world, index, request) = world_and_request().await;
    let with = |token: &str| Submission {
        request: Request::Add(request.clone()),
        secrets: BTreeMap::from([("overwrite_from_index_token", Secret::new(token))]),
    };
    let before = tagged(&world, &index).await;
    let odd = world.submit(with("hunter2")).await;
    world.run_queue().await;
    let reason = world.record(odd).await.state_reason().to_owned();
    assert!(
        reason.contains("\"overwrite_from_index_token\" is no login"),
        "{reason}"
    );
    assert!(!reason.contains("hunter2"), "{reason}");
    let mut nowhere = with("user:hunter2");
    if let Request::Add(add) = &mut nowhere.request {
        add.from_index = Some("index:v1".to_owned());
    }
    let nowhere = world.submit(nowhere).await;
    world.run_queue().await;
    assert_eq!(
        world.record(nowhere).await.state_reason(),
        "Unable to determine the registry from the pull specification 'index:v1' for Docker \
         authentication: `index:v1` names no registry: write it as registry/repository:tag"
    );
    let late = world.submit(with("user:hunter2")).await;
    for reference in world.record(late).await.secrets.values() {
        world.deps.secrets.forget(reference).await.unwrap();
    }
    world.run_queue().await;
    let reason = world.record(late).await.state_reason().to_owned();
    assert!(
        reason.contains("is not kept any more: send the request again"),
        "{reason}"
    );
    assert_eq!(tagged(&world, &index).await, before);
    let good = world.submit(with("user:hunter2")).await;
    world.run_queue().await;
    let record = world.record(good).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert!(!world.log(good).await.contains("hunter2"));
}

#[tokio::test]
async fn an_index_without_a_tag_cannot_be_overwritten() {
    let (world, index, request) = world_and_request().await;
    let pinned = index.pin(tagged(&world, &index).await).to_string();
    let by_digest = AddRequest {
        from_index: Some(pinned.clone()),
        ..request
    };
    world
        .fails_saying(
            by_digest,
            &[&pinned, "named by its digest, so it cannot be overwritten"],
        )
        .await;
}

#[tokio::test]
async fn a_merge_overwrites_its_target() {
    let (world, index, request) = world_and_request().await;
    let kettle = world.push_bundle("kettle", "1.0.0").await;
    let digest = samples::bundle("kettle", "1.0.0").manifest().digest();
    let kettle = kettle.pin(digest).to_pull_spec();
    let source = index_image(&samples::database(&[("kettle", "1.0.0", &kettle)]));
    let source = world.push("team/source:v4.6", &source).await;
    // Whatever is for no platform is for none here.
    let target = index_image(&samples::database(&[]));
    let target = world.push("team/target:v4.6", &target).await;
    let merge = MergeIndexImage {
        source_from_index: source.to_string(),
        target_index: Some(target.to_string()),
        overwrite_target_index: true,
        binary_image: request.binary_image,
        ..MergeIndexImage::default()
    };
    let record = world.completes(merge).await;
    assert_eq!(record.facts.index_image.as_deref(), Some(target.as_str()));
    assert_eq!(record.facts.internal_index_image_copy, None);
    assert!(
        world
            .catalog(index.as_str())
            .await
            .packages
            .contains_key("lantern")
    );
    let states = told(&record);
    assert!(!states.contains(&"Creating the manifest list"));
}

#[tokio::test]
async fn what_somebody_does_after_the_tag_was_moved_is_not_undone_by_an_attempt_after_a_crash() {
    let (world, index, request) = world_and_request().await;
    let id = world.submit(request).await;
    // The image, its list, the image beside the index: the fourth is what moves the tag.
    let moving = Death::At("registry.push_manifest", 3);
    assert!(dies(moving, LastCall::Unanswered, &world).await);
    let noted = world.record(id).await.overwritten.unwrap();
    assert_eq!(tagged(&world, &index).await, noted.result);
    let lantern = world.spec("bundles/lantern:v0.1.0");
    let other = index_image(&samples::database(&[("lantern", "0.1.0", &lantern)]));
    let other = other.label("change", "later");
    world.push("team/index:v4.6", &other).await;
    lease_ends(&world);
    world.run_queue().await;
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!((record.work.rebases, record.overwritten), (0, Some(noted)));
    let left = world.config_of_image(&index).await;
    assert_eq!(left.labels()["change"], "later");
    let log = world.log(id).await;
    assert!(log.contains("was moved by somebody else since"), "{log}");
}
