//! What is to be told, as items beside the requests.
//!
//! They are written in the transaction that writes the request, and the table's stream shows them to
//! the function that tells. All of a batch stand in one partition, in order, so one shard of the stream has
//! them and nobody else looks at them at the same time.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{Clock as _, NEWS_DAYS, Outbox, StoreError, SystemClock, Waiting};
use iib_request::{BatchId, News, Record, RecordError, RequestId, Siblings};
use jiff::SignedDuration;

use super::item::RECORD;
use super::transactions::incomplete;
use super::{DynamoRequests, unavailable};
use crate::table::{EXPIRES, Item, SK, as_number, as_text, key, number, text};

/// Partitions that news is spread over: each takes a thousand writes a second.
const PARTITIONS: u64 = 16;
/// Largest record that is kept with its news, bytes. What is in the stream is read whole.
const KEPT: usize = 64 * 1024;
/// Items that are removed, and partitions that are looked into, at the same time.
const AT_ONCE: usize = 16;

/// Who knows of it.
const TOLD: &str = "told";
/// When it last was looked at again.
const WOKEN: &str = "woken";

const ACTION: &str = "read the news";

fn partition(batch: BatchId) -> String {
    format!("OUTBOX#{:02}", batch.0 % PARTITIONS)
}

/// Sorted by batch, time, request, version.
fn place(batch: BatchId, record: &Record, version: u64) -> Item {
    let (at, id) = (record.updated().as_microsecond(), record.id);
    let sort = format!(
        "{batch:020}#{at:020}#{:020}#{version:020}",
        id.0,
        batch = batch.0
    );
    key(partition(batch), sort)
}

/// The attributes that those who filter need stand beside the rest.
fn item(record: &Record, version: u64) -> Item {
    let mut item = place(record.batch, record, version);
    let life = SignedDuration::from_hours(24 * NEWS_DAYS);
    let now = SystemClock.now();
    let expires = now.saturating_add(life).unwrap_or(now);
    item.extend([
        ("request".to_owned(), number(record.id)),
        ("batch".to_owned(), number(record.batch)),
        ("kind".to_owned(), text(record.request.name())),
        ("state".to_owned(), text(record.state().as_str())),
        ("updated".to_owned(), text(record.updated().to_string())),
        (EXPIRES.to_owned(), number(expires.as_second())),
    ]);
    if let Some(user) = &record.user {
        item.insert("user".to_owned(), text(user));
    }
    item
}

impl DynamoRequests {
    /// Says that a batch is there; nothing if nobody is told.
    pub(super) fn created_news(
        &self,
        records: &[Record],
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        let Some(first) = records.first().filter(|_| self.announces) else {
            return Ok(None);
        };
        let mut item = item(first, 0);
        item.insert("count".to_owned(), number(records.len()));
        self.put_news(item).map(Some)
    }

    /// Says that a request has a new state.
    pub(super) fn changed_news(&self, record: &Record) -> Result<TransactWriteItem, StoreError> {
        let mut item = item(record, record.version);
        item.insert("version".to_owned(), number(record.version));
        if let Some(News::Changed {
            then: Some(then), ..
        }) = News::of(record)
        {
            let id = record.id;
            let json = then
                .to_stored()
                .map_err(|source| StoreError::Malformed { id, source })?;
            if json.len() <= KEPT {
                item.insert(RECORD.to_owned(), text(json));
            }
        }
        self.put_news(item)
    }

    fn put_news(&self, item: Item) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put.build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Batches of a partition of which something waits, at most so many.
    async fn waiting_in(&self, partition: u64, limit: usize) -> Result<Vec<BatchId>, StoreError> {
        let (mut found, mut start) = (BTreeSet::new(), None);
        while found.len() < limit {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(format!("OUTBOX#{partition:02}")))
                .projection_expression("sk")
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(unavailable("look for news"))?;
            found.extend(answer.items().iter().filter_map(batch_of));
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }
}

fn batch_of(item: &Item) -> Option<BatchId> {
    let (batch, _) = as_text(item, SK)?.split_once('#')?;
    batch.parse().ok().map(BatchId)
}

#[async_trait]
impl Outbox for DynamoRequests {
    /// Needs `dynamodb:Query`.
    async fn waiting(&self, limit: u32) -> Result<Vec<BatchId>, StoreError> {
        let limit = limit as usize;
        let looks = (0..PARTITIONS).map(|partition| self.waiting_in(partition, limit));
        let looks = stream::iter(looks.collect::<Vec<_>>()).buffered(AT_ONCE);
        let found: Vec<Vec<BatchId>> = looks.try_collect().await?;
        let mut found: Vec<BatchId> = found.into_iter().flatten().collect();
        // Batches are numbered in the order in which they came.
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }

    /// Needs `dynamodb:Query`.
    async fn of(&self, batch: BatchId) -> Result<Vec<Waiting>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :batch)")
                .expression_attribute_values(":pk", text(partition(batch)))
                .expression_attribute_values(":batch", text(format!("{:020}#", batch.0)))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(unavailable(ACTION))?;
            for item in answer.items() {
                found.push(waiting(item, batch)?);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// Needs `dynamodb:UpdateItem`.
    async fn note(&self, waiting: &Waiting) -> Result<(), StoreError> {
        let names = serde_json::to_string(&waiting.told);
        let names = names.map_err(|error| malformed(waiting.news.request(), error.into()))?;
        self.set(
            waiting.batch,
            &waiting.key,
            TOLD,
            text(names),
            "note whom news was told to",
        )
        .await
    }

    /// Needs `dynamodb:DeleteItem`.
    async fn remove(&self, told: &[Waiting]) -> Result<(), StoreError> {
        let remove = async |waiting: &Waiting| {
            let removed = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key(partition(waiting.batch), &waiting.key)))
                .send()
                .await;
            removed.map(drop).map_err(unavailable("remove news"))
        };
        let removals: Vec<_> = told.iter().map(remove).collect();
        let removed = stream::iter(removals).buffer_unordered(AT_ONCE);
        removed.try_collect().await
    }

    /// Changes an item, so that the table's stream shows it once more. Needs `dynamodb:Query` and
    /// `dynamodb:UpdateItem`.
    async fn wake(&self, batch: BatchId) -> Result<(), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :batch)")
            .expression_attribute_values(":pk", text(partition(batch)))
            .expression_attribute_values(":batch", text(format!("{:020}#", batch.0)))
            .projection_expression("sk")
            .limit(1)
            .send()
            .await
            .map_err(unavailable(ACTION))?;
        match answer.items().first().and_then(|item| as_text(item, SK)) {
            Some(sort) => {
                let now = text(SystemClock.now().to_string());
                self.set(batch, sort, WOKEN, now, "wake a batch").await
            }
            None => Ok(()),
        }
    }
}

impl DynamoRequests {
    /// Sets an attribute of news that is still there.
    async fn set(
        &self,
        batch: BatchId,
        sort: &str,
        name: &str,
        value: AttributeValue,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(partition(batch), sort)))
            .update_expression("SET #name = :value")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value)
            .send()
            .await;
        match updated {
            Ok(_) => Ok(()),
            Err(error) => {
                let gone = error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception);
                if gone {
                    Ok(())
                } else {
                    Err(unavailable(action)(error))
                }
            }
        }
    }
}

fn waiting(item: &Item, batch: BatchId) -> Result<Waiting, StoreError> {
    let id = RequestId(as_number(item, "request").unwrap_or_default());
    let news = match as_number(item, "version") {
        Some(version) => {
            let then = as_text(item, RECORD).map(Record::from_stored).transpose();
            let then = then.map_err(|source| malformed(id, source))?.map(Box::new);
            News::Changed { id, version, then }
        }
        None => News::Created(Siblings {
            first: id,
            count: as_number(item, "count").unwrap_or(1),
        }),
    };
    let told = as_text(item, TOLD).map(serde_json::from_str).transpose();
    Ok(Waiting {
        key: as_text(item, SK).unwrap_or_default().to_owned(),
        batch,
        news,
        told: told
            .map_err(|error| malformed(id, error.into()))?
            .unwrap_or_default(),
    })
}

fn malformed(id: RequestId, source: RecordError) -> StoreError {
    StoreError::Malformed { id, source }
}
