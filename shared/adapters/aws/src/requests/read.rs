//! Reading requests: one, a page of the listing, those in a phase.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{Listed, Page, PageQuery, StoreError, Unreadable};
use iib_request::{Record, RecordError, RequestId, Stage};
use jiff::Timestamp;

use super::item::{KEPT, LIVE, id_of, place};
use super::{DynamoRequests, unavailable};
use crate::table::{Item, RANK, back_off, number, text};

/// Most keys in one batch of reads (DynamoDB's limit).
const BATCH: usize = 100;
/// How often a batch is sent again for what DynamoDB did not get to. It gives at most 16 MiB at
/// once, so a full batch of large records takes three calls.
const BATCH_TRIES: u32 = 12;
/// How often an item is read again whose large record was replaced in between.
const RACES: u32 = 10;
/// Large records read at the same time.
const READS: usize = 8;

impl DynamoRequests {
    pub(super) async fn read_one(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        let read = self.read_stored(id).await?.transpose();
        read.map_err(|source| StoreError::Malformed { id, source })
    }

    /// What is stored of a request, if it can be read.
    async fn read_stored(
        &self,
        id: RequestId,
    ) -> Result<Option<Result<Record, RecordError>>, StoreError> {
        for tried in 0..RACES {
            let stored = self
                .client
                .get_item()
                .table_name(&self.table)
                .set_key(Some(place(id)))
                .consistent_read(true)
                .send()
                .await
                .map_err(unavailable("read the request"))?;
            let Some(item) = stored.item else {
                return Ok(None);
            };
            if let Some(record) = self.record(&item).await? {
                return Ok(Some(record));
            }
            back_off(tried).await;
        }
        Err(StoreError::Unavailable {
            action: "read the request",
            source: "its record was replaced each time it was read".into(),
        })
    }

    /// Ids are dense, so the counter says which ones a page has.
    pub(super) async fn read_page(&self, query: PageQuery) -> Result<Page, StoreError> {
        let total = self.counter().await?.requests;
        let per_page = u64::from(query.per_page);
        let skipped = query.page.saturating_sub(1).saturating_mul(per_page);
        let newest = total.saturating_sub(skipped);
        let oldest = newest.saturating_sub(per_page);
        let ids: Vec<RequestId> = (oldest + 1..=newest).rev().map(RequestId).collect();
        Ok(Page {
            items: self.read_all(&ids).await?,
            total,
        })
    }

    pub(super) async fn read_live(
        &self,
        after: Option<RequestId>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let Some(first) = after.map_or(0, |id| id.0).checked_add(1) else {
            return Ok(Vec::new());
        };
        // Numbers of DynamoDB have 38 digits.
        self.read_phase(LIVE, "#r >= :bound", first, limit, |listed| match listed {
            Ok(record) => record.work.stage != Stage::Done,
            Err(_) => true,
        })
        .await
    }

    pub(super) async fn read_ended(
        &self,
        time: Timestamp,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let bound = time.as_microsecond();
        let is_wanted = |listed: &Listed| match listed {
            Ok(record) => {
                record.work.stage == Stage::Done && !record.data_removed && record.updated() < time
            }
            Err(_) => false,
        };
        let found = self
            .read_phase(KEPT, "#r < :bound", bound, limit, is_wanted)
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Records in a phase, by rank. The index may be behind, so what it names is read from the
    /// table and looked at again.
    async fn read_phase(
        &self,
        phase: &str,
        range: &str,
        bound: impl ToString,
        limit: u32,
        wanted: impl Fn(&Listed) -> bool,
    ) -> Result<Vec<Listed>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        let bound = number(bound);
        while found.len() < limit as usize {
            let page = i32::try_from(limit as usize - found.len()).unwrap_or(i32::MAX);
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("phase")
                .key_condition_expression(format!("#p = :phase AND {range}"))
                .expression_attribute_names("#p", "phase")
                .expression_attribute_names("#r", RANK)
                .expression_attribute_values(":phase", text(phase))
                .expression_attribute_values(":bound", bound.clone())
                .limit(page)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(unavailable("list the requests of a phase"))?;
            let ids: Vec<RequestId> = answer.items().iter().filter_map(id_of).collect();
            let records = self.read_all(&ids).await?;
            found.extend(records.into_iter().filter(&wanted));
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The records of these ids, in this order. Those that are not there are left out.
    async fn read_all(&self, ids: &[RequestId]) -> Result<Vec<Listed>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let mut items = self.read_batch(batch).await?;
            let reads: Vec<_> = batch
                .iter()
                .filter_map(|id| Some((*id, items.remove(id)?)))
                .map(|(id, item)| self.resolve(id, item))
                .collect();
            let found: Vec<Option<Listed>> =
                stream::iter(reads).buffered(READS).try_collect().await?;
            records.extend(found.into_iter().flatten());
        }
        Ok(records)
    }

    async fn resolve(&self, id: RequestId, item: Item) -> Result<Option<Listed>, StoreError> {
        let read = match self.record(&item).await? {
            Some(read) => Some(read),
            None => self.read_stored(id).await?,
        };
        Ok(read.map(|read| Unreadable::listed(id, read)))
    }

    async fn read_batch(&self, ids: &[RequestId]) -> Result<HashMap<RequestId, Item>, StoreError> {
        let action = "list the requests";
        let mut items = HashMap::new();
        let mut left: Vec<Item> = ids.iter().map(|id| place(*id)).collect();
        for tried in 0..BATCH_TRIES {
            let wanted = KeysAndAttributes::builder()
                .set_keys(Some(left))
                .consistent_read(true)
                .build()
                .map_err(|error| StoreError::Unavailable {
                    action,
                    source: error.into(),
                })?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted)
                .send()
                .await
                .map_err(unavailable(action))?;
            let found = answer.responses.unwrap_or_default().into_values().flatten();
            items.extend(found.filter_map(|item| Some((id_of(&item)?, item))));
            let unprocessed = answer.unprocessed_keys.unwrap_or_default();
            left = unprocessed
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect();
            if left.is_empty() {
                return Ok(items);
            }
            back_off(tried).await;
        }
        Err(StoreError::Unavailable {
            action,
            source: "the table is throttled".into(),
        })
    }
}
