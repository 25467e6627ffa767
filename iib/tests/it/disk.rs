//! A scratch folder without room, as `/tmp` of a function may be.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::command::demo_folder;
use crate::kill::{digest, finished, submit, until_log_says};
use crate::process::Server;

const BUNDLES: &[&str] = &["lantern:v0.1.0", "kettle:v1.0.0"];

/// `iib serve` with a scratch folder that has so much room, as only it sees.
fn serve_with_scratch(data_folder: &Path, registry: &str, size: &str) -> Server {
    let scratch = tempfile::tempdir_in(data_folder).unwrap().keep();
    serve_in(&scratch, data_folder, registry, size, 2)
}

fn serve_in(
    scratch: &Path,
    data_folder: &Path,
    registry: &str,
    size: &str,
    attempts: u32,
) -> Server {
    let mut command = Command::new("unshare");
    command
        .env("IIB_SCRATCH", scratch)
        .env("IIB_MAX_ATTEMPTS", attempts.to_string())
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o size="$0" none "$IIB_SCRATCH" && exec "$@""#)
        .args([size, env!("CARGO_BIN_EXE_iib"), "serve"])
        .args(["--listen", "127.0.0.1:0", "--registry-listen", registry]);
    Server::spawn(command, data_folder)
}

fn reason(document: &Value) -> &str {
    document["state_reason"].as_str().unwrap()
}

/// From too little for a first page to too little for the last.
#[test]
#[ignore = "needs unshare"]
fn a_full_disk_fails_the_request_and_nothing_else() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let registry = server.registry.clone();
    let expected = finished(&server, submit(&server, &registry, BUNDLES, "whole"));
    assert_eq!(expected["state"], "complete", "{expected}");
    drop(server);

    for size in ["16k", "48k", "80k"] {
        let server = serve_with_scratch(folder.path(), &registry, size);
        let document = finished(&server, submit(&server, &registry, BUNDLES, "full"));
        assert_eq!(document["state"], "failed", "{size}: {document}");
        assert!(reason(&document).contains("disk"), "{size}: {document}");
        drop(server);
    }

    let server = serve_with_scratch(folder.path(), &registry, "64m");
    let document = finished(&server, submit(&server, &registry, BUNDLES, "room"));
    assert_eq!(document["state"], "complete", "{document}");
    assert_eq!(digest(&document), digest(&expected));
}

/// As if another request were worked on that takes the whole disk for a while.
#[test]
#[ignore = "needs unshare"]
fn a_disk_that_another_request_has_filled_costs_no_attempt() {
    let folder = demo_folder();
    let scratch = tempfile::tempdir_in(folder.path()).unwrap().keep();
    let server = serve_in(&scratch, folder.path(), "127.0.0.1:0", "8m", 1);
    let registry = server.registry.clone();
    let seen = |path: &Path| {
        let root = format!("/proc/{}/root", server.pid());
        Path::new(&root).join(path.strip_prefix("/").unwrap())
    };
    let own = std::fs::read_dir(seen(&scratch)).unwrap().next();
    let other = own.unwrap().unwrap().path().join("iib-work-other");
    std::fs::create_dir(&other).unwrap();
    let mut filled = File::create(other.join("index.db")).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut filled).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);

    let id = submit(&server, &registry, BUNDLES, "patient");
    until_log_says(&server, id, "does not count");
    std::fs::remove_dir_all(&other).unwrap();
    drop(filled);
    let document = finished(&server, id);
    assert_eq!(document["state"], "complete", "{document}");
}
