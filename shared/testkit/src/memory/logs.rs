//! Build logs in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::{Logs, StoreError};
use iib_request::RequestId;

use super::lock;

/// Logs by request.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    texts: Mutex<BTreeMap<RequestId, String>>,
}

#[async_trait]
impl Logs for MemoryLogs {
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        let mut texts = lock(&self.texts);
        let text = texts.entry(id).or_default();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        Ok(())
    }

    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        Ok(lock(&self.texts).get(&id).cloned())
    }

    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        lock(&self.texts).remove(&id);
        Ok(())
    }
}
