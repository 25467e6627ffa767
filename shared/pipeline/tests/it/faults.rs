//! A registry that fails for a while, or for good.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use iib_pipeline::Verdict;
use iib_ports::Queue as _;
use iib_registry::{RegistryClient, RegistryConfig};
use iib_request::{AddRequest, Stage, State};
use iib_testkit::scripted_registry::Answer;

use crate::samples;
use crate::world::{OUTPUT, World};

/// Calls of one kind, and what a failure of theirs names.
struct Place {
    name: &'static str,
    method: Method,
    part: String,
    /// Calls with the same method and part that come before, in every attempt.
    before: usize,
    /// How many of these calls an attempt makes side by side.
    calls: usize,
    /// How many more calls an attempt makes there that are tried once only.
    once: usize,
    names: Vec<String>,
}

impl Place {
    /// Answers the next calls of this kind.
    fn answer(&self, world: &World, fault: &Answer, times: usize) {
        let before = vec![Answer::Usual; self.before];
        let answers = before.into_iter().chain(vec![fault.clone(); times]);
        world.script().on(self.method.clone(), &self.part, answers);
    }
}

/// A world with a request, and the places at which its registry can fail.
async fn world_and_places() -> (World, AddRequest, [Place; PLACES]) {
    let world = World::scripted().await;
    let bundle = samples::bundle("lantern", "0.1.0");
    let spec = world.push("bundles/lantern:v1", &bundle).await;
    let request = world.add(&spec).await;
    let layer = bundle.layers[0].digest();
    let output = format!("{}/{OUTPUT}", world.host);
    let place = |name, method, part: &str, names: &[&str]| Place {
        name,
        method,
        part: part.to_owned(),
        before: 0,
        calls: 1,
        once: 0,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let places = [
        place(
            "manifest",
            Method::GET,
            "/bundles/lantern/manifests/v1",
            &["Failed to inspect docker://", spec.as_str()],
        ),
        place(
            "blob",
            Method::GET,
            &format!("/blobs/{layer}"),
            &["Failed to read a layer of the bundle", layer.as_str()],
        ),
        Place {
            // The configuration, the index layer, and the binary image's layer, whose mount comes
            // before and is tried once.
            calls: 3,
            once: 1,
            ..place(
                "blob upload",
                Method::POST,
                &format!("/{OUTPUT}/blobs/uploads/"),
                &["Failed to push blob sha256:", &output],
            )
        },
        Place {
            calls: 2,
            ..place(
                "blob content",
                Method::PUT,
                &format!("/{OUTPUT}/blobs/uploads/"),
                &["Failed to push blob sha256:", &output],
            )
        },
        place(
            "image",
            Method::PUT,
            &format!("/{OUTPUT}/manifests/1-amd64"),
            &[
                &format!("Failed to push the container image to docker://{output}:1-amd64"),
                "for the arch amd64",
            ],
        ),
        Place {
            // The image's tag begins like the list's.
            before: 1,
            ..place(
                "list",
                Method::PUT,
                &format!("/{OUTPUT}/manifests/1"),
                &[&format!("Failed to push the manifest list to {output}:1")],
            )
        },
    ];
    (world, request, places)
}

const PLACES: usize = 6;

/// How often the client tries a call, and the service a stage.
const TRIES: usize = 3;

#[tokio::test]
async fn faults_that_pass_are_sat_out_within_the_call() {
    for index in 0..PLACES {
        for fault in [
            Answer::Status(429),
            Answer::Status(500),
            Answer::Status(503),
            Answer::Disconnect,
        ] {
            let (world, request, places) = world_and_places().await;
            let place = &places[index];
            place.answer(&world, &fault, TRIES - 1);
            let record = world.completes(request.clone()).await;
            // Nothing but retries of calls: no stage had to begin again.
            let log = world.log(record.id).await;
            assert!(!log.contains("will be repeated"), "{}: {log}", place.name);
            let asked = world.script().count(&place.method, &place.part);
            assert!(asked >= place.before + TRIES, "{}: {asked}", place.name);
        }
    }
}

#[tokio::test]
async fn downloads_that_break_off_go_on_where_they_stopped() {
    let (world, request, places) = world_and_places().await;
    for place in &places[..2] {
        for answer in [Answer::CutAfter(0), Answer::CutAfter(20)] {
            world
                .script()
                .on(place.method.clone(), &place.part, [answer]);
            world.completes(request.clone()).await;
        }
    }
}

#[tokio::test]
async fn faults_that_last_end_each_attempt_and_then_the_request() {
    for index in 0..PLACES {
        let (world, request, places) = world_and_places().await;
        let place = &places[index];
        for _ in 0..TRIES {
            let calls = place.once + place.calls * TRIES;
            place.answer(&world, &Answer::Status(503), calls);
        }
        let id = world.submit(request).await;
        // Each attempt sends the message back and frees the request, until none is left.
        let mut verdicts = Vec::new();
        while let Some(task) = world.queue.take_next() {
            let verdict = world.deliver(&task).await;
            let record = world.record(id).await;
            assert_eq!(record.work.lease, None, "{}", place.name);
            verdicts.push(verdict);
            if verdict != Verdict::Done {
                assert_eq!(record.state(), State::InProgress, "{}", place.name);
                world.queue.send(&task).await.unwrap();
            }
        }
        let again = verdicts.iter().filter(|verdict| **verdict != Verdict::Done);
        assert_eq!(again.count(), 2, "{}: {verdicts:?}", place.name);
        let record = world.record(id).await;
        let reason = record.state_reason();
        assert_eq!(record.state(), State::Failed, "{reason}");
        for part in &place.names {
            assert!(reason.contains(part.as_str()), "no `{part}` in: {reason}");
        }
        for part in [
            &world.host,
            "after 3 attempts",
            "status 503",
            "It was tried 3 times; send the request again later.",
        ] {
            assert!(reason.contains(part), "no `{part}` in: {reason}");
        }
        // What users look for under the request's number is not there.
        let tags = world.tags(OUTPUT).await;
        assert!(!tags.contains("1"), "{}: {tags:?}", place.name);
        world.assert_cleaned_up(id).await;
    }
}

#[tokio::test]
async fn an_attempt_that_failed_is_told_in_the_log_and_the_next_one_succeeds() {
    for index in 0..PLACES {
        let (world, request, places) = world_and_places().await;
        let place = &places[index];
        // The tries of one call are used up; a later attempt finds the registry well.
        let enough_for_one = place.once + place.calls * (TRIES - 1) + 1;
        place.answer(&world, &Answer::Status(500), enough_for_one);
        let record = world.completes(request).await;
        let log = world.log(record.id).await;
        assert!(
            log.contains("attempt 1 of 3 failed and will be repeated: "),
            "{}: {log}",
            place.name
        );
        assert_eq!(
            record
                .history
                .iter()
                .filter(|entry| entry.state == State::Complete)
                .count(),
            1
        );
        assert_eq!(record.work.stage, Stage::Done);
    }
}

#[tokio::test]
async fn missing_content_is_refused_at_once() {
    let (world, request, places) = world_and_places().await;
    let blob = &places[1];
    world
        .script()
        .on(Method::GET, &blob.part, [Answer::Status(404)]);
    world
        .fails_saying(
            request.clone(),
            &[
                &blob.names[0],
                &blob.names[1],
                "does not exist",
                "push the image again",
            ],
        )
        .await;
    // A registry that refuses an upload says why; that is what the user is told.
    for (place, status) in [(2, 404), (3, 400), (4, 400)] {
        let (world, request, places) = world_and_places().await;
        let place = &places[place];
        place.answer(&world, &Answer::Status(status), place.calls + 1);
        let status = format!("status {status}");
        let next = "ask the operators of this service";
        world
            .fails_saying(
                request,
                &[
                    &place.names[0],
                    &world.host,
                    &status,
                    "SCRIPTED: as the",
                    next,
                ],
            )
            .await;
    }
}

#[tokio::test]
async fn a_download_that_stands_still_is_taken_up_again() {
    let (mut world, request, places) = world_and_places().await;
    let impatient = RegistryClient::new(RegistryConfig {
        idle_timeout: Duration::from_millis(200),
        ..World::client_settings(&world.host)
    });
    world.deps.registry = Arc::new(impatient.unwrap());
    let blob = &places[1];
    blob.answer(&world, &Answer::StallAfter(50), 1);
    world.completes(request).await;
    assert_eq!(world.script().count(&blob.method, &blob.part), 2);
}

#[tokio::test]
async fn a_layer_of_the_binary_image_that_cannot_be_mounted_is_copied() {
    let layer = samples::binary("amd64").layers[0].digest();
    let part = format!("/base/binary/blobs/{layer}");
    for fault in [None, Some(Answer::CutAfter(10)), Some(Answer::Status(503))] {
        let (world, request, _) = world_and_places().await;
        let script = world.script();
        script.on(Method::POST, "mount=", [Answer::Status(403)]);
        script.on(Method::GET, &part, fault);
        world.completes(request).await;
        assert!(script.blob_size(OUTPUT, &layer).is_some());
        assert!(script.count(&Method::GET, &part) >= 1);
    }
    let (world, request, _) = world_and_places().await;
    let script = world.script();
    script.on(Method::POST, "mount=", vec![Answer::Status(403); TRIES]);
    script.on(Method::GET, &part, [Answer::Status(404)]);
    let named = format!("blob {layer} of {}/base/binary", world.host);
    world
        .fails_saying(
            request,
            &["Failed to push blob", &named, "does not exist", "push the"],
        )
        .await;
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_named_as_the_services_own() {
    let (mut world, request, places) = world_and_places().await;
    let folder = tempfile::tempdir().unwrap();
    let auth_file = folder.path().join("auth.json");
    let client = RegistryClient::new(RegistryConfig {
        auth_files: vec![auth_file.clone()],
        ..World::client_settings(&world.host)
    });
    world.deps.registry = Arc::new(client.unwrap());
    std::fs::write(&auth_file, "{").unwrap();
    let challenge = vec![("www-authenticate", "Basic realm=\"r\"".to_owned())];
    let challenge = Answer::Reply(401, challenge, Vec::new());
    places[0].answer(&world, &challenge, TRIES);
    let whose = format!("the service's credentials for {}", world.host);
    world
        .fails_saying(request, &[&whose, "It was tried 3 times; send"])
        .await;
}
