//! What a message broker hears of the service.

use std::path::Path;
use std::process::Command;

use iib_testkit::rabbitmq::{Listener, RabbitMq};
use serde_json::Value;

use crate::command::demo_folder;
use crate::kill::{finished, submit};
use crate::process::{Server, iib};

const BUILDS: &str = "/queue/builds";
const BATCHES: &str = "/queue/batches";

/// The service on these addresses, telling a broker.
fn service(api: &str, registry: &str, rabbit: &RabbitMq, login: &Path) -> Command {
    let mut command = iib(&["serve", "--listen", api, "--registry-listen", registry]);
    command
        .env("IIB_MESSAGING_URLS", format!("amqp://{}", rabbit.address()))
        .env("IIB_MESSAGING_BUILD_STATE_DESTINATION", BUILDS)
        .env("IIB_MESSAGING_BATCH_STATE_DESTINATION", BATCHES)
        .env("IIB_MESSAGING_LOGIN_FILE", login);
    command
}

fn body(document: &iib_testkit::rabbitmq::Document) -> Value {
    serde_json::from_str(&document.body.0).unwrap()
}

/// What is heard of a request, from its first state to its last, and then of its batch.
async fn assert_heard(builds: &mut Listener, batches: &mut Listener, document: &Value) {
    let states = document["state_history"].as_array().unwrap();
    for state in states.iter().rev() {
        let heard = body(&builds.next().await);
        for name in ["state", "state_reason", "updated"] {
            assert_eq!(heard[name], state[name], "{heard}");
        }
        for name in [
            "id",
            "batch",
            "user",
            "request_type",
            "bundles",
            "build_tags",
        ] {
            assert_eq!(heard[name], document[name], "{name}");
        }
        assert!(heard.get("logs").is_none() && heard.get("state_history").is_none());
        if state["state"] == "complete" {
            for name in [
                "index_image",
                "index_image_resolved",
                "arches",
                "bundle_mapping",
            ] {
                assert_eq!(heard[name], document[name], "{name}");
            }
        }
    }
    for state in ["in_progress", "complete"] {
        let heard = body(&batches.next().await);
        assert_eq!(
            (&heard["batch"], &heard["state"]),
            (&document["batch"], &state.into())
        );
    }
}

#[test]
#[ignore = "needs rabbitmq-server"]
fn a_broker_hears_everything_in_order_also_what_happened_while_it_was_away() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut rabbit = runtime.block_on(RabbitMq::start());
    let (folder, place) = (demo_folder(), tempfile::tempdir().unwrap());
    let login = place.path().join("login");
    std::fs::write(&login, "guest:guest\n").unwrap();
    let server = Server::spawn(
        service("127.0.0.1:0", "127.0.0.1:0", &rabbit, &login),
        folder.path(),
    );
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (api, registry) = (address(&server.api), address(&server.registry));
    let first = finished(
        &server,
        submit(&server, &registry, &["lantern:v0.1.0"], "one"),
    );
    assert_eq!(first["state"], "complete", "{first}");
    runtime.block_on(async {
        let mut builds = Listener::at(&rabbit, BUILDS).await;
        let mut batches = Listener::at(&rabbit, BATCHES).await;
        assert_heard(&mut builds, &mut batches, &first).await;
    });

    rabbit.stop();
    let second = finished(
        &server,
        submit(&server, &registry, &["kettle:v1.0.0"], "two"),
    );
    assert_eq!(second["state"], "complete", "{second}");
    server.kill();
    runtime.block_on(rabbit.start_again());
    let server = Server::spawn(service(&api, &registry, &rabbit, &login), folder.path());
    runtime.block_on(async {
        let mut builds = Listener::at(&rabbit, BUILDS).await;
        let mut batches = Listener::at(&rabbit, BATCHES).await;
        assert_heard(&mut builds, &mut batches, &second).await;
    });
    drop(server);
}
