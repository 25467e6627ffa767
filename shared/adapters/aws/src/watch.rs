//! Waiting for changes of requests, by looking at them again and again.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use iib_ports::{Clock as _, StoreError, SystemClock, Waited, Watch};
use iib_request::RequestId;
use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use crate::failure::unavailable;
use crate::requests::place;
use crate::table::{EXPIRES, as_number, key, number};

/// How often a request is looked at: who waits learns of a state within 200 ms, the call included.
const EVERY: Duration = Duration::from_millis(150);
/// How long the times are in which those are counted who begin to wait, seconds: longer than anybody waits.
const TIME: i64 = 30;
/// How long a count is kept.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
const COUNT: &str = "began";

/// Waits by looking at the version of a request. A function waits for one call at a time, so how many wait is
/// known to no process: those who begin are counted in the table, and of the same half minute only so many
/// are let in. Nobody has to be counted out, so nobody stays counted who died.
#[derive(Debug, Clone)]
pub struct DynamoWatch {
    client: Client,
    table: String,
    limit: u32,
}

impl DynamoWatch {
    /// Waits for requests in this table; at most so many begin to in half a minute.
    pub fn new(client: Client, table: impl Into<String>, limit: u32) -> Self {
        Self {
            client,
            table: table.into(),
            limit,
        }
    }

    /// Counts somebody who begins to wait, if there is room.
    async fn enter(&self) -> Result<bool, StoreError> {
        let now = SystemClock.now();
        let time = now.as_second().div_euclid(TIME);
        let expires = now.saturating_add(KEPT).unwrap_or(now);
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(format!("WAITING#{time}"), "COUNT")))
            .update_expression("ADD #c :one SET #e = :expires")
            .condition_expression("attribute_not_exists(#c) OR #c < :limit")
            .expression_attribute_names("#c", COUNT)
            .expression_attribute_names("#e", EXPIRES)
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":limit", number(self.limit))
            .expression_attribute_values(":expires", number(expires.as_second()))
            .send()
            .await;
        match counted {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(unavailable("count those who wait")(error)),
        }
    }

    async fn version(&self, id: RequestId) -> Result<Option<u64>, StoreError> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(place(id)))
            .consistent_read(true)
            .projection_expression("#v")
            .expression_attribute_names("#v", "version")
            .send()
            .await
            .map_err(unavailable("look for a change"))?;
        let item = found.item.unwrap_or_default();
        Ok(as_number(&item, "version"))
    }
}

#[async_trait]
impl Watch for DynamoWatch {
    /// Needs `dynamodb:UpdateItem` and `dynamodb:GetItem`.
    async fn changed(
        &self,
        id: RequestId,
        known: u64,
        patience: Duration,
    ) -> Result<Waited, StoreError> {
        let end = Instant::now() + patience;
        if self.limit == 0 || !self.enter().await? {
            return Ok(Waited::Refused);
        }
        loop {
            if self
                .version(id)
                .await?
                .is_some_and(|version| version > known)
            {
                return Ok(Waited::Changed);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Waited::Unchanged);
            }
            sleep(EVERY.min(left)).await;
        }
    }
}
