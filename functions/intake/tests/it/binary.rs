//! The built binary under a simulated Lambda Runtime API, over embedded stores.

use iib_edge::Config;
use iib_local::Local;
use iib_request::{RequestId, Stage, Task};
use iib_testkit::function::Function;
use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_intake");

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn body(response: &Value) -> Value {
    serde_json::from_str(response["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_function_takes_a_request_in_and_shows_it() {
    let folder = TempDir::new().unwrap();
    let settings = [
        (
            "IIB_DATA_FOLDER",
            folder.path().to_str().unwrap().to_owned(),
        ),
        ("IIB_LOGIN_DISABLED", "false".to_owned()),
    ];
    let mut function = Function::start(BINARY, &settings).await;
    let add = event(include_str!("../../../../events/api-add.json"));
    let added = function.invoke(&add).await;
    let get = event(include_str!("../../../../events/api-get.json"));
    let shown = function.invoke(&get).await;
    function.stop().await;

    assert_eq!(added["statusCode"], 201, "{added}");
    assert_eq!(added["headers"]["content-type"], "application/json");
    let document = body(&added);
    assert_eq!(document["id"], 1);
    assert_eq!(document["state"], "in_progress");
    assert_eq!(document["user"], "ann@example.com");
    assert_eq!(shown["statusCode"], 200, "{shown}");
    for name in ["id", "bundles", "from_index", "state_history", "user"] {
        assert_eq!(body(&shown)[name], document[name], "{name}");
    }

    let environment = settings
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let local = Local::open(&Config::load(None, &environment).unwrap()).unwrap();
    let record = local
        .deps
        .requests
        .get(RequestId(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.stage, Stage::Queued);
    assert_eq!(record.user.as_deref(), Some("ann@example.com"));
    let hidden = SignedDuration::from_secs(60);
    let messages = local.queue.receive(Stage::Pin, 10, hidden).await.unwrap();
    let tasks: Vec<Task> = messages
        .iter()
        .map(|message| serde_json::from_str(&message.body).unwrap())
        .collect();
    assert_eq!(tasks, [Task::new(record.id, Stage::Pin)]);
}

#[tokio::test]
async fn bad_settings_are_named_before_the_first_event() {
    let function = Function::start(BINARY, &[("IIB_MAX_ATTEMPTS", "none".to_owned())]).await;
    let (status, log) = function.refusal().await;
    assert!(!status.success(), "{log}");
    assert!(log.contains("IIB_MAX_ATTEMPTS"), "{log}");
}
