//! What comes out: the same bytes from the same input, and the rules about bundles that are in
//! the index already.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::Method;
use iib_oci::{Digest, PullSpec};
use iib_ports::{Created, Logs, NewBatch, Requests, StoreError};
use iib_request::{AddRequest, Record, RequestId, Scope, State};
use iib_testkit::Pull as _;
use iib_testkit::scripted_registry::Answer;

use crate::samples::{self, SCOPE_LABEL, bundle_files, bundle_image, csv_path};
use crate::world::World;

fn digest_of(record: &Record) -> &str {
    let image = record.facts.index_image_resolved.as_deref().unwrap();
    image.rsplit_once('@').unwrap().1
}

/// Digests of the images a request made, by architecture.
async fn image_digests(world: &World, record: &Record) -> Vec<(String, Digest)> {
    let mut digests = Vec::new();
    for arch in record.facts.arches.iter().flatten() {
        let image: PullSpec = format!("{}-{arch}", record.facts.index_image.as_ref().unwrap())
            .parse()
            .unwrap();
        let manifest = world.deps.registry.pull(&image).await.unwrap();
        digests.push((arch.to_string(), manifest.digest()));
    }
    digests
}

#[tokio::test]
async fn the_same_input_gives_the_same_images_in_another_service() {
    let one = World::new().await;
    let mut other = one.beside();
    other.deps.work.image_push_template = "{registry}/elsewhere/out:v{request_id}".to_owned();
    let bundle = one.push_bundle("lantern", "0.1.0").await;
    let next = one.push_bundle("lantern", "0.2.0").await;
    let kettle = one.push_bundle("kettle", "1.0.0").await;
    let binary = one.push_binary(&["amd64", "arm64", "s390x"]).await;
    let request = AddRequest {
        bundles: [&bundle, &kettle].map(ToString::to_string).into(),
        binary_image: Some(binary.to_string()),
        add_arches: ["s390x", "amd64", "arm64"].map(ToOwned::to_owned).into(),
        ..AddRequest::default()
    };
    // Other ids, another time.
    for _ in 0..3 {
        other.fails(AddRequest::default()).await;
    }
    other.clock.advance(jiff::SignedDuration::from_hours(5000));
    let here = one.completes(request.clone()).await;
    let reordered = AddRequest {
        bundles: [&kettle, &bundle].map(ToString::to_string).into(),
        ..request
    };
    let there = other.completes(reordered).await;
    assert_ne!(here.id, there.id);
    assert_eq!(digest_of(&here), digest_of(&there));
    assert_eq!(
        image_digests(&one, &here).await,
        image_digests(&other, &there).await
    );
    // And again on top of it.
    let mut digests = Vec::new();
    for (world, index) in [(&one, &here), (&other, &there)] {
        let request = AddRequest {
            bundles: vec![next.to_string()],
            from_index: index.facts.index_image.clone(),
            binary_image: Some(binary.to_string()),
            ..AddRequest::default()
        };
        let record = world.completes(request).await;
        assert_eq!(
            world.bundles(&record).await,
            ["kettle.v1.0.0", "lantern.v0.1.0", "lantern.v0.2.0"]
        );
        digests.push(digest_of(&record).to_owned());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[tokio::test]
async fn a_bundle_that_is_in_the_index_under_another_name_is_left_out() {
    let world = World::new().await;
    let image = samples::bundle("lantern", "0.1.0");
    let first = world.push("bundles/lantern:v0.1.0", &image).await;
    let copy = world.push("mirror/copies/lamp:latest", &image).await;
    let next = world.push_bundle("lantern", "0.2.0").await;
    let with_first = world.completes(world.add(&first).await).await;
    let request = AddRequest {
        bundles: [&copy, &next].map(ToString::to_string).into(),
        from_index: with_first.facts.index_image.clone(),
        ..world.add(&next).await
    };
    let record = world.completes(request).await;
    assert_eq!(
        world.bundles(&record).await,
        ["lantern.v0.1.0", "lantern.v0.2.0"]
    );
    let left_out = format!(
        "{} is in the index already",
        copy.pin(image.manifest().digest())
    );
    let log = world.log(record.id).await;
    assert!(log.contains(&left_out), "{log}");
    // Nothing is left to add: the build goes on all the same.
    let request = AddRequest {
        bundles: vec![copy.to_string()],
        from_index: with_first.facts.index_image.clone(),
        ..world.add(&copy).await
    };
    let record = world.completes(request).await;
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
}

#[tokio::test]
async fn a_bundle_that_is_in_the_index_need_not_be_readable_any_more() {
    let world = World::scripted().await;
    let image = samples::bundle("lantern", "0.1.0");
    let spec = world.push("bundles/lantern:v0.1.0", &image).await;
    let first = world.completes(world.add(&spec).await).await;
    let layer = format!("/bundles/lantern/blobs/{}", image.layers[0].digest());
    let gone = vec![Answer::Status(404); 2];
    world.script().on(Method::GET, &layer, gone);
    let request = AddRequest {
        from_index: first.facts.index_image.clone(),
        ..world.add(&spec).await
    };
    let record = world.completes(request).await;
    assert_eq!(world.bundles(&record).await, ["lantern.v0.1.0"]);
    // It matters for an index that lacks the bundle.
    let reason = world.fails(world.add(&spec).await).await;
    assert!(reason.contains("does not exist"), "{reason}");
}

#[tokio::test]
async fn a_bundle_given_by_tag_and_by_digest_counts_once() {
    let world = World::scripted().await;
    let image = samples::bundle("lantern", "0.1.0");
    let tag = world.push("bundles/lantern:v0.1.0", &image).await;
    let digest = tag.pin(image.manifest().digest()).to_string();
    let request = AddRequest {
        bundles: vec![tag.to_string(), digest.clone()],
        ..world.add(&tag).await
    };
    let once = world.completes(world.add(&tag).await).await;
    let twice = world.completes(request).await;
    // Both requests together read it twice, so neither read it more than once.
    let layer = format!("/blobs/{}", image.layers[0].digest());
    assert_eq!(world.script().count(&Method::GET, &layer), 2);
    assert_eq!(world.bundles(&twice).await, ["lantern.v0.1.0"]);
    assert_eq!(
        twice.facts.bundle_mapping.as_ref().unwrap()["lantern"],
        [tag.to_string(), digest]
    );
    assert_eq!(digest_of(&once), digest_of(&twice));
}

#[tokio::test]
async fn the_head_of_a_package_is_replaced_below_prod_and_never_in_prod() {
    let world = World::new().await;
    let first = world.push_bundle("lantern", "0.1.0").await;
    let second = world.push_bundle("lantern", "0.2.0").await;
    let mut both = world.add(&first).await;
    both.bundles.push(second.to_string());
    let index = world.completes(both).await.facts.index_image;

    let mut files = bundle_files("lantern", "0.2.0");
    let csv = csv_path("lantern");
    let text = String::from_utf8(files[&csv].clone()).unwrap();
    files.insert(
        csv,
        text.replace("Keeps lanterns lit.", "Keeps them burning.")
            .into(),
    );
    let rebuilt = bundle_image("lantern", &files);
    let rebuilt = world.push("bundles/lantern:rebuilt", &rebuilt).await;
    let request = AddRequest {
        from_index: index,
        ..world.add(&rebuilt).await
    };
    let in_scope = |scope| AddRequest {
        distribution_scope: Some(scope),
        ..request.clone()
    };
    let reason = world.fails(in_scope(Scope::Prod)).await;
    let said = "Failed to add the bundles to the index image: Bundle already added that provides package \
                and csv - ";
    assert!(reason.starts_with(said), "{reason}");
    for scope in [Scope::Dev, Scope::Stage] {
        let record = world.completes(in_scope(scope)).await;
        assert_eq!(
            world.bundles(&record).await,
            ["lantern.v0.1.0", "lantern.v0.2.0"]
        );
        // It is the new image that is served: asked for again, it is there already.
        let again = AddRequest {
            from_index: record.facts.index_image.clone(),
            distribution_scope: None,
            ..request.clone()
        };
        let again = world.completes(again).await;
        assert_eq!(
            again.facts.distribution_scope,
            Some(scope.to_string()),
            "{SCOPE_LABEL}"
        );
        let log = world.log(again.id).await;
        assert!(log.contains("is in the index already"), "{log}");
    }
}

#[tokio::test]
async fn bundles_that_do_not_fit_the_graph_are_refused_in_the_references_words() {
    let world = World::new().await;
    let second = world.push_bundle("lantern", "0.2.0").await;
    assert_eq!(
        world.fails(world.add(&second).await).await,
        "Failed to add the bundles to the index image: Invalid bundle lantern.v0.2.0, replaces \
         nonexistent bundle lantern.v0.1.0 - Add lantern.v0.1.0 first or in the same request, or \
         correct spec.replaces."
    );
}

#[tokio::test]
async fn every_tag_names_the_same_list_and_the_record_says_which() {
    let world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let request = AddRequest {
        build_tags: vec!["a".to_owned(), "b".to_owned()],
        ..world.add(&bundle).await
    };
    let record = world.completes(request).await;
    assert_eq!(record.state(), State::Complete);
    for tag in ["1", "a", "b"] {
        let spec = world.spec(&format!("iib-build:{tag}"));
        let manifest = world.deps.registry.pull(&spec).await.unwrap();
        assert_eq!(manifest.digest().as_str(), digest_of(&record), "{tag}");
    }
}

/// A store that looks into the log of a request when it is to be seen that it has ended.
struct LooksIntoLogs {
    requests: Arc<dyn Requests>,
    logs: Arc<dyn Logs>,
    endings: Mutex<Vec<(String, Option<String>)>>,
}

#[async_trait]
impl Requests for LooksIntoLogs {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        self.requests.create(new).await
    }

    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        self.requests.made_by(once).await
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.requests.get(id).await
    }

    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        let last = record.history.last().unwrap();
        let seen = self.endings.lock().unwrap().len();
        if last.state.is_final() && seen == 0 {
            let log = self.logs.read(record.id).await.unwrap();
            let ending = (last.state_reason.clone(), log);
            self.endings.lock().unwrap().push(ending);
        }
        self.requests.replace(record).await
    }
}

#[tokio::test]
async fn whoever_sees_that_a_request_has_ended_finds_its_log_whole() {
    let world = World::new().await;
    let good = world
        .add(&world.push_bundle("lantern", "0.1.0").await)
        .await;
    let bad = AddRequest {
        bundles: vec![world.spec("team/nothing:v1").to_string()],
        ..good.clone()
    };
    for request in [good, bad] {
        let mut world = world.beside();
        let looks = Arc::new(LooksIntoLogs {
            requests: world.deps.requests.clone(),
            logs: world.deps.logs.clone(),
            endings: Mutex::default(),
        });
        world.deps.requests = looks.clone();
        world.run(request).await;
        let endings = looks.endings.lock().unwrap();
        let [(reason, Some(log))] = &endings[..] else {
            panic!("{endings:?}");
        };
        assert!(
            log.lines().last().unwrap().ends_with(reason),
            "{reason}: {log}"
        );
    }
}
