//! What a request would do, on the command line.

use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, run};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_an_add_would_change_is_printed_to_be_pasted() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let image = |name: &str| format!("{}/examples/{name}", server.registry);
    let (bundle, binary) = (image("lantern:v0.1.0"), image("binary:v1"));
    let add = [
        "add",
        "--url",
        &server.api,
        "--binary-image",
        &binary,
        "--arch",
        "amd64",
        "--dry-run",
    ];
    let shown = run(&[&add[..], &["--bundle", &bundle]].concat());
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let markdown = text(&shown.stdout);
    for part in [
        "### Dry run of `add` (request 3): nothing was pushed\n",
        "```diff\n+ package lantern\n",
        "+   bundle lantern/lantern.v0.1.0\n",
        "Upgrade graph of `lantern`:\n\n```mermaid\nflowchart TD\n",
    ] {
        assert!(markdown.contains(part), "{part} in {markdown}");
    }
    let progress = text(&shown.stderr);
    assert!(progress.contains("The dry run completed"), "{progress}");
    assert!(!progress.contains("Creating the manifest"), "{progress}");

    let waited = run(&["wait", "3", "--url", &server.api]);
    assert_eq!(text(&waited.stdout), markdown);

    let json = run(&[
        &add[..],
        &["--bundle", &bundle, "--json", "--timeout", "5m"],
    ]
    .concat());
    let last = text(&json.stdout);
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(last["dry_run"], true);
    assert_eq!(last["index_image"], Value::Null);

    let missing = image("lantern:v9");
    let failed = run(&[&add[..], &["--bundle", &missing]].concat());
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("failed: "), "{failed:?}");
    assert_eq!(text(&failed.stdout), "");
}
