//! `iib bundle`, on folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::run;

/// A bundle of the examples, copied into a folder.
fn lantern(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bundles/lantern/0.1.0");
    let to = folder.join("lantern");
    for part in ["manifests", "metadata"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
        }
    }
    to
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const CSV: &str = "manifests/lantern.clusterserviceversion.yaml";

#[test]
fn a_folder_is_adapted_into_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = lantern(folder.path());
    fs::create_dir(bundle.join("tests")).unwrap();
    let from = bundle.to_str().unwrap();
    let to = folder.path().join("adapted");
    let to = to.to_str().unwrap();
    let file = folder.path().join("acme.json");
    let steps = json!({"acme": [
        {"type": "package_name_suffix", "suffix": "-acme"},
        {"type": "csv_annotations", "annotations": {"support": "https://example.com/{package_name}"}},
    ]});
    fs::write(&file, steps.to_string()).unwrap();
    let words = [
        "bundle",
        "regenerate",
        from,
        "--customizations",
        file.to_str().unwrap(),
        "--to",
    ];
    let told = run(&[&words[..], &[to]].concat());
    assert!(told.status.success(), "{told:?}");
    let diff = text(&told.stdout);
    assert!(
        diff.starts_with(&format!("--- a/{CSV}\n+++ b/{CSV}\n@@ ")),
        "{diff}"
    );
    assert!(
        diff.contains("+    support: https://example.com/lantern-acme\n"),
        "{diff}"
    );
    assert!(text(&told.stderr).contains("left out, because it is no part of a bundle: tests"));
    let before = fs::read_to_string(bundle.join(CSV)).unwrap();
    let after = fs::read_to_string(Path::new(to).join(CSV)).unwrap();
    let added = "    support: https://example.com/lantern-acme\n";
    assert_eq!(after.replace(added, ""), before);
    // Nothing is put upon anything, nor into the bundle itself.
    let again = run(&[&words[..], &[to]].concat());
    assert!(
        !again.status.success() && text(&again.stderr).contains("there is something in"),
        "{again:?}"
    );
    let inside = bundle.join("manifests/out");
    let inside = run(&[&words[..], &[inside.to_str().unwrap()]].concat());
    assert!(
        !inside.status.success() && text(&inside.stderr).contains("is in the folder of the bundle"),
        "{inside:?}"
    );
    // What is wrong with the steps is told at once, and nothing is done.
    fs::write(
        &file,
        json!([{"type": "enclose_repo"}, {"type": "other"}]).to_string(),
    )
    .unwrap();
    let other = folder.path().join("other");
    let wrong = run(&[&words[..], &[other.to_str().unwrap()]].concat());
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let faults = text(&wrong.stderr);
    for part in [
        "enclosure_glue in ",
        "namespace in ",
        "whose type is one of",
    ] {
        assert!(faults.contains(part), "{faults}");
    }
    assert!(!other.exists());
}

#[test]
fn a_bundle_tells_where_it_names_images_and_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = lantern(folder.path());
    let path = bundle.to_str().unwrap();
    let told = run(&["bundle", "images", path, "--json"]);
    let named: Value = serde_json::from_slice(&told.stdout).unwrap();
    let csv = fs::read_to_string(bundle.join(CSV)).unwrap();
    for place in named.as_array().unwrap() {
        let line = usize::try_from(place["line"].as_u64().unwrap()).unwrap();
        let line = csv.lines().nth(line - 1).unwrap();
        assert!(
            line.contains(place["image"].as_str().unwrap()),
            "{line} {place}"
        );
    }
    assert_eq!(named[1]["path"], "spec.relatedImages[0].image");
    let good = run(&["bundle", "validate", path]);
    assert!(good.status.success() && good.stderr.is_empty(), "{good:?}");
    fs::write(
        bundle.join("manifests/job.yaml"),
        "apiVersion: batch/v1beta1\nkind: CronJob\n",
    )
    .unwrap();
    fs::write(
        bundle.join(CSV),
        csv.replace("  version: 0.1.0", "  version: 1"),
    )
    .unwrap();
    fs::remove_dir_all(bundle.join("metadata")).unwrap();
    let told = run(&["bundle", "validate", path, "--json"]);
    assert_eq!(told.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["faults"].as_array().unwrap().len(), 2, "{told}");
    let warning = told["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("is gone from OpenShift 4.12 on"),
        "{warning}"
    );
    // A link that leads elsewhere is not followed.
    let outside = folder.path().join("outside");
    fs::write(&outside, "kind: Secret").unwrap();
    symlink(&outside, bundle.join("manifests/link.yaml")).unwrap();
    let told = run(&["bundle", "images", path]);
    assert!(
        text(&told.stderr).contains("leads out of the folder"),
        "{told:?}"
    );
}
