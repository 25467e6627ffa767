//! A scratch folder without room, as `/tmp` of a function may be.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use iib_bundle::Bundle;
use iib_catalog::AddOptions;
use iib_indexdb::SqliteIndex;
use iib_indexdb::generate::Recipe;
use iib_ports::IndexDb as _;
use serde_json::{Value, json};

use crate::command::demo_folder;
use crate::kill::{call, digest, finished, submit, until_log_says, url};
use crate::process::{Server, iib};

const BUNDLES: &[&str] = &["lantern:v0.1.0", "kettle:v1.0.0"];

/// `iib serve` with a scratch folder that has so much room, as only it sees.
fn serve_with_scratch(data_folder: &Path, registry: &str, size: &str) -> Server {
    let scratch = tempfile::tempdir_in(data_folder).unwrap().keep();
    serve_in(
        &scratch,
        data_folder,
        registry,
        size,
        &[("IIB_MAX_ATTEMPTS", "2")],
    )
}

fn serve_in(
    scratch: &Path,
    data_folder: &Path,
    registry: &str,
    size: &str,
    settings: &[(&str, &str)],
) -> Server {
    let mut command = Command::new("unshare");
    command
        .env("IIB_SCRATCH", scratch)
        .envs(settings.iter().copied())
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
    let server = serve_in(
        &scratch,
        folder.path(),
        "127.0.0.1:0",
        "8m",
        &[("IIB_MAX_ATTEMPTS", "1")],
    );
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

/// Bundles of the generated index, by packages.
const PER_PACKAGE: usize = 10;
/// The largest index of the disk below.
const LARGEST: u64 = 24 << 20;

/// A database that is as large as one may be, but for two bundles and what stands around it in a layer.
fn generate(file: &Path) -> usize {
    let (mut number, mut size) = (0, 0);
    let size_of_one = |size: u64, number: usize| size / number.max(1) as u64;
    while size + 2 * size_of_one(size, number) < LARGEST - LARGEST / 20 {
        let recipe = Recipe::numbered(number, PER_PACKAGE);
        let bundle = Bundle::read(&recipe.image(), &recipe.files()).unwrap();
        let options = AddOptions::default();
        SqliteIndex.add(file, &[bundle], &options).unwrap();
        number += 1;
        size = std::fs::metadata(file).unwrap().len();
    }
    number
}

/// What docs/SCALE.md says: `MaxIndexBytes` is 0.4 of the disk. Each change is made twice, and of one index after another, so that
/// what is kept of former ones is in the way.
#[test]
#[ignore = "needs unshare"]
fn the_largest_index_that_a_disk_is_for_is_changed_on_it() {
    let folder = demo_folder();
    let server = Server::start(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
    let registry = server.registry.clone();
    let database = folder.path().join("large.db");
    let packages = generate(&database).div_ceil(PER_PACKAGE);
    let package = |number| Recipe::numbered(number * PER_PACKAGE, PER_PACKAGE).package_name();
    let binary = format!("{registry}/examples/binary:v1");
    for number in [0, 1] {
        let pushed = iib(&["index", "rm"])
            .arg(&database)
            .arg(package(number))
            .args(["--to", &format!("{registry}/large/index:{number}")])
            .args(["--binary-image", &binary])
            .env("IIB_INSECURE_REGISTRIES", &registry)
            .output()
            .unwrap();
        assert!(
            pushed.status.success(),
            "{}",
            String::from_utf8_lossy(&pushed.stderr)
        );
    }
    drop(server);

    let scratch = tempfile::tempdir_in(folder.path()).unwrap().keep();
    let (disk, largest) = ((LARGEST * 10 / 4).to_string(), LARGEST.to_string());
    let settings = [
        ("IIB_MAX_ATTEMPTS", "1"),
        ("IIB_MAX_INDEX_BYTES", &*largest),
    ];
    let server = serve_in(&scratch, folder.path(), &registry, &disk, &settings);
    let rm: Vec<_> = (2..packages).map(package).collect();
    for round in [0, 1] {
        for number in [0, 1] {
            let from = format!("{registry}/large/index:{number}");
            for (kind, mut body) in [
                (
                    "add",
                    json!({"bundles": [format!("{registry}/examples/kettle:v1.0.0")]}),
                ),
                ("rm", json!({"operators": rm})),
            ] {
                body["from_index"] = from.clone().into();
                body["binary_image"] = binary.clone().into();
                let answer = call(reqwest::Client::new().post(url(&server, kind)).json(&body));
                let answer: Value = serde_json::from_str(&answer).unwrap();
                let document = finished(&server, answer["id"].as_u64().unwrap());
                assert_eq!(
                    document["state"], "complete",
                    "{round} {kind} {number}: {document}"
                );
            }
        }
    }
}
