//! Requests in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use iib_ports::{
    Behind, Created, Listed, Listing, NewBatch, Older, OlderQuery, OperatorStore, Outbox, Page,
    PageQuery, Requests, StoreError, Sweeps, Waited, Waiting, Watch,
};
use iib_request::{
    BatchId, Destination, News, Operators, Record, RequestId, Siblings, Sought, Stage,
};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::lock;

/// Requests in a list, by their numbers.
#[derive(Debug, Default)]
pub struct MemoryRequests {
    records: Mutex<Vec<Record>>,
    once: Mutex<BTreeMap<String, BatchId>>,
    operators: Mutex<Operators>,
    outbox: Mutex<Vec<Waiting>>,
    woken: Mutex<Vec<BatchId>>,
    changed: Notify,
}

fn place(records: &[Record], id: RequestId) -> Option<usize> {
    records.binary_search_by_key(&id, |record| record.id).ok()
}

#[async_trait]
impl Requests for MemoryRequests {
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        let (mut records, mut once) = (lock(&self.records), lock(&self.once));
        let next = records.last().map_or(0, |record| record.id.0) + 1;
        let first = RequestId(next.max(new.first_number));
        let batch = BatchId(records.last().map_or(0, |record| record.batch.0) + 1);
        if let Some(key) = &new.once {
            if let Some(before) = once.get(key) {
                let of_batch = records.iter().filter(|record| record.batch == *before);
                return Ok(Created::Before(of_batch.cloned().collect()));
            }
            once.insert(key.clone(), batch);
        }
        let made = new.into_records(first, batch);
        records.extend(made.iter().cloned());
        let count = made.len() as u64;
        let since = made.first().map(Record::updated).unwrap_or_default();
        if !made.iter().any(|record| record.is_dry_run) {
            self.note_news(batch, since, News::Created(Siblings { first, count }));
        }
        Ok(Created::New(made))
    }

    async fn made_by(&self, key: &str) -> Result<Vec<Record>, StoreError> {
        let (records, once) = (lock(&self.records), lock(&self.once));
        let batch = once.get(key);
        let of_batch = records.iter().filter(|record| Some(&record.batch) == batch);
        Ok(of_batch.cloned().collect())
    }

    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        let records = lock(&self.records);
        Ok(place(&records, id).map(|place| records[place].clone()))
    }

    async fn replace(&self, mut record: Record) -> Result<Record, StoreError> {
        let mut records = lock(&self.records);
        let stored = place(&records, record.id)
            .and_then(|place| records.get_mut(place))
            .filter(|stored| stored.version == record.version)
            .ok_or(StoreError::Conflict(record.id))?;
        record.version += 1;
        stored.clone_from(&record);
        if let Some(news) = News::of(&record) {
            self.note_news(record.batch, record.updated(), news);
        }
        self.changed.notify_waiters();
        Ok(record)
    }
}

/// Of those who wait in memory as many are let in as come.
#[async_trait]
impl Watch for MemoryRequests {
    async fn changed(
        &self,
        id: RequestId,
        known: u64,
        patience: Duration,
    ) -> Result<Waited, StoreError> {
        let newer = async {
            loop {
                let changed = self.changed.notified();
                let record = self.get(id).await?;
                if record.is_some_and(|record| record.version > known) {
                    return Ok(Waited::Changed);
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(patience, newer).await;
        waited.unwrap_or(Ok(Waited::Unchanged))
    }
}

impl MemoryRequests {
    /// Batches that somebody was to look at since this was last asked.
    pub fn woken(&self) -> Vec<BatchId> {
        std::mem::take(&mut lock(&self.woken))
    }

    fn note_news(&self, batch: BatchId, since: Timestamp, news: News) {
        let mut outbox = lock(&self.outbox);
        let key = format!("{}-{news:?}", outbox.len());
        let told = BTreeSet::new();
        outbox.push(Waiting {
            key,
            batch,
            since,
            news,
            told,
        });
    }
}

#[async_trait]
impl Outbox for MemoryRequests {
    async fn waiting(
        &self,
        whom: &BTreeSet<Destination>,
        limit: u32,
    ) -> Result<Vec<Behind>, StoreError> {
        let mut found: Vec<Behind> = Vec::new();
        let outbox = lock(&self.outbox);
        let behind = outbox.iter().filter(|news| !whom.is_subset(&news.told));
        for Waiting { batch, since, .. } in behind {
            if found.len() < limit as usize && found.iter().all(|other| other.batch != *batch) {
                let (batch, since) = (*batch, *since);
                found.push(Behind { batch, since });
            }
        }
        Ok(found)
    }

    async fn of(&self, batch: BatchId) -> Result<Vec<Waiting>, StoreError> {
        let outbox = lock(&self.outbox);
        let of_batch = outbox.iter().filter(|waiting| waiting.batch == batch);
        Ok(of_batch.cloned().collect())
    }

    async fn note(&self, waiting: &Waiting) -> Result<(), StoreError> {
        let mut outbox = lock(&self.outbox);
        let noted = outbox.iter_mut().filter(|other| other.key == waiting.key);
        noted.for_each(|noted| noted.told.clone_from(&waiting.told));
        Ok(())
    }

    async fn remove(&self, told: &[Waiting]) -> Result<(), StoreError> {
        let is_told = |waiting: &Waiting| told.iter().any(|told| told.key == waiting.key);
        lock(&self.outbox).retain(|waiting| !is_told(waiting));
        Ok(())
    }

    async fn wake(&self, batch: BatchId) -> Result<(), StoreError> {
        lock(&self.woken).push(batch);
        Ok(())
    }
}

#[async_trait]
impl Listing for MemoryRequests {
    async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        let records = lock(&self.records);
        let wanted = |record: &&Record| query.filters.hold_for(&record.facets());
        let found: Vec<&Record> = records.iter().rev().filter(wanted).collect();
        let per_page = u64::from(query.per_page);
        let skipped = query.page.saturating_sub(1).saturating_mul(per_page);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let on_page = found.iter().skip(skipped).take(query.per_page as usize);
        Ok(Page {
            items: on_page.map(|record| Ok((*record).clone())).collect(),
            total: found.len() as u64,
        })
    }

    async fn older(&self, query: &OlderQuery) -> Result<Older, StoreError> {
        let records = lock(&self.records);
        let is_older = |record: &&Record| query.before.is_none_or(|before| record.id < before);
        let wanted = |record: &&Record| query.filters.hold_for(&record.facets());
        let found = records.iter().rev().filter(is_older).filter(wanted);
        let mut found: Vec<Record> = found.take(query.limit as usize + 1).cloned().collect();
        let has_more = found.len() > query.limit as usize;
        found.truncate(query.limit as usize);
        let last = found.last().map(|record| record.id);
        Ok(Older {
            items: found.into_iter().map(Ok).collect(),
            next: last.filter(|_| has_more),
        })
    }

    async fn is_seen(&self, sought: Sought<'_>) -> Result<bool, StoreError> {
        let records = lock(&self.records);
        let operators = lock(&self.operators);
        let bundles = operators.keys().map(String::as_str);
        let mut images = records.iter().flat_map(Record::images).chain(bundles);
        Ok(images.any(|image| match sought {
            Sought::Image(wanted) => image == wanted,
            Sought::Prefix(prefix) => image.starts_with(prefix),
        }))
    }
}

#[async_trait]
impl OperatorStore for MemoryRequests {
    async fn remember(&self, operators: &Operators) -> Result<(), StoreError> {
        lock(&self.operators).extend(operators.clone());
        Ok(())
    }

    async fn of(&self, bundles: &BTreeSet<&str>) -> Result<Operators, StoreError> {
        let mut found = lock(&self.operators).clone();
        found.retain(|bundle, _| bundles.contains(bundle.as_str()));
        Ok(found)
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
