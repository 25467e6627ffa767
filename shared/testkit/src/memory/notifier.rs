//! A notifier that remembers.

use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::Notifier;
use iib_request::{Record, Update};

use super::lock;

/// Remembers every change it was told, in order.
#[derive(Debug, Default)]
pub struct RecordingNotifier {
    told: Mutex<Vec<(Record, Update)>>,
}

impl RecordingNotifier {
    /// What it was told so far: the record as it stood after the change, and the change.
    pub fn told(&self) -> Vec<(Record, Update)> {
        lock(&self.told).clone()
    }
}

#[async_trait]
impl Notifier for RecordingNotifier {
    async fn updated(&self, record: &Record, update: &Update) {
        lock(&self.told).push((record.clone(), update.clone()));
    }
}
