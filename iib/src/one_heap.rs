//! One heap for all threads of a process that stays.

use std::convert::Infallible;
use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use iib_edge::config::environment;

/// How many heaps glibc makes; read before `main`.
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Starts this process anew, once, with the same words, so that its threads share one heap; not if it is
/// said already how many heaps there are.
///
/// glibc gives threads heaps of their own, and what was freed in one is not there for another: in a chain of requests
/// on a large catalog that is more than all that is in use (docs/PERFORMANCE.md). Threads seldom wait for
/// each other here: most of what they do is on bytes that they have.
pub(crate) fn share() {
    let is_glibc = cfg!(all(target_os = "linux", target_env = "gnu"));
    let variables = environment();
    let is_said = [HEAPS, "GLIBC_TUNABLES"].map(|name| variables.contains_key(name));
    let is_said = is_said.contains(&true);
    if is_glibc && !is_said {
        // Where it cannot be done, it is done without.
        let _unshared = start_anew();
    }
}

/// Returns only if it fails.
fn start_anew() -> io::Result<Infallible> {
    let mut words = env::args_os();
    // Also if the file was replaced or removed meanwhile.
    let mut anew = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        anew.arg0(name);
    }
    Err(anew.args(words).env(HEAPS, "1").exec())
}
