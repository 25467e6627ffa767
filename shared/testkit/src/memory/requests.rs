//! Requests in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use iib_ports::{
    Created, Listed, Listing, NewRequest, Page, PageQuery, Requests, StoreError, Sweeps,
};
use iib_request::{BatchId, Record, RequestId, Stage};
use jiff::Timestamp;

use super::lock;

/// Requests in a list; the request with id `n` is at place `n - 1`.
#[derive(Debug, Default)]
pub struct MemoryRequests {
    records: Mutex<Vec<Record>>,
    once: Mutex<BTreeMap<String, RequestId>>,
}

fn place(id: RequestId) -> Option<usize> {
    usize::try_from(id.0.checked_sub(1)?).ok()
}

#[async_trait]
impl Requests for MemoryRequests {
    async fn create(&self, new: NewRequest) -> Result<Created, StoreError> {
        let (mut records, mut once) = (lock(&self.records), lock(&self.once));
        let number = records.len() as u64 + 1;
        let (id, batch) = (RequestId(number), BatchId(number));
        if let Some(key) = &new.once {
            let before = once.get(key).copied().and_then(place);
            if let Some(record) = before.and_then(|place| records.get(place)) {
                return Ok(Created::Before(record.clone()));
            }
            once.insert(key.clone(), id);
        }
        let record = new.into_record(id, batch);
        records.push(record.clone());
        Ok(Created::New(record))
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        let records = lock(&self.records);
        Ok(place(id).and_then(|place| records.get(place)).cloned())
    }

    async fn replace(&self, mut record: Record) -> Result<Record, StoreError> {
        let mut records = lock(&self.records);
        let stored = place(record.id)
            .and_then(|place| records.get_mut(place))
            .filter(|stored| stored.version == record.version)
            .ok_or(StoreError::Conflict(record.id))?;
        record.version += 1;
        stored.clone_from(&record);
        Ok(record)
    }
}

#[async_trait]
impl Listing for MemoryRequests {
    async fn page(&self, query: PageQuery) -> Result<Page, StoreError> {
        let records = lock(&self.records);
        let per_page = u64::from(query.per_page);
        let skipped = query.page.saturating_sub(1).saturating_mul(per_page);
        Ok(Page {
            items: records
                .iter()
                .rev()
                .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
                .take(query.per_page as usize)
                .cloned()
                .map(Ok)
                .collect(),
            total: records.len() as u64,
        })
    }
}

#[async_trait]
impl Sweeps for MemoryRequests {
    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let records = lock(&self.records);
        let live = records
            .iter()
            .filter(|record| record.work.stage != Stage::Done && Some(record.id) > after);
        Ok(live.take(limit as usize).cloned().map(Ok).collect())
    }

    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError> {
        let records = lock(&self.records);
        let ended = |record: &&Record| {
            record.work.stage == Stage::Done && !record.data_removed && record.updated() < time
        };
        let mut found: Vec<Record> = records.iter().filter(ended).cloned().collect();
        found.sort_by_key(Record::updated);
        found.truncate(limit as usize);
        Ok(found)
    }
}
