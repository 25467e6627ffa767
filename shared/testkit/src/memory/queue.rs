//! Queues in memory.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{Delivery, Queue, QueueError};
use iib_request::{Stage, Task};

use super::lock;
use crate::contract::Inbox;

/// What was sent, in order, equal tasks as often as they were sent: stages must cope with
/// platforms' queues, which keep them all. Nothing is delivered by itself: a test takes the tasks out and
/// hands them to the stage it tests, once, twice, or never.
#[derive(Debug, Default)]
pub struct MemoryQueue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Task>,
    /// Sends that are taken before some are refused.
    to_take: usize,
    to_refuse: usize,
    put_off: Vec<(Delivery, Duration)>,
}

impl MemoryQueue {
    /// Everything that waits, of all stages, in the order of sending.
    pub fn waiting(&self) -> Vec<Task> {
        lock(&self.state).waiting.clone()
    }

    /// Takes the oldest task out, whatever its stage.
    pub fn take_next(&self) -> Option<Task> {
        let mut state = lock(&self.state);
        (!state.waiting.is_empty()).then(|| state.waiting.remove(0))
    }

    /// Takes all tasks of a stage out.
    pub fn take(&self, stage: Stage) -> Vec<Task> {
        let mut state = lock(&self.state);
        let (taken, left) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|task| task.stage == stage);
        state.waiting = left;
        taken
    }

    /// The deliveries that were put off, and for how long.
    pub fn put_off(&self) -> Vec<(Delivery, Duration)> {
        lock(&self.state).put_off.clone()
    }

    /// Lets the next `count` sends fail, and loses their tasks.
    pub fn refuse_next(&self, count: usize) {
        lock(&self.state).to_refuse = count;
    }

    /// Lets all sends fail after the next `count`.
    pub fn refuse_after(&self, count: usize) {
        let mut state = lock(&self.state);
        (state.to_take, state.to_refuse) = (count, usize::MAX);
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, task: &Task) -> Result<(), QueueError> {
        let refused = |reason: &str| QueueError {
            request_id: task.request_id,
            stage: task.stage,
            source: reason.into(),
        };
        match task.stage {
            Stage::Pin | Stage::Mutate | Stage::Push => {}
            Stage::Queued | Stage::Done => return Err(refused("the stage has no queue")),
        }
        let mut state = lock(&self.state);
        if state.to_take > 0 {
            state.to_take -= 1;
        } else if state.to_refuse > 0 {
            state.to_refuse -= 1;
            return Err(refused("the test asked for this failure"));
        }
        state.waiting.push(task.clone());
        Ok(())
    }

    /// A test that takes a task out decides itself when it comes back.
    async fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        delay: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        lock(&self.state).put_off.push((delivery.clone(), delay));
        Ok(())
    }
}

#[async_trait]
impl Inbox for MemoryQueue {
    async fn take_all(&self, stage: Stage) -> Vec<Task> {
        self.take(stage)
    }
}
