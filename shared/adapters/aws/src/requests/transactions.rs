//! Writes that take effect together.

use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem, Update};
use iib_ports::StoreError;

use super::facets::{Counts, SHARDS};
use super::{DynamoRequests, unavailable};
use crate::table::{Item, back_off, key, number, unique};

/// How often a transaction is sent again of which nobody knows whether it took effect. Each time the
/// SDK tries it three times; all of that is within the time that intake has.
const DOUBTS: u32 = 2;

/// A transaction that did nothing.
pub(super) struct Missed(Vec<CancellationReason>);

impl Missed {
    /// Whether it was for the condition of the write in this place.
    pub(super) fn failed(&self, place: usize) -> bool {
        let code = self.0.get(place).and_then(CancellationReason::code);
        code == Some("ConditionalCheckFailed")
    }
}

impl DynamoRequests {
    /// Makes some writes at once, or none. One that others got into the way of is not tried again:
    /// whoever sends it may choose other counters.
    pub(super) async fn transact(
        &self,
        writes: &[TransactWriteItem],
        action: &'static str,
    ) -> Result<Result<(), Missed>, StoreError> {
        let Err(error) = self.send_until_known(writes).await else {
            return Ok(Ok(()));
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons().to_vec()
            }
            _ => return Err(unavailable(action)(error)),
        };
        let is_miss = |reason: &CancellationReason| {
            let codes = [
                "ConditionalCheckFailed",
                "TransactionConflict",
                "ThrottlingError",
                "ProvisionedThroughputExceeded",
            ];
            reason.code().is_some_and(|code| codes.contains(&code))
        };
        match reasons.iter().any(is_miss) {
            true => Ok(Err(Missed(reasons))),
            false => Err(unavailable(action)(error)),
        }
    }

    /// Sends a transaction until it is known what became of it: always with the same token, so that
    /// one whose answer was lost counts once. A new one could take effect beside it.
    async fn send_until_known(
        &self,
        writes: &[TransactWriteItem],
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let token = unique();
        let mut doubts = 0;
        loop {
            let call = self.client.transact_write_items();
            let call = call.client_request_token(&token);
            let written = call.set_transact_items(Some(writes.to_vec())).send().await;
            match written {
                Ok(_) => return Ok(()),
                Err(error) if doubts < DOUBTS && is_in_doubt(&error) => {
                    back_off(doubts).await;
                    doubts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes an item where none is.
    pub(super) fn put_new(&self, item: Item) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)");
        let put = put.build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Writes an item in the place of its former version.
    pub(super) fn put_version(
        &self,
        item: Item,
        before: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = put
            .condition_expression("version = :before")
            .expression_attribute_values(":before", number(before));
        let put = put.build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Changes counters, of each an item by chance.
    pub(super) fn change_counters(
        &self,
        counts: &Counts,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let shard = fastrand::u32(..SHARDS).to_string();
        let change = |(counter, by): (&String, &i64)| {
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(key(counter, &shard)))
                .update_expression("ADD #count :by")
                .expression_attribute_names("#count", "count")
                .expression_attribute_values(":by", number(by));
            let update = update.build().map_err(incomplete)?;
            Ok(TransactWriteItem::builder().update(update).build())
        };
        counts.iter().map(change).collect()
    }
}

pub(super) fn incomplete(error: BuildError) -> StoreError {
    StoreError::Unavailable {
        action: "put a transaction together",
        source: error.into(),
    }
}

/// Whether a transaction may have taken effect although its call failed.
fn is_in_doubt<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            true
        }
        SdkError::ServiceError(error) => matches!(
            error.err(),
            TransactWriteItemsError::TransactionInProgressException(_)
                | TransactWriteItemsError::InternalServerError(_)
        ),
        _ => false,
    }
}
