//! The store of requests in DynamoDB.

mod create;
mod item;
mod overflow;
mod read;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use iib_ports::{
    Created, Listed, Listing, NewRequest, Page, PageQuery, Requests, StoreError, Sweeps,
};
use iib_request::{Record, RequestId};
use jiff::Timestamp;

use self::item::{OVERFLOW, WRITTEN};
use self::overflow::Overflow;
use crate::failure::source;
use crate::table::{as_text, number};

/// Requests as items of a table; what an item cannot hold is in a bucket.
#[derive(Debug, Clone)]
pub struct DynamoRequests {
    client: Client,
    table: String,
    overflow: Overflow,
}

impl DynamoRequests {
    /// Requests in this table, with large records below `records/` of a bucket.
    pub fn new(
        client: Client,
        table: impl Into<String>,
        s3: aws_sdk_s3::Client,
        bucket: impl Into<String>,
    ) -> Self {
        Self {
            client,
            table: table.into(),
            overflow: Overflow::new(s3, bucket.into()),
        }
    }
}

/// A call that failed, as the port has it.
fn unavailable<E, R>(action: &'static str) -> impl FnOnce(SdkError<E, R>) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| StoreError::Unavailable {
        action,
        source: source(error),
    }
}

#[async_trait]
impl Requests for DynamoRequests {
    /// Needs `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem`; `s3:PutObject` on
    /// `records/` for large requests.
    async fn create(&self, new: NewRequest) -> Result<Created, StoreError> {
        self.create_dense(new).await
    }

    /// Needs `dynamodb:GetItem`; `s3:GetObject` on `records/`.
    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.read_one(id).await
    }

    /// Needs `dynamodb:PutItem`; `s3:PutObject` and `s3:DeleteObject` on `records/`.
    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        let before = record.version;
        let record = Record {
            version: before + 1,
            ..record
        };
        let id = record.id;
        let item = self.item(&record).await?;
        let mark = as_text(&item, WRITTEN).unwrap_or_default().to_owned();
        let mine = as_text(&item, OVERFLOW).map(ToOwned::to_owned);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("version = :before")
            .expression_attribute_values(":before", number(before))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let replaced = match put {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) => {
                return match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                        // An attempt whose answer was lost may have written it.
                        let stored = failed.item.as_ref();
                        if stored.and_then(|item| as_text(item, WRITTEN)) == Some(&mark) {
                            return Ok(record);
                        }
                        self.overflow.remove(mine.as_deref()).await;
                        Err(StoreError::Conflict(id))
                    }
                    _ => Err(unavailable("save the request")(error)),
                };
            }
        };
        self.overflow.remove(as_text(&replaced, OVERFLOW)).await;
        Ok(record)
    }
}

#[async_trait]
impl Listing for DynamoRequests {
    /// Needs `dynamodb:GetItem` and `dynamodb:BatchGetItem`; `s3:GetObject` on `records/`.
    async fn page(&self, query: PageQuery) -> Result<Page, StoreError> {
        self.read_page(query).await
    }
}

#[async_trait]
impl Sweeps for DynamoRequests {
    /// Needs `dynamodb:Query` on the index `phase` and `dynamodb:BatchGetItem`; `s3:GetObject` on
    /// `records/`. The index lags behind by some moments: a request may be missing that is a
    /// second old.
    async fn live(&self, after: Option<RequestId>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        self.read_live(after, limit).await
    }

    /// Needs the same as `live`.
    async fn ended_before(&self, time: Timestamp, limit: u32) -> Result<Vec<Record>, StoreError> {
        self.read_ended(time, limit).await
    }
}
