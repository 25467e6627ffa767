//! A record as an item of the table, and back.

use aws_sdk_dynamodb::types::AttributeValue;
use iib_oci::Digest;
use iib_ports::StoreError;
use iib_request::{Record, RecordError, RequestId, Stage};

use super::DynamoRequests;
use super::facets::{COUNTED, attributes};
use crate::table::{Item, PHASE, RANK, as_text, key, number, text, unique};

/// The record as JSON.
pub(super) const RECORD: &str = "record";
/// Where the record is, if it is too large for the item.
pub(super) const OVERFLOW: &str = "overflow";
/// Names the write, so that a writer whose answer was lost knows its own.
pub(super) const WRITTEN: &str = "written";

/// Names the set of images that its record had come to know, all of which are noted as used.
pub(super) const IMAGES: &str = "images";
/// Of a request of a batch that may not be there yet.
pub(super) const HIDDEN: &str = "hidden";

/// Largest record that is part of its item, bytes. DynamoDB's limit is 400 KB for an item with
/// all its names; what is left is far more than they take.
const INLINE: usize = 360 * 1024;

/// The phase of requests that go on, ranked by id.
pub(super) const LIVE: &str = "live";
/// The phase of requests that ended and whose data is kept, ranked by when they ended.
pub(super) const KEPT: &str = "kept";
/// The phase of requests whose batch may not be there, ranked by when they were made.
pub(super) const HELD: &str = "held";

/// The key of a request's item.
pub(crate) fn place(id: RequestId) -> Item {
    key(format!("REQUEST#{id}"), "RECORD")
}

impl DynamoRequests {
    /// The item of a record. A large record is stored beside it first, under a name of its own.
    pub(super) async fn item(&self, record: &Record) -> Result<Item, StoreError> {
        let id = record.id;
        let json = record
            .to_stored()
            .map_err(|source| StoreError::Malformed { id, source })?;
        let mark = unique();
        let mut item = place(id);
        item.extend(attributes(record));
        item.insert(COUNTED.to_owned(), text(record.state().as_str()));
        item.insert(IMAGES.to_owned(), text(images(record)));
        item.insert("version".to_owned(), number(record.version));
        if let Some((phase, rank)) = phase(record) {
            item.insert(PHASE.to_owned(), text(phase));
            item.insert(RANK.to_owned(), number(rank));
        }
        if json.len() > INLINE {
            let name = self.overflow.store(record, &mark, json).await?;
            item.insert(OVERFLOW.to_owned(), text(name));
        } else {
            item.insert(RECORD.to_owned(), text(json));
        }
        item.insert(WRITTEN.to_owned(), text(mark));
        Ok(item)
    }

    /// The record of an item, or why it cannot be read; `None` if its large record was replaced
    /// meanwhile, and the item is to be read again.
    pub(super) async fn record(
        &self,
        item: &Item,
    ) -> Result<Option<Result<Record, RecordError>>, StoreError> {
        Ok(match (as_text(item, RECORD), as_text(item, OVERFLOW)) {
            (Some(json), _) => Some(Record::from_stored(json)),
            (None, Some(name)) => {
                let json = self.overflow.read(name).await?;
                json.map(|json| Record::from_stored(&json))
            }
            (None, None) => Some(Record::from_stored("")),
        })
    }
}

/// Where a record stands in the index `phase`; nothing if nobody looks for it there.
fn phase(record: &Record) -> Option<(&'static str, i64)> {
    if record.work.stage != Stage::Done {
        return Some((LIVE, i64::try_from(record.id.0).unwrap_or(i64::MAX)));
    }
    (!record.data_removed).then(|| (KEPT, record.updated().as_microsecond()))
}

/// The id in a key.
pub(super) fn id_of(item: &Item) -> Option<RequestId> {
    as_text(item, crate::table::PK)?
        .strip_prefix("REQUEST#")?
        .parse()
        .ok()
}

/// Hides a new request until its batch is there.
pub(super) fn hide(item: &mut Item, record: &Record) {
    item.insert(HIDDEN.to_owned(), AttributeValue::Bool(true));
    item.insert(PHASE.to_owned(), text(HELD));
    item.insert(RANK.to_owned(), number(record.updated().as_microsecond()));
}

/// A name for the images in what became known of a request.
fn images(record: &Record) -> String {
    let images: Vec<&str> = record.facts.images().collect();
    Digest::of(images.join("\n").as_bytes()).hex().to_owned()
}
