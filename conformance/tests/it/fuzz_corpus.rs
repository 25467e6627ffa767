//! What fuzzing began with and what it found, again and again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The very functions that are fuzzed. Their crate is apart, because it wants another compiler.
#[path = "../../../fuzz/src/images.rs"]
#[expect(unreachable_pub, reason = "they are public in their own crate")]
mod images;
#[path = "../../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "they are public in their own crate")]
mod targets;

/// The name, which is that of the folder, and what is done.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 9] = [
    ("bundle", targets::bundle),
    ("catalog", targets::catalog),
    ("challenge", images::challenge),
    ("database", targets::database),
    ("layer", images::layer),
    ("manifest", images::manifest),
    ("own-layer", images::own_layer),
    ("payload", targets::payload),
    ("pull-spec", images::pull_spec),
];

#[test]
fn every_file_of_the_corpus_is_borne() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let names = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let folders = fs::read_dir(&corpus).unwrap();
    let folders: BTreeSet<_> = folders.map(|entry| names(entry.unwrap())).collect();
    assert_eq!(folders, TARGETS.map(|(name, _)| name.to_owned()).into());
    for (name, run) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            // Shown when it fails.
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 2, "{name}: {count}");
    }
}
