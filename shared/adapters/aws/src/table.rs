//! The one table: names of its attributes, and items as maps.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use iib_ports::Backoff;

/// Partition key.
pub(crate) const PK: &str = "pk";
/// Sort key.
pub(crate) const SK: &str = "sk";
/// When DynamoDB may delete an item by itself, seconds since the epoch.
pub(crate) const EXPIRES: &str = "expires_at";
/// The sparse index, and its partition key.
pub(crate) const PHASE: &str = "phase";
/// The sort key of the index.
pub(crate) const RANK: &str = "rank";

/// Days after which what is temporary may go: the longest that SQS keeps a message, so that
/// nothing a late message needs is gone before it.
pub(crate) const TEMPORARY_DAYS: i64 = 14;

/// An item, or its key.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    Item::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "numbers are copied; a reference would only be noise at every call"
)]
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A number of an item; `None` if it is not there, or is none.
pub(crate) fn as_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(crate) fn as_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A name that nobody else has: 128 random bits in hexadecimal.
pub(crate) fn unique() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Waits before a batch is sent again, or a race is run again.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(25), Duration::from_millis(1600)).with_jitter(0.5);

/// Waits longer each time; `tried` counts from 0.
pub(crate) async fn back_off(tried: u32) {
    let wait = BACKOFF.after_at(tried.saturating_add(1), fastrand::f64());
    tokio::time::sleep(wait).await;
}
