//! New requests under dense numbers.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use iib_oci::Digest;
use iib_ports::{Created, NewRequest, StoreError};
use iib_request::{BatchId, RequestId};
use jiff::SignedDuration;

use super::item::{Counter, OVERFLOW};
use super::{DynamoRequests, unavailable};
use crate::table::{
    EXPIRES, Item, TEMPORARY_DAYS, as_number, as_text, back_off, key, number, unique,
};

/// How often a creation is tried. Of those that run at the same time one succeeds in each round, so
/// this is for a hundred callers at once. The waits between make some 15 seconds, which is within
/// the 29 that intake has.
const TRIES: u32 = 100;

const ACTION: &str = "store the new request";

/// How often a transaction is sent again of which nobody knows whether it took effect. Each time the
/// SDK tries it three times; all of that is within the time that intake has.
const DOUBTS: u32 = 2;

/// How one try ended, other than well.
enum Miss {
    /// Somebody else took the number; what the counter was then, if the answer told.
    Taken(Option<Counter>),
    /// The same was asked for before.
    Asked,
    /// Another transaction was under way, and this one did nothing.
    Busy,
}

impl DynamoRequests {
    /// Counter, record and the mark of who asked are written in one transaction, conditional on
    /// the counter: so a number is used exactly if its record is there.
    pub(super) async fn create_dense(&self, new: NewRequest) -> Result<Created, StoreError> {
        let asked = new.once.as_deref().map(asked_by);
        let mut counter = None;
        for tried in 0..TRIES {
            if let Some(before) = self.made_before(asked.as_ref()).await? {
                return Ok(Created::Before(before));
            }
            let now = match counter.take() {
                Some(counter) => counter,
                None => self.counter().await?,
            };
            match self.create_after(now, &new, asked.as_ref()).await? {
                Ok(record) => return Ok(Created::New(record)),
                Err(Miss::Taken(newer)) => counter = newer,
                Err(Miss::Asked | Miss::Busy) => {}
            }
            back_off(tried.min(3)).await;
        }
        Err(StoreError::Unavailable {
            action: ACTION,
            source: "too many requests are made at the same time".into(),
        })
    }

    pub(super) async fn counter(&self) -> Result<Counter, StoreError> {
        let stored = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(Counter::place()))
            .consistent_read(true)
            .send()
            .await
            .map_err(unavailable("count the requests"))?;
        Ok(Counter::of(stored.item.as_ref()))
    }

    /// The request that was made when the same was asked for.
    async fn made_before(
        &self,
        asked: Option<&Item>,
    ) -> Result<Option<iib_request::Record>, StoreError> {
        let Some(place) = asked else { return Ok(None) };
        let stored = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(place.clone()))
            .consistent_read(true)
            .send()
            .await
            .map_err(unavailable(ACTION))?;
        match stored.item.and_then(|item| as_number(&item, "request")) {
            Some(id) => self.read_one(RequestId(id)).await,
            None => Ok(None),
        }
    }

    async fn create_after(
        &self,
        now: Counter,
        new: &NewRequest,
        asked: Option<&Item>,
    ) -> Result<Result<iib_request::Record, Miss>, StoreError> {
        let id = RequestId(now.requests + 1);
        let record = new.clone().into_record(id, BatchId(now.batches + 1));
        let item = self.item(&record).await?;
        let overflow = as_text(&item, OVERFLOW).map(ToOwned::to_owned);
        let mut writes = vec![self.count_up(now)?, self.put_new(item)?];
        if let Some(place) = asked {
            let life = SignedDuration::from_hours(24 * TEMPORARY_DAYS);
            let expires = new.now.saturating_add(life).unwrap_or(new.now);
            let mut mark = place.clone();
            mark.insert("request".to_owned(), number(id));
            mark.insert(EXPIRES.to_owned(), number(expires.as_second()));
            writes.push(self.put_new(mark)?);
        }
        let Err(error) = self.write(&writes).await else {
            return Ok(Ok(record));
        };
        let miss = miss(&error).ok_or_else(|| unavailable(ACTION)(error))?;
        self.overflow.remove(overflow.as_deref()).await;
        Ok(Err(miss))
    }

    /// Sends a transaction until it is known what became of it: always with the same token, so that
    /// one whose answer was lost counts once. A new one could take effect beside it.
    async fn write(
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

    fn count_up(&self, now: Counter) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Counter::place()))
            .update_expression("SET requests = :r1, batches = :b1")
            .expression_attribute_values(":r1", number(now.requests + 1))
            .expression_attribute_values(":b1", number(now.batches + 1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = if now == Counter::default() {
            update.condition_expression("attribute_not_exists(pk)")
        } else {
            update
                .condition_expression("requests = :r0 AND batches = :b0")
                .expression_attribute_values(":r0", number(now.requests))
                .expression_attribute_values(":b0", number(now.batches))
        };
        let update = update.build().map_err(incomplete)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn put_new(&self, item: Item) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// Where it is noted that a request was asked for. Keys are hashed: what asks may be longer than
/// a key of DynamoDB.
fn asked_by(once: &str) -> Item {
    key(
        format!("ONCE#{}", Digest::of(once.as_bytes()).hex()),
        "ONCE",
    )
}

fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Unavailable {
        action: ACTION,
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

/// What a cancelled transaction means; `None` for any other failure.
fn miss<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Miss> {
    let reasons = match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons()
        }
        _ => return None,
    };
    let failed = |place: usize| {
        let code = reasons.get(place).and_then(CancellationReason::code);
        code == Some("ConditionalCheckFailed")
    };
    if failed(2) {
        return Some(Miss::Asked);
    }
    if failed(0) || failed(1) {
        let stored = reasons.first().and_then(|reason| reason.item.as_ref());
        let known = stored.filter(|item| !item.is_empty());
        return Some(Miss::Taken(known.map(|item| Counter::of(Some(item)))));
    }
    let busy = |reason: &CancellationReason| {
        matches!(
            reason.code(),
            Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
        )
    };
    reasons.iter().any(busy).then_some(Miss::Busy)
}
