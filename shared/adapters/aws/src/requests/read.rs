//! Reading requests: one, some, those in a phase.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{Clock as _, Listed, StoreError, SystemClock, Unreadable};
use iib_request::{Record, RecordError, RequestId, Stage};
use jiff::{SignedDuration, Timestamp};

use super::item::{HELD, HIDDEN, KEPT, LIVE, id_of, place};
use super::{DynamoRequests, unavailable};
use crate::table::{Item, PHASE, RANK, back_off, number, text};

/// Most keys in one batch of reads (DynamoDB's limit).
const BATCH: usize = 100;
/// How often a batch is sent again for what DynamoDB did not get to. It gives at most 16 MiB at
/// once, so a full batch of large records takes three calls.
const BATCH_TRIES: u32 = 12;
/// Requests of new batches that are looked at in one go: the others in the next.
const HELD_AT_ONCE: i32 = 1000;
/// How long after its creation a batch that is not there never will be: whoever makes one has less than
/// a minute.
const LOST: SignedDuration = SignedDuration::from_hours(1);
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
                let hidden = item.contains_key(HIDDEN);
                let batch = record.as_ref().ok().map(|record| record.batch);
                let shown = match batch.filter(|_| hidden) {
                    Some(batch) => self.is_batch_there(batch).await?,
                    None => true,
                };
                return Ok(shown.then_some(record));
            }
            back_off(tried).await;
        }
        Err(StoreError::Unavailable {
            action: "read the request",
            source: "its record was replaced each time it was read".into(),
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
        let goes_on = |listed: &Listed| match listed {
            Ok(record) => record.work.stage != Stage::Done,
            Err(_) => true,
        };
        // Numbers of DynamoDB have 38 digits.
        let live = self.read_phase(LIVE, "#r >= :bound", first, limit, goes_on);
        let (mut live, held) = futures::try_join!(live, self.read_held())?;
        let held = held.into_iter().filter(|record| Some(record.id) > after);
        live.extend(held.map(Ok));
        live.sort_by_key(id_listed);
        live.truncate(limit as usize);
        Ok(live)
    }

    /// Requests of batches that are there, and that nobody has come to since. Those of batches that
    /// never came to be are removed: whoever made them is gone long since.
    async fn read_held(&self) -> Result<Vec<Record>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(PHASE)
            .key_condition_expression("#p = :phase")
            .expression_attribute_names("#p", PHASE)
            .expression_attribute_values(":phase", text(HELD))
            .limit(HELD_AT_ONCE)
            .send()
            .await
            .map_err(unavailable("list the requests of new batches"))?;
        let ids: Vec<RequestId> = answer.items().iter().filter_map(id_of).collect();
        let places = ids.iter().map(|id| place(*id)).collect();
        let items = self
            .get_items(places, "list the requests of new batches")
            .await?;
        let (mut there, mut known, mut lost) = (Vec::new(), BTreeMap::new(), Vec::new());
        for item in items.iter().filter(|item| item.contains_key(HIDDEN)) {
            let Some(Ok(record)) = self.record(item).await? else {
                continue;
            };
            let shown = match known.get(&record.batch) {
                Some(shown) => *shown,
                None => self.is_batch_there(record.batch).await?,
            };
            known.insert(record.batch, shown);
            match shown {
                true => there.push(record),
                false if is_lost(&record) => lost.push(record),
                false => {}
            }
        }
        self.discard(&lost).await?;
        Ok(there)
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
    pub(super) async fn read_all(&self, ids: &[RequestId]) -> Result<Vec<Listed>, StoreError> {
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
        let places = ids.iter().map(|id| place(*id)).collect();
        let items = self.get_items(places, "list the requests").await?;
        Ok(items
            .into_iter()
            .filter_map(|item| Some((id_of(&item)?, item)))
            .collect())
    }

    /// An item as it was last written.
    pub(super) async fn get_item(
        &self,
        place: Item,
        action: &'static str,
    ) -> Result<Option<Item>, StoreError> {
        let read = self.client.get_item().table_name(&self.table);
        let read = read.set_key(Some(place)).consistent_read(true).send().await;
        Ok(read.map_err(unavailable(action))?.item)
    }

    /// The items in these places, in any order; those that are not there are left out.
    pub(super) async fn get_items(
        &self,
        places: Vec<Item>,
        action: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let batches = places.chunks(BATCH).map(<[Item]>::to_vec);
        let reads: Vec<_> = batches.map(|batch| self.get_batch(batch, action)).collect();
        let read: Vec<Vec<Item>> = stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    async fn get_batch(
        &self,
        mut left: Vec<Item>,
        action: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
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
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
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

/// Whether a request of a batch that is not there will never be seen.
fn is_lost(record: &Record) -> bool {
    let now = SystemClock.now();
    record
        .updated()
        .saturating_add(LOST)
        .is_ok_and(|lost| lost < now)
}

fn id_listed(listed: &Listed) -> RequestId {
    match listed {
        Ok(record) => record.id,
        Err(unreadable) => unreadable.id,
    }
}
