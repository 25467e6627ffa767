//! The examples of this crate.

use std::process::{Command, Output};

use iib_testkit::examples::example;

/// Bundles in the repository.
const BUNDLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/bundles");

fn run(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new(example(name)).args(arguments).output();
    output.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn bundles_are_added_and_the_index_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("index.db");
    let db = db.to_str().unwrap();
    let versions = ["0.1.0", "0.2.0"].map(|version| format!("{BUNDLES}/lantern/{version}"));
    let [first, second] = versions.each_ref().map(String::as_str);
    let added = run("add_bundles", &[db, first, second]);
    assert!(text(&added.stdout).starts_with("+ package lantern\n"));
    let again = run("add_bundles", &[db, second]);
    assert!(!again.status.success());
    let said = text(&again.stderr);
    assert!(said.contains("already exists"), "{said}");
    let rendered = text(&run("render_index", &[db]).stdout);
    assert!(
        rendered.contains(r#""name": "lantern.v0.2.0""#),
        "{rendered}"
    );
}
