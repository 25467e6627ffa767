//! What a request changed, as the running service shows it.

use crate::command::demo_folder;
use crate::kill::{finished, submit};
use crate::process::Server;

/// The media type and the text of an answer that is good.
fn get(url: &str) -> (String, String) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let answer = reqwest::get(url).await.unwrap().error_for_status().unwrap();
        let media_type = answer.headers()["content-type"].to_str().unwrap();
        (media_type.to_owned(), answer.text().await.unwrap())
    })
}

#[test]
fn a_finished_request_shows_its_diff_and_the_graph_of_its_package() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let bundles = ["lantern:v0.1.0", "lantern:v0.2.0"];
    let id = submit(&server, &server.registry, &bundles, "changes");
    let document = finished(&server, id);
    assert_eq!(document["state"], "complete", "{document}");
    let url = |path: &str| format!("{}/api/v1/builds/{id}/{path}", server.api);

    let (media_type, lines) = get(&url("diff?format=text"));
    assert_eq!(media_type, "text/plain; charset=utf-8");
    for line in ["+ package lantern\n", "+ bundle lantern/lantern.v0.2.0\n"] {
        assert!(lines.contains(line), "{lines}");
    }
    let (_, diff) = get(&url("diff"));
    let diff: serde_json::Value = serde_json::from_str(&diff).unwrap();
    // The package is new, so that its heading is a change, too.
    let changes = diff["changes"].as_array().unwrap().len();
    assert_eq!(changes, lines.lines().count(), "{diff}");

    let (media_type, svg) = get(&url("graph"));
    assert_eq!(media_type, "image/svg+xml");
    assert!(svg.contains("lantern.v0.1.0"), "{svg}");
    let (_, dot) = get(&url("graph?package=lantern&format=dot"));
    assert!(dot.starts_with("digraph \"lantern\" {"), "{dot}");
    assert_eq!(dot.matches("n0 -> n1").count(), 1, "{dot}");
    let (_, mermaid) = get(&url("graph?format=mermaid"));
    assert!(mermaid.starts_with("flowchart TD\n"), "{mermaid}");
}
