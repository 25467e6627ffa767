//! Gauges that are remembered.

use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::{Gauges, ServiceGauges};

use super::lock;

/// Remembers all figures, in order.
#[derive(Debug, Default)]
pub struct RecordingGauges {
    published: Mutex<Vec<ServiceGauges>>,
}

impl RecordingGauges {
    /// What was published so far.
    pub fn published(&self) -> Vec<ServiceGauges> {
        lock(&self.published).clone()
    }
}

#[async_trait]
impl Gauges for RecordingGauges {
    async fn publish(&self, gauges: &ServiceGauges) {
        lock(&self.published).push(gauges.clone());
    }
}
