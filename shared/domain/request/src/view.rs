//! A request as the API shows it (spec rest-api §5).

use iib_oci::Arch;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::kinds::OfKind;
use crate::{ApiSettings, BatchId, Facts, Record, RequestId, Scope, State, StateEntry};

/// How much of a request is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For listings and messages.
    Short,
    /// With history and the place of the log.
    Verbose,
}

/// A request as the API shows it.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    id: RequestId,
    batch: BatchId,
    request_type: &'static str,
    user: Option<&'a str>,
    arches: &'a [Arch],
    #[serde(flatten)]
    latest: Entry<'a>,
    #[serde(flatten)]
    of_kind: OfKind<'a>,
    #[serde(flatten)]
    verbose: Option<Verbose<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    state: State,
    state_reason: &'a str,
    updated: String,
}

/// What index requests show (spec rest-api §5).
#[derive(Debug, Serialize)]
pub(crate) struct Index<'a> {
    binary_image: Option<&'a str>,
    binary_image_resolved: Option<&'a str>,
    from_index: Option<&'a str>,
    from_index_resolved: Option<&'a str>,
    index_image: Option<&'a str>,
    index_image_resolved: Option<&'a str>,
    distribution_scope: Option<Scope>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(from_index: Option<&'a str>, facts: &'a Facts) -> Self {
        Self {
            binary_image: facts.binary_image.as_deref(),
            binary_image_resolved: facts.binary_image_resolved.as_deref(),
            from_index,
            from_index_resolved: facts.from_index_resolved.as_deref(),
            index_image: facts.index_image.as_deref(),
            index_image_resolved: facts.index_image_resolved.as_deref(),
            distribution_scope: facts.distribution_scope,
        }
    }
}

/// What those show besides that may overwrite their index: the result under the service's own name.
#[derive(Debug, Serialize)]
pub(crate) struct Copies<'a> {
    internal_index_image_copy: Option<&'a str>,
    internal_index_image_copy_resolved: Option<&'a str>,
}

impl<'a> Copies<'a> {
    pub(crate) fn new(facts: &'a Facts) -> Self {
        Self {
            internal_index_image_copy: facts.internal_index_image_copy.as_deref(),
            internal_index_image_copy_resolved: facts.internal_index_image_copy_resolved.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Verbose<'a> {
    /// Only batch calls can set them.
    batch_annotations: Option<Map<String, Value>>,
    state_history: Vec<Entry<'a>>,
    logs: Document,
}

/// A document and how long it is kept.
#[derive(Debug, Serialize)]
struct Document {
    url: String,
    expiration: String,
}

impl<'a> View<'a> {
    /// Shows a request. `builds` is the absolute URL of the listing, without a trailing slash.
    pub fn new(record: &'a Record, form: Form, builds: &str, settings: &ApiSettings) -> Self {
        let verbose = match form {
            Form::Short => None,
            Form::Verbose => Some(Verbose {
                batch_annotations: None,
                state_history: record.history.iter().rev().map(entry).collect(),
                logs: Document {
                    url: format!("{builds}/{}/logs", record.id),
                    expiration: time(log_expiration(record, settings)),
                },
            }),
        };
        Self {
            id: record.id,
            batch: record.batch,
            request_type: record.request.name(),
            user: record.user.as_deref(),
            arches: record.facts.arches.as_deref().unwrap_or_default(),
            latest: Entry {
                state: record.state(),
                state_reason: record.state_reason(),
                updated: time(record.updated()),
            },
            of_kind: OfKind(record),
            verbose,
        }
    }
}

/// What a listing shows of a request whose record this version cannot read: that it is there. The
/// members that clients count on in every request are there, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stub {
    id: RequestId,
    batch: Option<BatchId>,
    request_type: Option<&'static str>,
    user: Option<&'static str>,
    arches: [&'static str; 0],
    /// Whoever waits for its end has to go on waiting: nobody here knows of any.
    state: State,
    state_reason: &'static str,
    updated: Option<&'static str>,
}

impl Stub {
    /// Of the request with this number.
    pub fn new(id: RequestId) -> Self {
        Self {
            id,
            batch: None,
            request_type: None,
            user: None,
            arches: [],
            updated: None,
            state: State::InProgress,
            state_reason: "The record of this request cannot be read by this version of the service. It is left as it is; ask the operators of this service.",
        }
    }
}

fn entry(entry: &StateEntry) -> Entry<'_> {
    Entry {
        state: entry.state,
        state_reason: &entry.state_reason,
        updated: time(entry.updated),
    }
}

/// Until when the log of a request is kept: the time of its latest state plus the days of the
/// settings (spec rest-api §5).
pub fn log_expiration(record: &Record, settings: &ApiSettings) -> Timestamp {
    let kept = SignedDuration::from_hours(24 * i64::from(settings.data_days_to_live));
    record
        .updated()
        .saturating_add(kept)
        .unwrap_or(Timestamp::MAX)
}

/// UTC with microseconds, which are left out when they are zero (spec rest-api §1).
fn time(timestamp: Timestamp) -> String {
    if timestamp.subsec_microsecond() == 0 {
        format!("{timestamp:.0}")
    } else {
        format!("{timestamp:.6}")
    }
}

#[cfg(test)]
mod tests;
