//! A registry that does not let the service in.

use axum::http::Method;
use iib_request::AddRequest;
use iib_testkit::scripted_registry::Answer;

use crate::samples;
use crate::world::{OUTPUT, World};

/// More calls of one kind than an attempt makes. A mount that is refused is no failure: the blob
/// is uploaded then.
const ALL: usize = 6;

#[tokio::test]
async fn refused_access_fails_at_once_and_names_the_credentials() {
    let bundle = samples::bundle("lantern", "0.1.0");
    let layer = bundle.layers[0].digest();
    let uploads = format!("/{OUTPUT}/blobs/uploads/");
    for status in [401, 403] {
        for (method, part, names) in [
            (Method::GET, "/lantern/manifests/v1", "bundles/lantern:v1"),
            (Method::GET, "/empty/manifests/v1", "index/empty:v1"),
            (Method::GET, layer.as_str(), layer.as_str()),
            (Method::POST, uploads.as_str(), OUTPUT),
            (Method::PUT, uploads.as_str(), OUTPUT),
            (Method::PUT, "/manifests/1-amd64", "for the arch amd64"),
        ] {
            let world = World::scripted().await;
            let spec = world.push("bundles/lantern:v1", &bundle).await;
            let index = samples::index_image(&samples::database(&[]));
            let index = world.push("index/empty:v1", &index).await;
            let request = AddRequest {
                from_index: Some(index.to_string()),
                ..world.add(&spec).await
            };
            let script = world.script();
            script.on(method.clone(), part, vec![Answer::Status(status); ALL]);
            let refused = format!("{} refused access to", world.host);
            let status = format!("status {status}");
            world
                .fails_saying(request, &[names, &refused, &status, "no login was shown"])
                .await;
            // No call was repeated, and no stage.
            let calls = script.count(&method, part);
            assert!(calls < ALL, "{method} {part}: {calls} calls");
        }
    }
}
