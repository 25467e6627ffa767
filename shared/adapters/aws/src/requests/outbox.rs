//! What is to be told, as items beside the requests.
//!
//! They are written in the transaction that writes the request, and the table's stream shows them to
//! the function that tells. All of a batch stand in one partition, in order, so one shard of the stream has
//! them and nobody else looks at them at the same time: DynamoDB spreads what has one partition key over several only
//! where that alone takes more than a thousand write units a second.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};
use iib_ports::{Behind, Clock as _, NEWS_DAYS, Outbox, StoreError, SystemClock, Waiting, chain};
use iib_request::{BatchId, Destination, News, Record, RecordError, RequestId, Siblings};
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::item::RECORD;
use super::transactions::incomplete;
use super::{DynamoRequests, unavailable};
use crate::table::{EXPIRES, Item, SK, as_number, as_text, key, number, text};

/// Partitions that news is spread over. Each takes a thousand write units a second, of which the news of a state
/// takes two for each KB: some 250 states a second, if they are usual ones.
const PARTITIONS: u64 = 64;
/// Largest record that is kept with its news, bytes: with the largest, a partition still takes thirty a second.
const KEPT: usize = 16 * 1024;
/// Items that are removed, and partitions that are looked into, at the same time.
const AT_ONCE: usize = 16;
/// Pages of a partition, 1 MB each, that are looked through for batches of which somebody has not heard. While one of
/// those who are told is away for long there is much that only he has not heard, and it costs as much as it is.
const PAGES: u32 = 4;
/// Items that are read to see whether there are any.
const FEW: i32 = 20;

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
        let is_told = |first: &&Record| self.announces && !first.is_dry_run;
        let Some(first) = records.first().filter(is_told) else {
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

    /// Batches of a partition of which one of `whom` has not been told something, at most so many.
    async fn waiting_in(
        &self,
        partition: u64,
        whom: &BTreeSet<Destination>,
        limit: usize,
    ) -> Result<Vec<Behind>, StoreError> {
        let (mut found, mut start) = (BTreeMap::new(), None);
        let (mut pages, few) = (0, limit == 1);
        while found.len() < limit && (few || pages < PAGES) {
            pages += 1;
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(format!("OUTBOX#{partition:02}")))
                .projection_expression("sk, told, #expires")
                .expression_attribute_names("#expires", EXPIRES)
                // Whoever asks for one wants to know whether there is any.
                .set_limit(few.then_some(FEW))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(unavailable("look for news"))?;
            let items = answer.items().iter();
            let behind = items.filter(|item| {
                let told = told(item).unwrap_or_default();
                !has_expired(item) && !whom.is_subset(&told)
            });
            for (batch, since) in behind.filter_map(batch_of) {
                found.entry(batch).or_insert(since);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                break;
            }
        }
        let found = found.into_iter().take(limit);
        let behind = found.map(|(batch, since)| Behind { batch, since });
        Ok(behind.collect())
    }
}

/// The batch of an item, and when it was written.
fn batch_of(item: &Item) -> Option<(BatchId, Timestamp)> {
    let mut parts = as_text(item, SK)?.split('#');
    let batch = parts.next()?.parse().ok().map(BatchId)?;
    let since = parts.next()?.parse().ok();
    let since = since.and_then(|since| Timestamp::from_microsecond(since).ok());
    Some((batch, since?))
}

/// The table removes it when it comes to it, which may take days.
fn has_expired(item: &Item) -> bool {
    let expires: Option<i64> = as_number(item, EXPIRES);
    expires.is_some_and(|expires| expires <= SystemClock.now().as_second())
}

fn told(item: &Item) -> Result<BTreeSet<Destination>, serde_json::Error> {
    let told = as_text(item, TOLD).map(Destination::set_of).transpose();
    Ok(told?.unwrap_or_default())
}

#[async_trait]
impl Outbox for DynamoRequests {
    /// Needs `dynamodb:Query`.
    async fn waiting(
        &self,
        whom: &BTreeSet<Destination>,
        limit: u32,
    ) -> Result<Vec<Behind>, StoreError> {
        let limit = limit as usize;
        let looks = (0..PARTITIONS).map(|partition| self.waiting_in(partition, whom, limit));
        let looks = stream::iter(looks.collect::<Vec<_>>()).buffered(AT_ONCE);
        let found: Vec<Vec<Behind>> = looks.try_collect().await?;
        let mut found: Vec<Behind> = found.into_iter().flatten().collect();
        // Batches are numbered in the order in which they came.
        found.sort_unstable_by_key(|behind| behind.batch);
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
            let items = answer.items().iter().filter(|item| !has_expired(item));
            found.extend(items.filter_map(|item| {
                let waiting = waiting(item, batch);
                waiting.inspect_err(|error| unreadable(batch, error)).ok()
            }));
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
        // Not a waking: nobody has to look at it because of this.
        let update = "SET #told = :value REMOVE #woken";
        let call = self.update(waiting.batch, &waiting.key, update);
        let call = call
            .expression_attribute_names("#told", TOLD)
            .expression_attribute_names("#woken", WOKEN)
            .expression_attribute_values(":value", text(names));
        done_if_there(call.send().await, "note whom news was told to")
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
                let call = self.update(batch, sort, "SET #woken = :value");
                let call = call
                    .expression_attribute_names("#woken", WOKEN)
                    .expression_attribute_values(":value", now);
                done_if_there(call.send().await, "wake a batch")
            }
            None => Ok(()),
        }
    }
}

impl DynamoRequests {
    /// A change of news that is still there.
    fn update(&self, batch: BatchId, sort: &str, update: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(partition(batch), sort)))
            .update_expression(update)
            .condition_expression("attribute_exists(pk)")
    }
}

/// Whoever is too late has nothing to change.
fn done_if_there(
    updated: Result<UpdateItemOutput, SdkError<UpdateItemError>>,
    action: &'static str,
) -> Result<(), StoreError> {
    let Err(error) = updated else { return Ok(()) };
    let gone = error
        .as_service_error()
        .is_some_and(UpdateItemError::is_conditional_check_failed_exception);
    match gone {
        true => Ok(()),
        false => Err(unavailable(action)(error)),
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
    Ok(Waiting {
        key: as_text(item, SK).unwrap_or_default().to_owned(),
        batch,
        since: batch_of(item).map(|(_, since)| since).unwrap_or_default(),
        news,
        told: told(item).map_err(|error| malformed(id, error.into()))?,
    })
}

fn malformed(id: RequestId, source: RecordError) -> StoreError {
    StoreError::Malformed { id, source }
}

/// News that says nothing: it stays until its time is over.
fn unreadable(batch: BatchId, error: &StoreError) {
    error!(
        event = "news_unreadable",
        batch = batch.0,
        error = chain(error),
        "news is passed over"
    );
}
