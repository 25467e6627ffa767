//! The store of requests in DynamoDB.

mod create;
mod facets;
mod item;
mod known;
mod listing;
mod outbox;
mod overflow;
mod read;
mod save;
mod transactions;

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use iib_ports::{
    Created, Listed, Listing, NewBatch, Older, OlderQuery, OperatorStore, Page, PageQuery,
    Requests, StoreError, Sweeps,
};
use iib_request::{Operators, Record, RequestId, Sought};
use jiff::Timestamp;

pub(crate) use self::item::place;
use self::overflow::Overflow;
use crate::failure::unavailable;

/// Requests as items of a table; what an item cannot hold is in a bucket.
#[derive(Debug, Clone)]
pub struct DynamoRequests {
    client: Client,
    table: String,
    overflow: Overflow,
    /// Whether there is somebody who is told of requests.
    announces: bool,
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
            announces: false,
        }
    }

    /// Keeps what is to be told of requests ([`iib_ports::Outbox`]).
    #[must_use]
    pub fn announcing(self) -> Self {
        Self {
            announces: true,
            ..self
        }
    }
}

#[async_trait]
impl Requests for DynamoRequests {
    /// Needs `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem` and
    /// `dynamodb:BatchWriteItem`; `s3:PutObject` on `records/` for large requests. For batches, too,
    /// `dynamodb:DeleteItem`.
    async fn create(&self, new: NewBatch) -> Result<Created, StoreError> {
        self.create_all(new).await
    }

    /// Needs `dynamodb:GetItem`; `s3:GetObject` on `records/`.
    async fn made_by(&self, once: &str) -> Result<Vec<Record>, StoreError> {
        self.made_once(once).await
    }

    /// Needs `dynamodb:GetItem`; `s3:GetObject` on `records/`.
    async fn get(&self, id: RequestId) -> Result<Option<Record>, StoreError> {
        self.read_one(id).await
    }

    /// Needs `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem` and
    /// `dynamodb:BatchWriteItem`; `s3:PutObject` and `s3:DeleteObject` on `records/`.
    async fn replace(&self, record: Record) -> Result<Record, StoreError> {
        self.save(record).await
    }
}

#[async_trait]
impl Listing for DynamoRequests {
    /// Needs `dynamodb:Query` on the indexes, `dynamodb:GetItem` and `dynamodb:BatchGetItem`;
    /// `s3:GetObject` on `records/`. The indexes lag behind by some moments: a request may be missing
    /// that is a second old.
    async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        self.read_page(query).await
    }

    /// Needs the same as `page`.
    async fn older(&self, query: &OlderQuery) -> Result<Older, StoreError> {
        self.read_older(query).await
    }

    /// Needs `dynamodb:GetItem` and `dynamodb:Query`.
    async fn is_seen(&self, sought: Sought<'_>) -> Result<bool, StoreError> {
        self.look_for(sought).await
    }
}

#[async_trait]
impl OperatorStore for DynamoRequests {
    /// Needs `dynamodb:BatchWriteItem` and `dynamodb:PutItem`.
    async fn remember(&self, operators: &Operators) -> Result<(), StoreError> {
        self.write_operators(operators).await
    }

    /// Needs `dynamodb:BatchGetItem`.
    async fn of(&self, bundles: &BTreeSet<&str>) -> Result<Operators, StoreError> {
        self.read_operators(bundles).await
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
