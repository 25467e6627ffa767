//! New requests.
//!
//! Numbers are handed out first, so that creations do not wait for each other; one that is lost between
//! this and the record leaves a gap, as in the reference. A single request is one transaction with its
//! counters. Those of a batch, which may be more than a transaction takes, are written hidden, and shown
//! by one last transaction that says that the batch is there.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use iib_oci::Digest;
use iib_ports::{Created, NewBatch, StoreError};
use iib_request::{BatchId, Record, RequestId};
use jiff::{SignedDuration, Timestamp};

use super::facets::{COUNTED, Counts, count};
use super::item::{OVERFLOW, WRITTEN, hide, place};
use super::{DynamoRequests, unavailable};
use crate::table::{
    EXPIRES, Item, TEMPORARY_DAYS, as_number, as_text, back_off, key, number, text, unique,
};

/// How often a creation is tried that others got into the way of.
const TRIES: u32 = 50;
/// Most counters that change in one transaction, which has at most a hundred writes.
const COUNTERS: usize = 90;

const ACTION: &str = "store the new requests";

impl DynamoRequests {
    pub(super) async fn create_all(&self, new: NewBatch) -> Result<Created, StoreError> {
        let asked = new.once.as_deref().map(asked_by);
        if let Some(before) = self.made_before(asked.as_ref()).await? {
            return Ok(Created::Before(before));
        }
        let (mut first, mut batch) = self.next_numbers(new.requests.len()).await?;
        if first.0 < new.first_number {
            self.raise_numbers(new.first_number).await?;
            (first, batch) = self.next_numbers(new.requests.len()).await?;
        }
        let now = new.now;
        let records = new.into_records(first, batch);
        let images = records.iter().flat_map(Record::images).collect();
        self.see(&images).await?;
        let mark = asked.map(|place| mark(place, first, records.len(), now));
        let shown = match records.as_slice() {
            [record] => self.create_one(record, mark.as_ref()).await?,
            _ => self.create_several(&records, batch, mark.as_ref()).await?,
        };
        match shown {
            true => Ok(Created::New(records)),
            // Somebody else was first, and there is no other reason.
            false => match self.made_before(mark.as_ref()).await? {
                Some(before) => Ok(Created::Before(before)),
                None => Err(too_busy()),
            },
        }
    }

    /// Hands out numbers. Whoever does not hear of them has used them up.
    async fn next_numbers(&self, count: usize) -> Result<(RequestId, BatchId), StoreError> {
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("COUNTER", "COUNTER")))
            .update_expression("ADD requests :count, batches :one")
            .expression_attribute_values(":count", number(count))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(unavailable("count the requests"))?;
        let numbers = counted.attributes.unwrap_or_default();
        let last: u64 = as_number(&numbers, "requests").unwrap_or_default();
        let first = (last + 1)
            .checked_sub(count as u64)
            .filter(|first| *first > 0);
        let batch = as_number(&numbers, "batches");
        match (first, batch) {
            (Some(first), Some(batch)) => Ok((RequestId(first), BatchId(batch))),
            _ => Err(StoreError::Unavailable {
                action: "count the requests",
                source: "the counter gave no number".into(),
            }),
        }
    }

    /// Lets numbers begin with this one, unless they have come further.
    async fn raise_numbers(&self, first: u64) -> Result<(), StoreError> {
        let raised = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("COUNTER", "COUNTER")))
            .update_expression("SET requests = :before")
            .condition_expression("requests < :before")
            .expression_attribute_values(":before", number(first.saturating_sub(1)))
            .send()
            .await;
        match raised {
            Ok(_) => Ok(()),
            // Somebody else has.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(unavailable("count the requests")(error)),
        }
    }

    /// As [`iib_ports::Requests::made_by`].
    pub(super) async fn made_once(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        let made = self.made_before(Some(&asked_by(once))).await?;
        Ok(made.unwrap_or_default())
    }

    /// The requests that were made when the same was asked for.
    async fn made_before(&self, asked: Option<&Item>) -> Result<Option<Vec<Record>>, StoreError> {
        let Some(mark) = asked else { return Ok(None) };
        let place = mark
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "pk" | "sk"));
        let place = place
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let Some(item) = self.get_item(place, ACTION).await? else {
            return Ok(None);
        };
        let Some(first) = as_number::<u64>(&item, "request") else {
            return Ok(None);
        };
        let count: u64 = as_number(&item, "requests").unwrap_or(1);
        let mut records = Vec::new();
        for id in (first..first.saturating_add(count)).map(RequestId) {
            // Requests are never deleted.
            records.extend(self.read_one(id).await?);
        }
        Ok(Some(records))
    }

    /// Whether it was created; if not, the same was asked for before.
    async fn create_one(&self, record: &Record, mark: Option<&Item>) -> Result<bool, StoreError> {
        let item = self.item(record).await?;
        let mut counts = Counts::new();
        count(&mut counts, record, record.state(), 1);
        let news = self.created_news(std::slice::from_ref(record))?;
        let shown = self.show(item.clone(), mark, news, &counts).await;
        // Of one that may have been stored, what it refers to has to stay.
        if matches!(shown, Ok(false)) {
            self.overflow.remove(as_text(&item, OVERFLOW)).await;
        }
        shown
    }

    async fn create_several(
        &self,
        records: &[Record],
        batch: BatchId,
        mark: Option<&Item>,
    ) -> Result<bool, StoreError> {
        let (mut counts, mut items) = (Counts::new(), Vec::with_capacity(records.len()));
        for record in records {
            let mut item = self.item(record).await?;
            let mut with_this = counts.clone();
            count(&mut with_this, record, record.state(), 1);
            match with_this.len() <= COUNTERS {
                true => counts = with_this,
                // It is counted when it is saved the next time.
                false => drop(item.remove(COUNTED)),
            }
            hide(&mut item, record);
            items.push(item);
        }
        self.put_items(items, ACTION).await?;
        let mut item = batch_place(batch);
        item.insert(WRITTEN.to_owned(), text(unique()));
        let news = self.created_news(records)?;
        let shown = self.show(item, mark, news, &counts).await?;
        if !shown {
            self.discard(records).await?;
        }
        Ok(shown)
    }

    /// Writes what makes requests visible, with counters, their news and the mark of who asked. `false` if the same
    /// was asked for before.
    async fn show(
        &self,
        item: Item,
        mark: Option<&Item>,
        news: Option<TransactWriteItem>,
        counts: &Counts,
    ) -> Result<bool, StoreError> {
        for tried in 0..TRIES {
            let mut writes: Vec<TransactWriteItem> = vec![self.put_new(item.clone())?];
            if let Some(mark) = mark {
                writes.push(self.put_new(mark.clone())?);
            }
            writes.extend(news.clone());
            writes.extend(self.change_counters(counts)?);
            let missed = match self.transact(&writes, ACTION).await? {
                Ok(()) => return Ok(true),
                Err(missed) => missed,
            };
            if missed.failed(0) || missed.failed(1) {
                // An attempt whose answer was lost may have written it.
                let place = [crate::table::PK, crate::table::SK];
                let place = place.map(|name| (name.to_owned(), item[name].clone()));
                let stored = self.get_item(place.into(), ACTION).await?;
                let stored = stored.as_ref().and_then(|item| as_text(item, WRITTEN));
                return Ok(stored == as_text(&item, WRITTEN));
            }
            back_off(tried.min(3)).await;
        }
        Err(too_busy())
    }

    /// Whether the batch of hidden requests is there.
    pub(super) async fn is_batch_there(&self, batch: BatchId) -> Result<bool, StoreError> {
        let item = self
            .get_item(batch_place(batch), "look for a batch")
            .await?;
        Ok(item.is_some())
    }

    /// Removes requests that nobody has ever seen.
    pub(super) async fn discard(&self, records: &[Record]) -> Result<(), StoreError> {
        for record in records {
            let removed = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(place(record.id)))
                .condition_expression("attribute_exists(#hidden)")
                .expression_attribute_names("#hidden", super::item::HIDDEN)
                .return_values(ReturnValue::AllOld)
                .send()
                .await;
            let removed = match removed {
                Ok(answer) => answer.attributes.unwrap_or_default(),
                // It is gone, or somebody has come to it.
                Err(error) if is_condition(&error) => continue,
                Err(error) => {
                    return Err(unavailable("remove a request that was never there")(error));
                }
            };
            self.overflow.remove(as_text(&removed, OVERFLOW)).await;
        }
        Ok(())
    }
}

fn is_condition<R>(error: &SdkError<DeleteItemError, R>) -> bool {
    let error = error.as_service_error();
    error.is_some_and(DeleteItemError::is_conditional_check_failed_exception)
}

fn too_busy() -> StoreError {
    StoreError::Unavailable {
        action: ACTION,
        source: "too many requests are made at the same time".into(),
    }
}

/// Where it is noted that a batch is there.
fn batch_place(batch: BatchId) -> Item {
    key(format!("BATCH#{batch}"), "BATCH")
}

/// Where it is noted that requests were asked for. Keys are hashed: what asks may be longer than
/// a key of DynamoDB.
fn asked_by(once: &str) -> Item {
    key(
        format!("ONCE#{}", Digest::of(once.as_bytes()).hex()),
        "ONCE",
    )
}

fn mark(mut place: Item, first: RequestId, count: usize, now: Timestamp) -> Item {
    let life = SignedDuration::from_hours(24 * TEMPORARY_DAYS);
    let expires = now.saturating_add(life).unwrap_or(now);
    place.insert("request".to_owned(), number(first));
    place.insert("requests".to_owned(), number(count));
    place.insert(EXPIRES.to_owned(), number(expires.as_second()));
    place
}
