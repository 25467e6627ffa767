//! Files instead of calls.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Server;

/// Long after what is waited for has come, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a value is there.
fn awaited<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn get(url: &str) -> String {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = reqwest::get(url).await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    })
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[test]
fn files_in_the_data_folder_are_requests_and_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let artifacts = folder.path().join("artifacts");
    let document = json!({
        "bundles": [format!("{}/examples/none:v1", server.registry)],
        "add_arches": ["amd64"],
        "binary_image": format!("{}/examples/binary:v1", server.registry),
    });
    let inbox = artifacts.join("inbox");
    std::fs::write(inbox.join("one.json"), document.to_string()).unwrap();
    let result = artifacts.join("results/one.json");
    let result = awaited("the result", || read(&result));
    assert_eq!(result["id"], 1, "{result}");
    // The document goes only once its result is written.
    awaited("the document's end", || {
        (!inbox.join("one.json").exists()).then_some(())
    });
    assert!(inbox.is_dir());

    let request = format!("{}/api/v1/builds/1", server.api);
    let shown: Value = awaited("the end", || {
        let shown: Value = serde_json::from_str(&get(&request)).unwrap();
        (shown["state"] != "in_progress").then_some(shown)
    });
    assert_eq!(shown["bundles"], document["bundles"]);
    // The log is where logs of ended requests are, and is shown.
    let sealed = artifacts.join("kept/1/build.log");
    let sealed = awaited("the log", || std::fs::read_to_string(&sealed).ok());
    let log = get(&format!("{request}/logs"));
    assert!(log.contains("examples/none:v1"), "{log}");
    assert!(log.starts_with(&sealed), "{log}");

    let uploads = artifacts.join("uploads/1/logs");
    std::fs::create_dir_all(&uploads).unwrap();
    std::fs::write(uploads.join("elsewhere.log"), "built elsewhere\n").unwrap();
    let url = awaited("the upload", || {
        let listed = get(&format!("{request}/uploads"));
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed[0]["url"].as_str().map(ToOwned::to_owned)
    });
    assert_eq!(get(&url), "built elsewhere\n");
}
