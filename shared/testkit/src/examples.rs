//! Examples of a crate, run by its tests.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::PathBuf;

/// The program of an example of the crate under test; `cargo test` builds it beside the test.
pub fn example(name: &str) -> PathBuf {
    let binary = std::env::current_exe().unwrap();
    let target = binary.parent().and_then(|deps| deps.parent()).unwrap();
    let example = target.join("examples").join(name);
    assert!(
        example.exists(),
        "{} is missing: build it with `cargo build --examples`",
        example.display()
    );
    example
}
