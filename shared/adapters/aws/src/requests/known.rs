//! What is known across requests: images that any of them used, and operators of bundles.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures::{StreamExt, TryStreamExt, stream};
use iib_oci::Digest;
use iib_ports::StoreError;
use iib_request::{LONGEST_IMAGE, Operators, Sought};

use super::{DynamoRequests, unavailable};
use crate::table::{Item, SK, as_text, back_off, key, text};

/// Where all images stand that were used, ordered by their names, because prefixes are looked for.
const IMAGES: &str = "IMAGES";
/// Most items in one batch of writes (DynamoDB's limit).
const BATCH: usize = 25;
/// How often a batch is sent again for what DynamoDB did not get to.
const TRIES: u32 = 12;
/// Batches that are written at the same time.
const WRITES: usize = 4;

impl DynamoRequests {
    /// Notes that images are used.
    pub(super) async fn see(&self, images: &BTreeSet<&str>) -> Result<(), StoreError> {
        let items = images.iter().filter(|image| !image.is_empty());
        let items = items.map(|image| key(IMAGES, *image)).collect();
        self.put_items(items, "note the images of a request").await
    }

    pub(super) async fn look_for(&self, sought: Sought<'_>) -> Result<bool, StoreError> {
        let action = "look for an image";
        let prefix = match sought {
            Sought::Image("") => return Ok(false),
            Sought::Image(text) | Sought::Prefix(text) if text.len() > LONGEST_IMAGE => {
                return Ok(false);
            }
            Sought::Image(image) => {
                let place = Some(key(IMAGES, image));
                let read = self
                    .client
                    .get_item()
                    .table_name(&self.table)
                    .set_key(place);
                let read = read.consistent_read(true).send().await;
                return Ok(read.map_err(unavailable(action))?.item.is_some());
            }
            Sought::Prefix(prefix) => prefix,
        };
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_names("#pk", crate::table::PK)
            .expression_attribute_values(":images", text(IMAGES))
            .consistent_read(true)
            .limit(1);
        let query = match prefix.is_empty() {
            true => query.key_condition_expression("#pk = :images"),
            false => query
                .key_condition_expression("#pk = :images AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":prefix", text(prefix)),
        };
        let found = query.send().await.map_err(unavailable(action))?;
        Ok(!found.items().is_empty())
    }

    pub(super) async fn write_operators(&self, operators: &Operators) -> Result<(), StoreError> {
        let items = operators.iter().map(|(bundle, operator)| {
            let mut item = place_of(bundle);
            item.insert("bundle".to_owned(), text(bundle));
            item.insert("operator".to_owned(), text(operator));
            item
        });
        self.put_items(items.collect(), "record operators").await?;
        self.see(&operators.keys().map(String::as_str).collect())
            .await
    }

    pub(super) async fn read_operators(
        &self,
        bundles: &BTreeSet<&str>,
    ) -> Result<Operators, StoreError> {
        let places = bundles.iter().map(|bundle| place_of(bundle)).collect();
        let items = self.get_items(places, "look for operators").await?;
        let pair = |item: &Item| {
            let bundle = as_text(item, "bundle")?.to_owned();
            Some((bundle, as_text(item, "operator")?.to_owned()))
        };
        Ok(items.iter().filter_map(pair).collect())
    }

    /// Writes items, whatever was there.
    pub(super) async fn put_items(
        &self,
        items: Vec<Item>,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let batches = items.chunks(BATCH).map(<[Item]>::to_vec);
        let writes: Vec<_> = batches.map(|batch| self.put_batch(batch, action)).collect();
        let mut writes = stream::iter(writes).buffer_unordered(WRITES);
        while writes.try_next().await?.is_some() {}
        Ok(())
    }

    async fn put_batch(&self, items: Vec<Item>, action: &'static str) -> Result<(), StoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable {
            action,
            source,
        };
        let write = |item: Item| {
            let put = PutRequest::builder().set_item(Some(item)).build();
            put.map(|put| WriteRequest::builder().put_request(put).build())
        };
        let writes: Result<Vec<_>, _> = items.into_iter().map(write).collect();
        let mut left = writes.map_err(|error| failed(error.into()))?;
        for tried in 0..TRIES {
            let written = self
                .client
                .batch_write_item()
                .request_items(&self.table, left)
                .send()
                .await
                .map_err(unavailable(action))?;
            let unprocessed = written.unprocessed_items.unwrap_or_default();
            left = unprocessed.into_values().flatten().collect();
            if left.is_empty() {
                return Ok(());
            }
            back_off(tried).await;
        }
        Err(failed("the table is throttled".into()))
    }
}

/// Keys are hashed: a bundle is whatever text was sent.
fn place_of(bundle: &str) -> Item {
    let name = format!("OPERATOR#{}", Digest::of(bundle.as_bytes()).hex());
    key(name, "OPERATOR")
}
