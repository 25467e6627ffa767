//! One heap for all threads of a process that stays.

use std::convert::Infallible;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

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
    let is_said = |name: &str, words: &str| {
        let said = variables.get(name);
        said.is_some_and(|said| !said.is_empty() && said.contains(words))
    };
    if is_glibc && !is_said(HEAPS, "") && !is_said("GLIBC_TUNABLES", "arena_max") {
        // Where it cannot be done, it is done without.
        let _unshared = start_anew();
    }
}

/// Returns only if it fails.
fn start_anew() -> io::Result<Infallible> {
    let mut words = env::args_os();
    let mut anew = Command::new(own_file()?);
    if let Some(name) = words.next() {
        anew.arg0(name);
    }
    Err(anew.args(words).env(HEAPS, "1").exec())
}

/// The file of this process; by its name, which becomes that of the process, unless another file has it by now.
fn own_file() -> io::Result<PathBuf> {
    let open = PathBuf::from("/proc/self/exe");
    let named = fs::read_link(&open)?;
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ld-") || name.starts_with("ld.so") {
        // It was started by the loader, which is what that file is.
        return Err(io::ErrorKind::Unsupported.into());
    }
    let same = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    match same(&named) {
        Ok(file) if file == same(&open)? => Ok(named),
        _ => Ok(open),
    }
}
