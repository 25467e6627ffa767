//! The examples of this crate.

use std::fs;
use std::process::{Command, Output};

use iib_testkit::examples::example;

const CATALOG: &str = r#"
schema: olm.package
name: lamp
defaultChannel: stable
---
schema: olm.channel
package: lamp
name: stable
entries: [{name: lamp.v1}]
---
schema: olm.bundle
package: lamp
name: lamp.v1
image: r.example/lamp:1
properties: [{type: olm.package, value: {packageName: lamp, version: 1.0.0}}]
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_catalog_is_checked_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.yaml");
    let run = |name: &str, more: &[&str]| -> Output {
        let mut command = Command::new(example(name));
        command.arg(folder.path()).args(more).output().unwrap()
    };
    fs::write(&file, CATALOG).unwrap();
    let heads = text(&run("check_catalog", &[]).stdout);
    assert_eq!(heads, "lamp stable lamp.v1\n");
    let drawn = text(&run("draw_package", &["lamp"]).stdout);
    assert!(drawn.starts_with("<svg") && drawn.contains("lamp.v1"));
    let unknown = run("draw_package", &["lantern"]);
    assert!(text(&unknown.stderr).contains("no package lantern"));

    fs::write(&file, CATALOG.replace("Channel: stable", "Channel: other")).unwrap();
    let faults = run("check_catalog", &[]);
    assert!(!faults.status.success());
    let faults = text(&faults.stderr);
    assert!(faults.contains("other"), "{faults}");
}
