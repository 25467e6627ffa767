//! Build logs in DynamoDB, while requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use iib_ports::{Clock, Logs, StoreError};
use iib_request::RequestId;
use jiff::SignedDuration;

use crate::failure::unavailable;
use crate::table::{
    EXPIRES, Item, PK, SK, TEMPORARY_DAYS, as_text, back_off, key, number, text, unique,
};

/// The most text in one item. DynamoDB's limit is 400 KB with names and keys.
const ITEM_TEXT: usize = 300 * 1024;
/// The most that is read of a log, bytes; as much as is shown of one in local mode.
const READ_LIMIT: usize = 16 * 1024 * 1024;
/// Most items in one batch of deletions (DynamoDB's limit).
const BATCH: usize = 25;
/// How often a batch is sent again for what DynamoDB did not get to.
const BATCH_TRIES: u32 = 8;

/// Logs as items, one for each append, sorted by when that was. They expire by themselves, should
/// nobody remove them.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the clock has none")]
pub struct DynamoLogs {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
    order: Arc<Order>,
}

/// Gives appends their place: time, then the order in this process, then the process.
struct Order {
    last_time: AtomicU64,
    count: AtomicU64,
    process: String,
}

impl Order {
    /// A sort key that is greater than those given before. Time does not go back in it when the
    /// clock does.
    fn next(&self, now: u64) -> String {
        let before = self.last_time.fetch_max(now, Ordering::SeqCst);
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        format!("{:020}-{count:012}-{}", now.max(before), self.process)
    }
}

impl DynamoLogs {
    /// Logs in this table.
    pub fn new(client: Client, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            table: table.into(),
            clock,
            order: Arc::new(Order {
                last_time: AtomicU64::new(0),
                count: AtomicU64::new(0),
                process: unique(),
            }),
        }
    }

    /// A page of a log, latest part first, and where the next one begins.
    async fn page(
        &self,
        id: RequestId,
        attributes: &str,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .scan_index_forward(false)
            .key_condition_expression("pk = :pk")
            .expression_attribute_names("#t", "text")
            .projection_expression(attributes)
            .expression_attribute_values(":pk", text(partition(id)))
            .set_exclusive_start_key(start);
        // A name that no expression uses is refused.
        let answer = match attributes.contains("#t") {
            true => answer,
            false => answer.set_expression_attribute_names(None),
        };
        let answer = answer.send().await.map_err(unavailable("read the log"))?;
        Ok((
            answer.items.unwrap_or_default(),
            answer.last_evaluated_key.filter(|key| !key.is_empty()),
        ))
    }

    async fn delete(&self, keys: &[Item]) -> Result<(), StoreError> {
        let mut left: Vec<WriteRequest> = Vec::new();
        for key in keys {
            let delete = DeleteRequest::builder().set_key(Some(key.clone())).build();
            let delete = delete.map_err(|error| StoreError::Unavailable {
                action: "remove the log",
                source: error.into(),
            })?;
            left.push(WriteRequest::builder().delete_request(delete).build());
        }
        for tried in 0..BATCH_TRIES {
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.table, left)
                .send()
                .await
                .map_err(unavailable("remove the log"))?;
            let unprocessed = answer.unprocessed_items.unwrap_or_default();
            left = unprocessed.into_values().flatten().collect();
            if left.is_empty() {
                return Ok(());
            }
            back_off(tried).await;
        }
        Err(StoreError::Unavailable {
            action: "remove the log",
            source: "the table is throttled".into(),
        })
    }
}

fn partition(id: RequestId) -> String {
    format!("LOG#{id}")
}

/// Cuts a text into parts of at most `limit` bytes, between characters.
fn parts(mut whole: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while whole.len() > limit {
        let (part, rest) = whole.split_at(whole.floor_char_boundary(limit));
        parts.push(part);
        whole = rest;
    }
    parts.push(whole);
    parts
}

#[async_trait]
impl Logs for DynamoLogs {
    /// Needs `dynamodb:PutItem`.
    async fn append(&self, id: RequestId, lines: &[String]) -> Result<(), StoreError> {
        let mut whole = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in lines {
            whole.push_str(line);
            whole.push('\n');
        }
        let now = self.clock.now();
        let life = SignedDuration::from_hours(24 * TEMPORARY_DAYS);
        let expires = now.saturating_add(life).unwrap_or(now).as_second();
        let micros = u64::try_from(now.as_microsecond()).unwrap_or_default();
        let place = self.order.next(micros);
        for (part, content) in parts(&whole, ITEM_TEXT).into_iter().enumerate() {
            let mut item = key(partition(id), format!("{place}-{part:06}"));
            item.insert("text".to_owned(), text(content));
            item.insert(EXPIRES.to_owned(), number(expires));
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .send()
                .await
                .map_err(unavailable("write the log"))?;
        }
        Ok(())
    }

    /// Needs `dynamodb:Query`.
    async fn read(&self, id: RequestId) -> Result<Option<String>, StoreError> {
        let (mut texts, mut size, mut start) = (Vec::new(), 0, None);
        let whole = loop {
            let (items, next) = self.page(id, "#t", start).await?;
            for item in items {
                let part = as_text(&item, "text").unwrap_or_default().to_owned();
                size += part.len();
                texts.push(part);
            }
            match next {
                Some(_) if size >= READ_LIMIT => break false,
                Some(next) => start = Some(next),
                None => break true,
            }
        };
        if texts.is_empty() {
            return Ok(None);
        }
        texts.reverse();
        let log = texts.concat();
        if whole {
            return Ok(Some(log));
        }
        let lines = log.split_once('\n').map_or(&*log, |(_, rest)| rest);
        Ok(Some(format!(
            "[the beginning of this log is left out]\n{lines}"
        )))
    }

    /// Needs `dynamodb:Query` and `dynamodb:BatchWriteItem` (which needs `dynamodb:DeleteItem`).
    async fn remove(&self, id: RequestId) -> Result<(), StoreError> {
        let mut start = None;
        loop {
            let (keys, next) = self.page(id, &format!("{PK}, {SK}"), start).await?;
            for batch in keys.chunks(BATCH) {
                self.delete(batch).await?;
            }
            start = next;
            if start.is_none() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let whole = "a\u{1F980}b\u{1F980}";
        assert_eq!(parts(whole, 4), ["a", "\u{1F980}", "b", "\u{1F980}"]);
        assert_eq!(parts(whole, 10), [whole]);
        assert_eq!(parts("", 4), [""]);
    }

    #[test]
    fn places_only_grow() {
        let order = Order {
            last_time: AtomicU64::new(0),
            count: AtomicU64::new(0),
            process: "p".to_owned(),
        };
        let places: Vec<String> = [5, 5, 3, 6].map(|now| order.next(now)).into();
        assert!(places.is_sorted(), "{places:?}");
    }
}
