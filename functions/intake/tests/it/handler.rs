//! The handler over embedded stores, given the event documents of `events/`.

use std::sync::Arc;

use iib_edge::Config;
use iib_intake::Gateway;
use iib_local::Local;
use iib_request::{RequestId, Stage, Task};
use jiff::SignedDuration;
use lambda_http::lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;
use tempfile::TempDir;
use tower::{Service as _, ServiceExt as _};

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Calls the function as the Lambda service does.
async fn invoke(function: &mut Gateway, event: &Value) -> Value {
    let event = serde_json::from_value(event.clone()).unwrap();
    let event = LambdaEvent::new(event, Context::default());
    let response = function.ready().await.unwrap().call(event).await.unwrap();
    serde_json::to_value(response).unwrap()
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
    let environment = settings
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let local = Local::open(&Config::load(None, &environment).unwrap()).unwrap();
    let mut function = iib_intake::gateway(iib_intake::router(iib_intake::Api {
        intake: Arc::new(local.deps.clone().into()),
        listing: local.listing.clone(),
        watch: local.watch.clone(),
        tokens: None,
    }));
    let add = event(include_str!("../../../../events/api-add.json"));
    let added = invoke(&mut function, &add).await;
    let get = event(include_str!("../../../../events/api-get.json"));
    let shown = invoke(&mut function, &get).await;

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

    let record = local
        .deps
        .requests
        .get(RequestId(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.work.stage, Stage::Queued);
    assert_eq!(record.user.as_deref(), Some("ann@example.com"));
    let hidden = SignedDuration::from_secs(60);
    let messages = local.queue.receive(Stage::Pin, 10, hidden).await.unwrap();
    let tasks: Vec<Task> = messages
        .iter()
        .map(|message| serde_json::from_str(&message.body).unwrap())
        .collect();
    assert_eq!(tasks, [record.task(Stage::Pin)]);
}
