//! What whoever runs the service looks at.

use std::time::Duration;

use crate::command::demo_folder;
use crate::process::{Server, iib};

#[test]
fn figures_and_readiness_are_there() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", server.api)).await.unwrap();
        let answer = answer.error_for_status().unwrap();
        let media_type = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (media_type, answer.text().await.unwrap())
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let metrics = runtime.block_on(async {
        // They are taken for the first time soon after the start.
        let taken = async {
            loop {
                let (media_type, text) = get("/metrics").await;
                assert!(media_type.starts_with("text/plain; version=0.0.4"));
                if !text.is_empty() {
                    return text;
                }
            }
        };
        let metrics = tokio::time::timeout(Duration::from_secs(30), taken).await;
        let (_, ready) = get("/readyz").await;
        assert!(ready.contains("\"status\":\"ready\""), "{ready}");
        assert!(ready.contains("\"registry\":\"ok\""), "{ready}");
        metrics.unwrap()
    });
    for line in [
        "IIB_LiveQueued 0",
        "IIB_OldestLiveSeconds 0",
        "# TYPE IIB_Resent counter",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
    // A request of which nothing can come is counted as its caller's fault.
    let image = format!("{}/nothing/here:1", server.registry);
    let request =
        serde_json::json!({"bundles": [image], "binary_image": image, "add_arches": ["amd64"]});
    let counted = runtime.block_on(async {
        let client = reqwest::Client::new();
        let calls = client.post(format!("{}/api/v1/builds/add", server.api));
        let answer = calls.json(&request).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let failed = "IIB_RequestsFailed{class=\"reject\",kind=\"add\"} 1";
        let counted = async {
            loop {
                let (_, text) = get("/metrics").await;
                if text.lines().any(|found| found == failed) {
                    return text;
                }
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(30), counted).await;
        counted.expect("the failed request is counted")
    });
    let attempt = "IIB_Attempts{result=\"reject\",stage=\"pin\"} 1";
    assert!(counted.lines().any(|found| found == attempt), "{counted}");
}

#[test]
fn a_registry_that_is_away_is_told_and_requests_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing listens there any more.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = address.local_addr().unwrap().to_string();
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--registry-listen",
        "127.0.0.1:0",
    ];
    let mut command = iib(&words);
    command
        .env("IIB_REGISTRY", &address)
        .env("IIB_INSECURE_REGISTRIES", &address)
        // A new service looks there for numbers that are free otherwise.
        .env("IIB_REQUESTS_FIRST_NUMBER", "1000");
    let server = Server::spawn(command, folder.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ready = runtime.block_on(async {
        let answer = reqwest::get(format!("{}/readyz", server.api))
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    });
    assert!(ready.contains("\"status\":\"ready\""), "{ready}");
    assert!(ready.contains("\"registry\":\"failed\""), "{ready}");
    assert!(ready.contains("\"queue\":\"ok\""), "{ready}");
}
