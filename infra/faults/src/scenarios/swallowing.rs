//! A queue that loses a message.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{Delivery, Queue, QueueError};
use iib_request::Task;

/// Says yes to one send, after so many others, and forgets it.
pub(super) struct Swallowing {
    queue: Arc<dyn Queue>,
    lost: usize,
    sends: AtomicUsize,
}

impl Swallowing {
    pub(super) fn after(sends: usize, queue: Arc<dyn Queue>) -> Self {
        Self {
            queue,
            lost: sends,
            sends: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Queue for Swallowing {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        if self.sends.fetch_add(1, Ordering::SeqCst) == self.lost {
            return Ok(());
        }
        self.queue.send(task).await
    }

    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.queue.put_off(delivery, delay).await
    }
}
