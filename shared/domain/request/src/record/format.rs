//! Formats of stored records: which there are, and what became of the members of older ones.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Record;

/// The newest format that this version reads.
///
/// It goes up when a version that does not know the new format would misread it. Members that are
/// only added need none: older versions keep them where they are ([`crate::Unknown`]). Each record
/// is written in the oldest format that can say what it says, so that older versions go on with the
/// requests they know, beside newer ones and after them: formats 3 and 4 are those of kinds that came
/// after the first, format 5 is that of indexes with a file-based catalog, format 6 that of rollbacks, format 7
/// that of results whose documents are not those of Docker, format 8 that of bundles that are made anew or looked behind,
/// format 9 that of dry runs, which an older version would push, and of requests that start from the result of another one.
const FORMAT: u32 = 9;

/// The format of the first kind of request.
pub(crate) const FIRST: u32 = 2;

/// The format of requests for an index without operators.
pub(crate) const WITH_EMPTY_INDEXES: u32 = 3;

/// The format of the six kinds that came after those.
pub(crate) const WITH_ALL_KINDS: u32 = 4;

/// The format of requests whose plan or result has a file-based catalog.
pub(crate) const WITH_CATALOGS: u32 = 5;

/// The format of requests that put back what another one overwrote.
pub(crate) const WITH_ROLLBACKS: u32 = 6;

/// The format of requests whose result has other documents than those of Docker.
pub(crate) const WITH_OUTPUT_FORMATS: u32 = 7;

/// The format of requests whose plan is about a bundle.
pub(crate) const WITH_BUNDLES: u32 = 8;

/// The format of requests of which it is only to be seen what they would do.
pub(crate) const WITH_DRY_RUNS: u32 = 9;

/// The format of requests that start from the result of another one.
pub(crate) const WITH_CHAINS: u32 = 9;

/// A stored text is no record that this version can read. It is left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A newer version has written it.
    #[error(
        "it has the format {found}, and this version knows formats up to {FORMAT}: run the version that wrote it"
    )]
    Newer {
        /// Its format.
        found: u64,
    },
    /// It is no JSON, or something is missing or of the wrong type.
    #[error("it is damaged, or of a newer version")]
    Malformed(#[from] serde_json::Error),
}

/// What says how the rest is to be read.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
}

impl Record {
    /// Reads a stored record of any format up to the present one.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_stored(text: &str) -> Result<Self, RecordError> {
        // Records are read all the time, so those of the present formats are not read twice over.
        match serde_json::from_str(text)? {
            Head {
                format: None | Some(1),
            } => {
                let members: Map<String, Value> = serde_json::from_str(text)?;
                Ok(serde_json::from_value(of_format_1(members))?)
            }
            Head {
                format: Some(found),
            } if found > u64::from(FORMAT) => Err(RecordError::Newer { found }),
            // They differ in what they can say only.
            Head { format: Some(_) } => Ok(serde_json::from_str(text)?),
        }
    }

    /// The text to be stored.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] for a record that cannot be written; there is none.
    pub fn to_stored(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string(self)?)
    }
}

/// A record of format 1 (until November 2026): one member for each thing, an add request's plan
/// and result outright, and a lease without an owner.
fn of_format_1(mut record: Map<String, Value>) -> Value {
    record.insert("format".to_owned(), json!(FIRST));
    rename(&mut record, "kind", "request");
    let lease = record
        .remove("leased_until")
        .filter(|until| !until.is_null())
        // Nobody has this token, so it only runs out.
        .map(|until| json!({"token": "format-1", "until": until}));
    let mut work = Map::new();
    for member in ["stage", "attempts", "interruptions"] {
        work.extend(record.remove_entry(member));
    }
    work.insert("lease".to_owned(), json!(lease));
    record.insert("work".to_owned(), Value::Object(work));
    if let Some(Value::Object(mut facts)) = record.remove("outputs") {
        facts.retain(|_, fact| !is_nothing(fact));
        record.insert("facts".to_owned(), Value::Object(facts));
    }
    if let Some(Value::Object(mut plan)) = record.remove("plan") {
        rename(&mut plan, "from_index", "from");
        rename(&mut plan, "binary_images", "bases");
        if let Some(Value::Object(index)) = plan.get_mut("from") {
            let path = index.remove("database");
            index.insert("form".to_owned(), json!({"database": path}));
        }
        record.insert("plan".to_owned(), json!({"index": plan}));
    }
    if let Some(Value::Object(mut layer)) = record.remove("built") {
        layer.insert("holds".to_owned(), json!("/database/index.db"));
        record.insert("built".to_owned(), json!({"layers": [layer]}));
    }
    Value::Object(record)
}

fn rename(members: &mut Map<String, Value>, before: &str, after: &str) {
    if let Some(value) = members.remove(before) {
        members.insert(after.to_owned(), value);
    }
}

/// What stood for a fact that was not known.
fn is_nothing(fact: &Value) -> bool {
    match fact {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
