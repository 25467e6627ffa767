//! What bundles have to pass before they are added: labels, related images, a gate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use iib_pipeline::Verdict;
use iib_ports::{GateAnswer, GateError, Gates};
use iib_request::{AddRequest, DEFAULT_QUEUE, GATED_SUBJECT, Gating, Stage, State};
use serde_json::{Map, Value};

use crate::samples::{self, bundle_files, bundle_image, csv_path};
use crate::world::{World, told};

/// Answers in their order, the last one again and again; questions are noted.
struct Answers {
    answers: Mutex<Vec<Result<(u16, &'static str), ()>>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Gates for Answers {
    async fn decide(&self, question: &Map<String, Value>) -> Result<GateAnswer, GateError> {
        let subject = question["subject_identifier"].as_str().unwrap();
        self.asked.lock().unwrap().push(subject.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let next = match answers.len() {
            1 => answers[0],
            _ => answers.remove(0),
        };
        match next {
            Ok((status, body)) => Ok(GateAnswer {
                status,
                body: body.to_owned(),
            }),
            Err(()) => Err(GateError::Unreachable {
                url: "http://greenwave.example/decision".to_owned(),
                source: "connection refused".into(),
            }),
        }
    }
}

const YES: Result<(u16, &str), ()> = Ok((200, r#"{"policies_satisfied": true}"#));

/// Two bundles of builds in a world with a gate, and a request to add them.
async fn gated(answers: &[Result<(u16, &'static str), ()>]) -> (World, Arc<Answers>, AddRequest) {
    let mut world = World::new().await;
    let mut bundles = Vec::new();
    for version in ["0.1.0", "0.2.0"] {
        let image = samples::bundle("lantern", version)
            .label("com.redhat.component", "lantern-bundle")
            .label("version", version)
            .label("release", "7");
        let name = format!("bundles/lantern:v{version}");
        bundles.push(world.push(&name, &image).await.to_string());
    }
    let gating = Gating {
        decision_context: "iib".to_owned(),
        product_version: "ocp-4".to_owned(),
        subject_type: GATED_SUBJECT.to_owned(),
        more: Map::new(),
    };
    world.deps.api.greenwave_config = [(DEFAULT_QUEUE.to_owned(), gating)].into();
    let gates = Arc::new(Answers {
        answers: Mutex::new(answers.to_vec()),
        asked: Mutex::default(),
    });
    world.deps.gates = Some(gates.clone());
    let request = AddRequest {
        bundles,
        binary_image: Some(world.push_binary(&["amd64"]).await.to_string()),
        add_arches: vec!["amd64".to_owned()],
        ..AddRequest::default()
    };
    (world, gates, request)
}

#[tokio::test]
async fn bundles_that_pass_are_added() {
    let (world, gates, request) = gated(&[YES]).await;
    world.completes(request).await;
    let asked = gates.asked.lock().unwrap().clone();
    assert_eq!(asked, ["lantern-bundle-0.1.0-7", "lantern-bundle-0.2.0-7"]);
}

#[tokio::test]
async fn all_that_do_not_pass_are_told_with_all_their_cases() {
    let no = |case: &'static str| Ok((200, case));
    let (world, _, request) = gated(&[
        no(r#"{"policies_satisfied": false, "unsatisfied_requirements": [{"testcase": "t.one"}]}"#),
        no(r#"{"policies_satisfied": false, "unsatisfied_requirements": [{"testcase": "t.two"}]}"#),
    ])
    .await;
    let reason = world.fails(request).await;
    let bundles = format!("{}/bundles/lantern@sha256:", world.host);
    let wanted = format!("Unsatisfied Greenwave policy for {bundles}");
    assert!(reason.starts_with(&wanted), "{reason}");
    assert_eq!(reason.matches(&bundles).count(), 2, "{reason}");
    let end = "with decision_context: iib, product_version: ocp-4, subject_type: koji_build and test cases: t.one, t.two";
    assert!(reason.ends_with(end), "{reason}");
}

#[tokio::test]
async fn who_cannot_be_asked_is_asked_again() {
    let (world, gates, request) = gated(&[Err(()), Ok((503, "busy")), YES]).await;
    let id = world.submit(request).await;
    let mut repeated = 0;
    while let Some(task) = world.queue.take_next() {
        if world.deliver(&task).await != Verdict::Done {
            assert_eq!(task.stage, Stage::Pin);
            repeated += 1;
            iib_ports::Queue::send(&*world.queue, &task).await.unwrap();
        }
    }
    let record = world.record(id).await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
    assert_eq!((repeated, gates.asked.lock().unwrap().len()), (2, 4));
}

#[tokio::test]
async fn without_an_answer_nothing_is_added() {
    for (answer, wanted) in [
        (
            Ok((404, r#"{"message": "no such build"}"#)),
            "Gating check failed for ",
        ),
        (
            Ok((404, r#"{"message": "no such build"}"#)),
            ": no such build",
        ),
        (
            Ok((200, "{}")),
            "Key \"policies_satisfied\" missing in Greenwave response for ",
        ),
        (
            Err(()),
            "http://greenwave.example/decision cannot be asked: connection refused",
        ),
    ] {
        let (world, _, request) = gated(&[answer]).await;
        let reason = world.fails(request).await;
        assert!(reason.contains(wanted), "{reason}");
    }
    let (mut world, _, request) = gated(&[YES]).await;
    world.deps.gates = None;
    let reason = world.fails(request.clone()).await;
    assert_eq!(reason, "IIB is not configured to handle gating of bundles");
    // One that does not say which build it is.
    let (world, _, request) = gated(&[YES]).await;
    let nameless = world.push_bundle("kettle", "1.0.0").await;
    let request = AddRequest {
        bundles: vec![nameless.to_string()],
        ..request
    };
    let reason = world.fails(request).await;
    assert!(
        reason.contains("does not have the label com.redhat.component"),
        "{reason}"
    );
}

#[tokio::test]
async fn bundles_have_the_labels_that_are_asked_for() {
    let mut world = World::new().await;
    let bundle = world.push_bundle("lantern", "0.1.0").await;
    let package = "operators.operatorframework.io.bundle.package.v1";
    world.deps.work.required_labels = [(package.to_owned(), "lantern".to_owned())].into();
    world.completes(world.add(&bundle).await).await;
    world.deps.work.required_labels = [(package.to_owned(), "kettle".to_owned())].into();
    let reason = world.fails(world.add(&bundle).await).await;
    let wanted = format!("does not have the label {package}=kettle");
    assert!(
        reason.starts_with("The bundle ") && reason.ends_with(&wanted),
        "{reason}"
    );
    assert!(reason.contains("@sha256:"), "{reason}");
}

/// A bundle whose deployment runs this image, and which has another one in a variable.
async fn naming(world: &World, image: &str, variable: &str) -> AddRequest {
    let mut files = bundle_files("lantern", "0.1.0");
    let csv = format!(
        "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata: {{name: lantern.v0.1.0}}\nspec:\n  version: 0.1.0\n  install:\n    strategy: deployment\n    spec:\n      deployments:\n      - name: lantern\n        spec:\n          selector: {{}}\n          template:\n            spec:\n              containers:\n              - {{name: m, image: \"{image}\", env: [{{name: RELATED_IMAGE_DB, value: \"{variable}\"}}]}}\n"
    );
    files.insert(csv_path("lantern"), csv.into_bytes());
    let bundle = world
        .push("bundles/naming:v1", &bundle_image("lantern", &files))
        .await;
    AddRequest {
        check_related_images: Some(true),
        ..world.add(&bundle).await
    }
}

#[tokio::test]
async fn related_images_are_looked_for() {
    let world = World::new().await;
    let there = world.push_binary(&["amd64"]).await.to_string();
    let gone = world.spec("images/gone:v1").to_string();
    let request = naming(&world, &there, &gone).await;
    let reason = world.fails(request.clone()).await;
    let wanted = format!("IIB cannot access the following related images ['{gone}']");
    assert_eq!(reason, wanted);
    let record = world.record(iib_request::RequestId(1)).await;
    assert_eq!(told(&record).len(), 2, "{:?}", told(&record));
    let unasked = AddRequest {
        check_related_images: Some(false),
        ..request
    };
    world.completes(unasked).await;
    world.completes(naming(&world, &there, &there).await).await;
    let no_registry = naming(&world, &there, "just-a-name").await;
    let reason = world.fails(no_registry).await;
    assert!(reason.contains("['just-a-name:latest']"), "{reason}");
}

#[tokio::test]
async fn related_images_are_looked_for_where_the_user_has_them() {
    let mut world = World::new().await;
    let there = world.push_binary(&["amd64"]).await.to_string();
    let elsewhere = there.replace(&world.host, "released.invalid");
    let request = naming(&world, &there, &elsewhere).await;
    let map = BTreeMap::from([("released.invalid".to_owned(), world.host.clone())]);
    world.deps.work.related_image_registry_replacement = [("ann".to_owned(), map)].into();
    let submit = async |user: &str| {
        let deps = iib_pipeline::intake::IntakeDeps::from(world.deps.clone());
        let user = Some(user.to_owned());
        let record = iib_pipeline::intake::submit(&deps, user, request.clone()).await;
        world.run_queue().await;
        world.record(record.unwrap().id).await
    };
    let record = submit("ann").await;
    assert_eq!(record.state(), State::Complete, "{}", record.state_reason());
}

#[tokio::test]
async fn a_variable_without_a_value_of_its_own_is_told() {
    let world = World::new().await;
    let there = world.push_binary(&["amd64"]).await.to_string();
    let request = naming(
        &world,
        &there,
        "x\"}, {name: RELATED_IMAGE_X, valueFrom: {}, n: \"",
    )
    .await;
    let reason = world.fails(request).await;
    assert!(reason.contains("related images of the bundle"), "{reason}");
    assert!(
        reason.contains("RELATED_IMAGE_X: \"valueFrom\""),
        "{reason}"
    );
}
