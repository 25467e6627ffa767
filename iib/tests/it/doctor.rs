//! Whether a service could work here.

use serde_json::Value;

use crate::command::demo_folder;
use crate::process::{Server, iib};

/// What was found, by what it is about, and the exit code.
fn doctor(words: &[&str], settings: &[(&str, &str)]) -> (Vec<(String, String, String)>, i32) {
    let mut command = iib(&[&["doctor", "--json"], words].concat());
    let done = command.envs(settings.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    let findings: Vec<Value> = serde_json::from_str(&told).unwrap();
    let found = findings.iter().map(|finding| {
        let text = |member: &str| finding[member].as_str().unwrap_or_default().to_owned();
        // Who is told of a fault is told what to do.
        assert_eq!(
            finding["advice"].is_null(),
            finding["outcome"] == "good",
            "{finding}"
        );
        (text("what"), text("outcome"), text("text"))
    });
    (found.collect(), done.status.code().unwrap())
}

fn outcome<'a>(found: &'a [(String, String, String)], what: &str) -> (&'a str, &'a str) {
    let found = found.iter().find(|(about, ..)| about == what);
    let (_, outcome, text) = found.unwrap_or_else(|| panic!("nothing of {what}"));
    (outcome, text)
}

#[test]
fn what_is_well_is_told_and_what_is_not_with_what_to_do() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let registry = &*server.registry;
    let settings = [
        ("IIB_REGISTRY", registry),
        ("IIB_INSECURE_REGISTRIES", registry),
    ];
    let data = folder.path().to_str().unwrap();
    let there = format!("{registry}/examples/lantern:v0.1.0");
    let words = [
        "--url",
        &server.api,
        "--data-folder",
        data,
        "--image",
        &there,
    ];
    let (found, code) = doctor(&words, &settings);
    for what in ["settings", "results", "image", "clock", "service"] {
        assert_eq!(outcome(&found, what).0, "good", "{found:?}");
    }
    assert_ne!(outcome(&found, "disk").0, "bad", "{found:?}");
    assert_eq!(outcome(&found, "login").0, "note", "{found:?}");
    assert_eq!(code, 0);

    let gone = format!("{registry}/examples/none:1");
    let words = [
        "--url",
        "http://127.0.0.1:1",
        "--data-folder",
        "/proc/none",
        "--image",
        &gone,
    ];
    let wrong = [("IIB_REGISTRI", registry)];
    let (found, code) = doctor(&words, &[&settings[..], &wrong].concat());
    for (what, told) in [
        ("settings", "IIB_REGISTRI is set and means nothing here"),
        ("disk", "nothing can be written into /proc"),
        ("image", "does not exist"),
        ("service", "cannot be reached"),
    ] {
        let (outcome, text) = outcome(&found, what);
        assert!(outcome == "bad" && text.contains(told), "{found:?}");
    }
    assert_eq!(code, 1);
    let (found, code) = doctor(&[], &[("IIB_MAX_BATCH", "many")]);
    assert!(
        outcome(&found, "settings").1.contains("max_batch"),
        "{found:?}"
    );
    assert_eq!(code, 1);
}
