//! Lines in front of indexes, in DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use iib_oci::Digest;
use iib_ports::{Line, Lines, Moved, StoreError};
use iib_request::RequestId;
use jiff::Timestamp;

use crate::failure::unavailable;
use crate::table::{Item, SK, as_number, as_text, key, number, text};

/// The sort key of who has moved the tag last. It comes before that of the turn.
const MOVED: &str = "MOVED";
/// The sort key of the turn. Those of who waits come behind it.
const TURN: &str = "TURN";
/// What the sort keys of those who wait begin with; their numbers follow.
const WAITS: &str = "WAITS#";
/// When the tag was moved, milliseconds since the epoch.
const AT: &str = "at";
/// Whose turn it is, or who waits.
const REQUEST: &str = "request";

/// A line as the items of a partition: one for the turn, one for each request that waits, and one for the
/// request that has moved the tag last.
#[derive(Debug, Clone)]
pub struct DynamoLines {
    client: Client,
    table: String,
}

impl DynamoLines {
    /// Lines in this table.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    /// Removes an item, if it is that of the request.
    async fn remove(&self, key: Item, id: RequestId) -> Result<(), StoreError> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .condition_expression("#r = :r")
            .expression_attribute_names("#r", REQUEST)
            .expression_attribute_values(":r", number(id))
            .send()
            .await;
        match removed {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            other => other
                .map(drop)
                .map_err(unavailable("leave the line of an index")),
        }
    }

    /// The items of a line from a sort key on, at most `limit` of them.
    async fn items(
        &self,
        index: &str,
        from: &str,
        limit: Option<i32>,
    ) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND sk >= :sk")
                .expression_attribute_values(":pk", text(partition(index)))
                .expression_attribute_values(":sk", text(from))
                .set_limit(limit)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(unavailable("read the line of an index"))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || limit.is_some() {
                return Ok(items);
            }
        }
    }
}

/// Keys have a limit that names of images may exceed.
fn partition(index: &str) -> String {
    format!("LINE#{}", Digest::of(index.as_bytes()))
}

fn turn(index: &str) -> Item {
    key(partition(index), TURN)
}

fn waits(index: &str, id: RequestId) -> Item {
    key(partition(index), format!("{WAITS}{:020}", id.0))
}

fn of(mut item: Item, id: RequestId) -> Item {
    item.insert(REQUEST.to_owned(), number(id));
    item
}

fn request(item: &Item) -> Option<RequestId> {
    as_number(item, REQUEST).map(RequestId)
}

#[async_trait]
impl Lines for DynamoLines {
    /// Needs `dynamodb:PutItem`.
    async fn join(&self, index: &str, id: RequestId) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(of(waits(index, id), id)))
            .send()
            .await
            .map(drop)
            .map_err(unavailable("join the line of an index"))
    }

    /// Needs `dynamodb:PutItem` and `dynamodb:DeleteItem`.
    async fn take(&self, index: &str, id: RequestId) -> Result<RequestId, StoreError> {
        let taken = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(of(turn(index), id)))
            .condition_expression("attribute_not_exists(pk) OR #r = :r")
            .expression_attribute_names("#r", REQUEST)
            .expression_attribute_values(":r", number(id))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        if let Err(error) = &taken
            && let Some(PutItemError::ConditionalCheckFailedException(refused)) =
                error.as_service_error()
            && let Some(other) = refused.item().and_then(request)
        {
            return Ok(other);
        }
        taken.map_err(unavailable("take the turn of an index"))?;
        self.remove(waits(index, id), id).await?;
        Ok(id)
    }

    /// Needs `dynamodb:DeleteItem` and `dynamodb:Query`.
    async fn leave(&self, index: &str, id: RequestId) -> Result<Option<RequestId>, StoreError> {
        self.remove(waits(index, id), id).await?;
        self.remove(turn(index), id).await?;
        let first = self.items(index, WAITS, Some(1)).await?;
        Ok(first.first().and_then(request))
    }

    /// Needs `dynamodb:PutItem`.
    async fn note_moved(&self, index: &str, moved: Moved) -> Result<(), StoreError> {
        let Moved { by, at } = moved;
        let mut item = of(key(partition(index), MOVED), by);
        item.insert(AT.to_owned(), number(at.as_millisecond()));
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(unavailable("note who moved the tag of an index"))
    }

    /// Needs `dynamodb:Query`.
    async fn of(&self, index: &str) -> Result<Line, StoreError> {
        let mut line = Line::default();
        for item in self.items(index, MOVED, None).await? {
            match (as_text(&item, SK), request(&item)) {
                (Some(MOVED), by) => {
                    let at = as_number(&item, AT);
                    let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
                    line.moved = by.zip(at).map(|(by, at)| Moved { by, at });
                }
                (Some(TURN), turn) => line.turn = turn,
                // A crash may have left the item of one that has the turn.
                (_, Some(id)) if line.turn != Some(id) => line.waiting.push(id),
                _ => {}
            }
        }
        Ok(line)
    }
}
