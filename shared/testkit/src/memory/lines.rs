//! Lines in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::{Line, Lines, Moved, StoreError};
use iib_request::RequestId;

use super::lock;

/// Lines by index.
#[derive(Debug, Default)]
pub struct MemoryLines {
    lines: Mutex<BTreeMap<String, Line>>,
}

impl MemoryLines {
    fn with<T>(&self, index: &str, act: impl FnOnce(&mut Line) -> T) -> T {
        act(lock(&self.lines).entry(index.to_owned()).or_default())
    }
}

#[async_trait]
impl Lines for MemoryLines {
    async fn join(&self, index: &str, id: RequestId) -> Result<(), StoreError> {
        self.with(index, |line| {
            if line.turn != Some(id)
                && let Err(at) = line.waiting.binary_search(&id)
            {
                line.waiting.insert(at, id);
            }
        });
        Ok(())
    }

    async fn take(&self, index: &str, id: RequestId) -> Result<RequestId, StoreError> {
        Ok(self.with(index, |line| {
            let turn = *line.turn.get_or_insert(id);
            line.waiting.retain(|waiting| *waiting != turn);
            turn
        }))
    }

    async fn leave(&self, index: &str, id: RequestId) -> Result<Option<RequestId>, StoreError> {
        Ok(self.with(index, |line| {
            line.waiting.retain(|waiting| *waiting != id);
            line.turn = line.turn.filter(|turn| *turn != id);
            line.waiting.first().copied()
        }))
    }

    async fn note_moved(&self, index: &str, moved: Moved) -> Result<(), StoreError> {
        self.with(index, |line| line.moved = Some(moved));
        Ok(())
    }

    async fn of(&self, index: &str) -> Result<Line, StoreError> {
        Ok(self.with(index, |line| line.clone()))
    }
}
