//! What others are told about requests (spec rest-api §10).
//!
//! Whoever writes a request notes with it what is to be told ([`News`]); the messages are made when it
//! is told, from the news of a batch and from its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    ApiSettings, BatchId, Form, Operators, Record, RequestId, Shown, Siblings, State, View, Work,
};

/// What a write is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A batch is there.
    Created(Siblings),
    /// A request has a new state.
    Changed {
        /// The request.
        id: RequestId,
        /// The version of its record that has it.
        version: u64,
        /// How it stood then. Of one that was too large to be kept twice there is only how it stands now.
        then: Option<Box<Record>>,
    },
}

impl News {
    /// Of a write of this record; nothing if it has no new state. A write gives one state at most.
    pub fn of(record: &Record) -> Option<Self> {
        record.has_news().then(|| Self::Changed {
            id: record.id,
            version: record.version,
            then: Some(Box::new(shown_part(record))),
        })
    }

    /// The requests of the batch, if the news itself says which they are.
    pub fn batch_mates(&self) -> Option<Siblings> {
        match self {
            Self::Created(siblings) => Some(*siblings),
            Self::Changed { then, .. } => then.as_ref().map(|record| record.batch_mates()),
        }
    }

    /// The request that it is about, or the first of those.
    pub fn request(&self) -> RequestId {
        match self {
            Self::Created(siblings) => siblings.first,
            Self::Changed { id, .. } => *id,
        }
    }
}

/// Whom the service tells. News is told to each in order, and to each apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The bus of EventBridge.
    EventBus,
    /// The topic of SNS.
    Topic,
    /// Those who listen for requests at the AMQP 1.0 broker.
    BrokerRequests,
    /// Those who listen for batches there. A broker may take messages for one of both only.
    BrokerBatches,
}

impl Destination {
    /// Those of a list of names, as JSON. Names that are not known are those of other versions, and count as nobody.
    ///
    /// # Errors
    /// It is no list of texts.
    pub fn set_of(names: &str) -> Result<BTreeSet<Self>, serde_json::Error> {
        let names: Vec<String> = serde_json::from_str(names)?;
        let known = |name: String| serde_json::from_value(Value::String(name)).ok();
        Ok(names.into_iter().filter_map(known).collect())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::EventBus => "the event bus",
            Self::Topic => "the topic",
            Self::BrokerRequests => "the message broker's address for requests",
            Self::BrokerBatches => "the message broker's address for batches",
        })
    }
}

/// Longest text of a document that is shortened, bytes.
const SHORT: usize = 1024;

/// A message to the outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Names it, the same each time it is told: `<request>-<version>` of a request's.
    pub event_id: String,
    /// What it is about.
    pub about: About,
    /// The batch.
    pub batch: BatchId,
    /// The state.
    pub state: State,
    /// Who asked.
    pub user: Option<String>,
    /// Since when it is so.
    pub updated: Timestamp,
    /// The document.
    pub body: Value,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A request has a state.
    Request {
        /// The request.
        id: RequestId,
        /// Its kind, as the API names it.
        kind: &'static str,
    },
    /// All requests of a batch are there, or none of them goes on any more.
    Batch,
}

impl Message {
    /// What stands beside the body, for those who filter: `batch`, `id` of a request's, `state`, `user`.
    pub fn properties(&self) -> Vec<(&'static str, Value)> {
        let mut properties = vec![("batch", json!(self.batch))];
        if let About::Request { id, .. } = self.about {
            properties.push(("id", json!(id)));
        }
        properties.push(("state", json!(self.state)));
        properties.push(("user", json!(self.user)));
        properties
    }

    /// The document without what makes it long, for those who take no long ones: lists and objects, and
    /// texts of more than 1024 bytes are left out, and `shortened` says so. The API has the rest.
    pub fn shortened(&self) -> Value {
        let is_short = |value: &Value| match value {
            Value::Array(_) | Value::Object(_) => false,
            Value::String(text) => text.len() <= SHORT,
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        };
        let members = self.body.as_object().into_iter().flatten();
        let mut short: Value = members
            .filter(|(_, value)| is_short(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        short["shortened"] = json!(true);
        short
    }
}

/// What messages are made with.
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// The requests of the batch. Of those that are missing nothing can be told, and the batch goes on.
    pub records: &'a BTreeMap<RequestId, Record>,
    /// All requests of the batch.
    pub batch_mates: Siblings,
    /// The operators of bundles.
    pub operators: &'a Operators,
    /// Settings of the API.
    pub settings: &'a ApiSettings,
}

/// The messages for each piece of the news of a batch, in order: those of requests, and after them that of the batch
/// when it is there, and each time one of its requests changes and none goes on.
///
/// `records` are to be read before the news, so that who has none there is as he was told to be.
pub fn messages(news: &[News], telling: Telling<'_>) -> Vec<Vec<Message>> {
    let mut states = states_before(news, telling);
    let told = |news: &News| match news {
        News::Created(siblings) => {
            let created: Vec<Record> = siblings
                .ids()
                .filter_map(|id| telling.records.get(&id))
                .map(as_created)
                .collect();
            let mut messages: Vec<_> = created
                .iter()
                .map(|record| telling.of_request(record))
                .collect();
            messages.extend(created.last().and_then(|record| {
                let event_id = format!("batch-{}-created", record.batch);
                telling.of_batch(record, State::InProgress, event_id)
            }));
            messages
        }
        News::Changed { id, version, then } => {
            let now = || Some(as_of(telling.records.get(id)?, *version));
            let Some(record) = then.as_deref().cloned().or_else(now) else {
                return Vec::new();
            };
            states.insert(*id, record.state());
            let mut messages = vec![telling.of_request(&record)];
            if let Some(state) = ended(&states) {
                let event_id = format!("batch-{}-{id}-{version}", record.batch);
                messages.extend(telling.of_batch(&record, state, event_id));
            }
            messages
        }
    };
    news.iter().map(told).collect()
}

impl Telling<'_> {
    fn of_request(&self, record: &Record) -> Message {
        let base = self
            .settings
            .public_url
            .as_ref()
            .or(record.asked_at.as_ref());
        let base = base.map(ToString::to_string).unwrap_or_default();
        let shown = Shown {
            record,
            operators: self.operators,
            builds: &format!("{base}/api/v1/builds"),
            ahead: None,
            settings: self.settings,
        };
        Message {
            event_id: format!("{}-{}", record.id, record.version),
            about: About::Request {
                id: record.id,
                kind: record.request.name(),
            },
            batch: record.batch,
            state: record.state(),
            user: record.user.clone(),
            updated: record.updated(),
            // What is shown is made of texts, lists and numbers.
            body: serde_json::to_value(View::new(shown, Form::Short)).unwrap_or_default(),
        }
    }

    /// Of the batch of `record`, which changed last; nothing while one of its requests cannot be read.
    fn of_batch(&self, record: &Record, state: State, event_id: String) -> Option<Message> {
        let of = |id| {
            let other = self
                .records
                .get(&id)
                .or((id == record.id).then_some(record))?;
            Some(json!({
                "id": id,
                "organization": other.request.organization(),
                "request_type": other.request.name(),
            }))
        };
        let requests: Option<Vec<Value>> = self.batch_mates.ids().map(of).collect();
        Some(Message {
            event_id,
            about: About::Batch,
            batch: record.batch,
            state,
            user: record.user.clone(),
            updated: record.updated(),
            body: json!({
                "batch": record.batch,
                "annotations": record.annotations,
                "requests": requests?,
                "state": state,
                "user": record.user,
            }),
        })
    }
}

/// The states of a batch's requests as they were told before this news.
fn states_before(news: &[News], telling: Telling<'_>) -> BTreeMap<RequestId, State> {
    let goes_on = (telling.batch_mates.ids()).map(|id| (id, State::InProgress));
    let mut states = BTreeMap::from_iter(goes_on);
    let now = telling.records.iter();
    states.extend(now.map(|(id, record)| (*id, record.state())));
    for news in news.iter().rev() {
        match news {
            News::Created(siblings) => {
                states.extend(siblings.ids().map(|id| (id, State::InProgress)));
            }
            News::Changed { id, version, then } => {
                let record = then.as_deref().or_else(|| telling.records.get(id));
                let before = record.and_then(|record| {
                    let place = place_of(record, *version)?;
                    Some(record.history.get(place.checked_sub(1)?)?.state)
                });
                states.insert(*id, before.unwrap_or(State::InProgress));
            }
        }
    }
    states
}

/// The state of a batch none of whose requests goes on.
fn ended(states: &BTreeMap<RequestId, State>) -> Option<State> {
    if states.values().any(|state| !state.is_final()) {
        return None;
    }
    let failed = states.values().any(|state| *state == State::Failed);
    Some(if failed {
        State::Failed
    } else {
        State::Complete
    })
}

/// What a message shows of a request, and its state before: it is written with each state, and the rest of a
/// record is most of it.
fn shown_part(record: &Record) -> Record {
    let skipped = record.history.len().saturating_sub(2);
    Record {
        work: Work::queued(),
        plan: None,
        built: None,
        tags_before: None,
        secrets: BTreeMap::new(),
        history: record.history.iter().skip(skipped).cloned().collect(),
        ..record.clone()
    }
}

fn place_of(record: &Record, version: u64) -> Option<usize> {
    let mut entries = record.history.iter();
    entries.rposition(|entry| entry.version == Some(version))
}

/// A request as it was when it came.
fn as_created(record: &Record) -> Record {
    let since = record
        .history
        .first()
        .map_or(Timestamp::UNIX_EPOCH, |first| first.updated);
    let (user, request) = (record.user.clone(), record.request.clone());
    Record {
        asked_at: record.asked_at.clone(),
        annotations: record.annotations.clone(),
        siblings: record.siblings,
        ..Record::new(record.id, record.batch, user, request, since)
    }
}

/// A request with the states that it had in this version, and otherwise as it is now.
fn as_of(record: &Record, version: u64) -> Record {
    let mut record = record.clone();
    if let Some(place) = place_of(&record, version) {
        record.history.truncate(place + 1);
    }
    Record { version, ..record }
}

#[cfg(test)]
mod tests;
