//! How much went between here and registries.

use std::sync::atomic::{AtomicU64, Ordering};

use iib_ports::Transferred;

/// Bytes of blobs that a client and those with other logins have transferred since somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    read: AtomicU64,
    written: AtomicU64,
}

impl Counted {
    pub(crate) fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What was counted; from now on it counts anew.
    pub(crate) fn take(&self) -> Transferred {
        Transferred {
            read: self.read.swap(0, Ordering::Relaxed),
            written: self.written.swap(0, Ordering::Relaxed),
        }
    }
}
