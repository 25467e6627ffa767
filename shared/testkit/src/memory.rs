//! Adapters in memory, for tests of the use cases.

mod artifacts;
mod figures;
mod lines;
mod logs;
mod notifier;
mod queue;
mod registry;
mod repositories;
mod requests;
mod secrets;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use artifacts::MemoryArtifacts;
pub use figures::RecordingFigures;
pub use lines::MemoryLines;
pub use logs::MemoryLogs;
pub use notifier::RecordingNotifier;
pub use queue::MemoryQueue;
pub use registry::{MemoryRegistries, MemoryRegistry};
pub use repositories::{Files, MemoryRepositories, PushFault};
pub use requests::MemoryRequests;
pub use secrets::MemorySecrets;

/// Locks also after a panic elsewhere: that one is what the test is to report.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
