//! Changes of requests.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use iib_ports::StoreError;
use iib_request::{Record, State};

use super::facets::{COUNTED, Counts, count, counted_state};
use super::item::{IMAGES, OVERFLOW, WRITTEN, place};
use super::transactions::incomplete;
use super::{DynamoRequests, unavailable};
use crate::table::{Item, as_number, as_text, back_off, number};

const ACTION: &str = "save the request";

/// How often a change is tried that others got into the way of.
const TRIES: u32 = 50;

/// What a write found in the place of the record.
enum Found {
    /// It was written; what was there before.
    Written(Item),
    /// The version is another one.
    Other,
    /// It is counted, or its images are noted, otherwise than it is to be.
    Behind(Item),
}

impl DynamoRequests {
    /// Mostly one conditional write. Where the state changes, or images came to be known, that fails
    /// and shows what is stored: then images are noted first, and the counters change in one
    /// transaction with the record. What is to be told is always part of a transaction.
    pub(super) async fn save(&self, record: Record) -> Result<Record, StoreError> {
        let before = record.version;
        let record = Record {
            version: before + 1,
            ..record
        };
        let item = self.item(&record).await?;
        let mine = as_text(&item, OVERFLOW).map(ToOwned::to_owned);
        let is_news = self.announces && record.has_news();
        let first = match is_news {
            false => self.put_unchanged(&item, before).await?,
            true if was_in(&record, record.state()) => self.put_told(&record, &item).await?,
            true => look_at(
                self.get_item(place(record.id), ACTION).await?,
                &item,
                before,
            ),
        };
        let found = match first {
            Found::Behind(stored) => self.put_changed(&record, &item, before, stored).await?,
            found => found,
        };
        match found {
            Found::Written(replaced) => {
                let former = as_text(&replaced, OVERFLOW);
                self.overflow
                    .remove(former.filter(|name| Some(*name) != mine.as_deref()))
                    .await;
                Ok(record)
            }
            Found::Other | Found::Behind(_) => {
                self.overflow.remove(mine.as_deref()).await;
                Err(StoreError::Conflict(record.id))
            }
        }
    }

    /// Writes a record that is counted as it was, and whose images are noted.
    async fn put_unchanged(&self, item: &Item, before: u64) -> Result<Found, StoreError> {
        let value = |name: &str| item.get(name).cloned().unwrap_or_else(|| number(0));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression("version = :before AND #counted = :counted AND #images = :images")
            .expression_attribute_names("#counted", COUNTED)
            .expression_attribute_names("#images", IMAGES)
            .expression_attribute_values(":before", number(before))
            .expression_attribute_values(":counted", value(COUNTED))
            .expression_attribute_values(":images", value(IMAGES))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match put {
            Ok(answer) => return Ok(Found::Written(answer.attributes.unwrap_or_default())),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                Ok(look_at(failed.item.clone(), item, before))
            }
            _ => Err(unavailable(ACTION)(error)),
        }
    }

    /// The same with the news that it has a state, in the place of a record that was not large: that one's
    /// object has to be removed afterwards, and a transaction does not say what was there.
    async fn put_told(&self, record: &Record, item: &Item) -> Result<Found, StoreError> {
        let before = record.version - 1;
        let value = |name: &str| item.get(name).cloned().unwrap_or_else(|| number(0));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression(
                "version = :before AND #counted = :counted AND #images = :images \
                 AND attribute_not_exists(#overflow)",
            )
            .expression_attribute_names("#overflow", OVERFLOW)
            .expression_attribute_names("#counted", COUNTED)
            .expression_attribute_names("#images", IMAGES)
            .expression_attribute_values(":before", number(before))
            .expression_attribute_values(":counted", value(COUNTED))
            .expression_attribute_values(":images", value(IMAGES));
        let put = put.build().map_err(incomplete)?;
        let put = TransactWriteItem::builder().put(put).build();
        let writes = [put, self.changed_news(record)?];
        for tried in 0..TRIES {
            match self.transact(&writes, ACTION).await? {
                Ok(()) => return Ok(Found::Written(Item::new())),
                Err(missed) if missed.failed(0) => {
                    let now = self.get_item(place(record.id), ACTION).await?;
                    return Ok(look_at(now, item, before));
                }
                Err(_) => back_off(tried.min(3)).await,
            }
        }
        Err(too_busy())
    }

    /// Writes a record whose images are not noted yet, or that is counted otherwise.
    async fn put_changed(
        &self,
        record: &Record,
        item: &Item,
        before: u64,
        stored: Item,
    ) -> Result<Found, StoreError> {
        if as_text(&stored, IMAGES) != as_text(item, IMAGES) {
            self.see(&record.facts.images().collect()).await?;
        }
        let (mut counts, state) = (Counts::new(), record.state());
        if let Some(former) = counted_state(&stored) {
            count(&mut counts, record, former, -1);
        }
        count(&mut counts, record, state, 1);
        for tried in 0..TRIES {
            let mut writes = vec![self.put_version(item.clone(), before)?];
            if self.announces && record.has_news() {
                writes.push(self.changed_news(record)?);
            }
            writes.extend(self.change_counters(&counts)?);
            match self.transact(&writes, ACTION).await? {
                Ok(()) => return Ok(Found::Written(stored)),
                // The record is in the first place.
                Err(missed) if missed.failed(0) => {
                    let now = self.get_item(place(record.id), ACTION).await?;
                    return Ok(match look_at(now, item, before) {
                        // Nobody else changes one without counting its version up.
                        Found::Behind(_) => Found::Other,
                        found => found,
                    });
                }
                Err(_) => back_off(tried.min(3)).await,
            }
        }
        Err(too_busy())
    }
}

fn too_busy() -> StoreError {
    StoreError::Unavailable {
        action: ACTION,
        source: "too many requests change at the same time".into(),
    }
}

/// Whether a request was in a state before it got its latest one.
fn was_in(record: &Record, state: State) -> bool {
    let mut before = record.history.iter().rev().skip(1);
    before.next().is_some_and(|entry| entry.state == state)
}

/// What a write that was not made has found.
fn look_at(stored: Option<Item>, item: &Item, before: u64) -> Found {
    let Some(stored) = stored else {
        return Found::Other;
    };
    // An attempt whose answer was lost may have written it.
    if as_text(&stored, WRITTEN) == as_text(item, WRITTEN) {
        return Found::Written(Item::new());
    }
    match as_number(&stored, "version") == Some(before) {
        true => Found::Behind(stored),
        false => Found::Other,
    }
}
