use iib_testkit::examples::example;
use std::process::Stdio;

use iib_testkit::scripted_registry::ScriptedRegistry;

const GIB: u64 = 1 << 30;

/// The most a client may hold while it moves any amount of bytes.
const RESIDENT_LIMIT_KIB: u64 = 128 * 1024;

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
