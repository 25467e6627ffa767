//! What whoever runs the service looks at.

use std::time::Duration;

use crate::command::demo_folder;
use crate::process::Server;

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
        metrics.unwrap()
    });
    for line in [
        "IIB_LiveQueued 0",
        "IIB_OldestLiveSeconds 0",
        "# TYPE IIB_Resent counter",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
}
