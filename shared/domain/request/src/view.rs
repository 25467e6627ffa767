//! A request as the API shows it (spec rest-api §5).

use std::collections::BTreeMap;

use iib_oci::ImageFormat;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::kinds::OfKind;
use crate::{Annotations, ApiSettings, BatchId, Facts, Record, RequestId, State, StateEntry};

/// How much of a request is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For listings and messages.
    Short,
    /// With history and the place of the log.
    Verbose,
}

/// The operators of bundles, as they are recorded for all requests.
pub type Operators = BTreeMap<String, String>;

/// A request that is shown, and what its documents depend on.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The request.
    pub record: &'a Record,
    /// The operators of its bundles, as far as they are recorded.
    pub operators: &'a Operators,
    /// The absolute URL of the listing, without a trailing slash.
    pub builds: &'a str,
    /// How many requests come before it that overwrite the same index, if it waits for them.
    pub ahead: Option<u64>,
    /// Settings of the API.
    pub settings: &'a ApiSettings,
}

impl<'a> Shown<'a> {
    pub(crate) fn facts(&self) -> &'a Facts {
        &self.record.facts
    }

    /// The URL of a document of this request.
    pub(crate) fn url(&self, document: &str) -> String {
        format!("{}/{}/{document}", self.builds, self.record.id)
    }

    /// Its related bundles, where they are kept.
    pub(crate) fn related_bundles(&self) -> Option<Document> {
        let kept = self.settings.offer_related_bundles;
        kept.then(|| self.document("related_bundles"))
    }

    /// Its nested bundles.
    pub(crate) fn nested_bundles(&self) -> Document {
        self.document("nested-bundles")
    }

    fn document(&self, name: &str) -> Document {
        Document {
            url: self.url(name),
            expiration: time(log_expiration(self.record, self.settings)),
        }
    }

    /// Bundles by their operators: as they are recorded, else as the work of this request found out.
    /// Those without one are left out.
    pub(crate) fn operators_of(&self, bundles: &'a [String]) -> BTreeMap<&'a str, Vec<&'a str>> {
        let found = self.facts().bundle_mapping.iter().flatten();
        let found = found.flat_map(|(operator, bundles)| {
            bundles
                .iter()
                .map(move |bundle| (bundle.as_str(), operator.as_str()))
        });
        let found: BTreeMap<&str, &str> = found.collect();
        let mut mapping: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for bundle in bundles {
            let recorded = self.operators.get(bundle).map(String::as_str);
            if let Some(operator) = recorded.or_else(|| found.get(bundle.as_str()).copied()) {
                mapping.entry(operator).or_default().push(bundle);
            }
        }
        mapping
    }
}

/// A request as the API shows it.
#[derive(Serialize)]
#[serde(transparent)]
#[expect(missing_debug_implementations, reason = "it is only written")]
pub struct View<'a>(Members<'a, OfKind<'a>>);

/// What is shown of a request, `K` being what those of its kind show.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Members<'a, K> {
    /// Its number.
    id: RequestId,
    /// The number of the batch that it is in.
    batch: BatchId,
    /// Its kind.
    request_type: &'static str,
    /// Who asked for it, if that is known.
    user: Option<&'a str>,
    /// The architectures of its result, as far as they are known.
    arches: &'a [String],
    #[serde(flatten)]
    latest: Entry<'a>,
    #[serde(flatten)]
    of_kind: K,
    /// How many requests come before it that overwrite the same index; there only while it waits for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<u64>,
    /// That it only shows what would be done; there only of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(flatten)]
    verbose: Option<Verbose<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StateEntry", description = "A state of a request.")]
struct Entry<'a> {
    /// Its state.
    state: State,
    /// Why it is in that state, or what is being done.
    state_reason: &'a str,
    /// Since when, in UTC.
    updated: String,
}

/// What every request shows whose result is an index (spec rest-api §5).
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Base<'a> {
    /// The image the index is built on.
    binary_image: Option<&'a str>,
    /// The same by its digest.
    binary_image_resolved: Option<&'a str>,
    /// The result, when there is one.
    index_image: Option<&'a str>,
    /// Which documents it has, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_format: Option<ImageFormat>,
}

impl<'a> Base<'a> {
    pub(crate) fn new(shown: &Shown<'a>) -> Self {
        let facts = shown.facts();
        Self {
            binary_image: facts.binary_image.as_deref(),
            binary_image_resolved: facts.binary_image_resolved.as_deref(),
            index_image: facts.index_image.as_deref(),
            output_format: shown.record.request.output_format(),
        }
    }
}

/// What those show besides that are made from one index.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct From<'a> {
    /// The index to start from.
    from_index: Option<&'a str>,
    /// The same by its digest.
    from_index_resolved: Option<&'a str>,
    /// The result by its digest.
    index_image_resolved: Option<&'a str>,
}

impl<'a> From<'a> {
    pub(crate) fn new(from_index: Option<&'a str>, facts: &'a Facts) -> Self {
        Self {
            from_index,
            from_index_resolved: facts.from_index_resolved.as_deref(),
            index_image_resolved: facts.index_image_resolved.as_deref(),
        }
    }
}

/// What those show besides that may overwrite their index: the result under the service's own name.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Copies<'a> {
    /// The result under the service's own name.
    internal_index_image_copy: Option<&'a str>,
    /// The same by its digest.
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

#[derive(Debug, Serialize, JsonSchema)]
struct Verbose<'a> {
    /// What was noted on its batch.
    batch_annotations: Option<&'a Annotations>,
    /// Its states, the latest first.
    state_history: Vec<Entry<'a>>,
    /// Its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<Document>,
    #[serde(flatten)]
    shows: Option<Shows>,
}

/// What a dry run is for.
#[derive(Debug, Serialize, JsonSchema)]
struct Shows {
    /// What was settled for it.
    plan: Document,
    /// What it would change, of requests that change a catalog or files.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Document>,
}

/// A document and how long it is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "KeptDocument")]
pub(crate) struct Document {
    /// Where it is.
    url: String,
    /// Until when it is kept, in UTC.
    expiration: String,
}

impl<'a> View<'a> {
    /// Shows a request.
    pub fn new(shown: Shown<'a>, form: Form) -> Self {
        let record = shown.record;
        let verbose = match form {
            Form::Short => None,
            Form::Verbose => Some(Verbose {
                batch_annotations: record.annotations.as_ref(),
                state_history: record.history.iter().rev().map(entry).collect(),
                logs: shown.settings.offer_logs.then(|| shown.document("logs")),
                shows: record.is_dry_run.then(|| Shows {
                    plan: shown.document("plan"),
                    diff: (record.request.has_diff()).then(|| shown.document("diff")),
                }),
            }),
        };
        Self(Members {
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
            of_kind: OfKind(shown),
            ahead: shown.ahead,
            dry_run: record.is_dry_run.then_some(true),
            verbose,
        })
    }
}

/// What a listing shows of a request whose record this version cannot read: that it is there. The
/// members that clients count on in every request are there, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "UnreadableRequest")]
pub struct Stub {
    /// Its number.
    id: RequestId,
    batch: Option<BatchId>,
    request_type: Option<&'static str>,
    user: Option<&'static str>,
    arches: [&'static str; 0],
    /// Whoever waits for its end has to go on waiting: nobody here knows of any.
    state: State,
    /// What to do about it.
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
