//! What fuzzing began with and what it found, again and again.

use std::fs;
use std::path::Path;

/// The very functions that are fuzzed. Their crate is apart, because it wants another compiler.
#[path = "../../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "they are public in their own crate")]
mod targets;

fn every(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Shown when it fails.
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 2, "{count}");
}

#[test]
fn bundles() {
    every("bundle", targets::bundle);
}

#[test]
fn catalogs() {
    every("catalog", targets::catalog);
}

#[test]
fn databases() {
    every("database", targets::database);
}
