use std::path::PathBuf;
use std::process::Stdio;

use iib_testkit::scripted_registry::ScriptedRegistry;

const GIB: u64 = 1 << 30;

/// The most a client may hold while it moves any amount of bytes.
const RESIDENT_LIMIT_KIB: u64 = 128 * 1024;

/// Examples are built beside the test binaries by `cargo test`.
fn example(name: &str) -> PathBuf {
    let binary = std::env::current_exe().unwrap();
    let target = binary.parent().and_then(|deps| deps.parent()).unwrap();
    let example = target.join("examples").join(name);
    assert!(
        example.exists(),
        "{} is missing: build it with `cargo build --examples -p iib-registry`",
        example.display()
    );
    example
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_of_a_gibibyte_is_pulled_and_pushed_in_little_memory() {
    let registry = ScriptedRegistry::start().await;
    let digest = registry.put_zeros("from", GIB);
    let output = tokio::process::Command::new(example("copy_blob"))
        .arg(format!("{}/from", registry.host()))
        .arg(digest.as_str())
        .arg(GIB.to_string())
        .arg(format!("{}/to", registry.host()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(registry.blob_size("to", &digest), Some(GIB));
    let peak: u64 = text
        .trim_start_matches("VmHWM:")
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(peak < RESIDENT_LIMIT_KIB, "it took {peak} KiB");
}
