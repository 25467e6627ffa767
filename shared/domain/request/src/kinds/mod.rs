//! The kinds of requests: one file for each says what is asked for, how a call is read and how such
//! a request is shown. A new kind is its file, a variant of [`Request`] and a row of [`KINDS`].

mod add;
mod create_empty_index;

use serde::{Deserialize, Serialize, Serializer};

use crate::payload::{Payload, ReadContext, check_hosts};
use crate::{Facts, Record, Refusal};

pub use add::AddRequest;
pub use create_empty_index::CreateEmptyIndex;

/// What a request asks for. As it is stored: images are kept as the texts that were sent, because
/// that is how they are shown; tokens are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request_type", rename_all = "kebab-case")]
pub enum Request {
    /// Add bundles to an index.
    Add(AddRequest),
    /// Make an index without operators.
    CreateEmptyIndex(CreateEmptyIndex),
}

impl From<AddRequest> for Request {
    fn from(request: AddRequest) -> Self {
        Self::Add(request)
    }
}

impl From<CreateEmptyIndex> for Request {
    fn from(request: CreateEmptyIndex) -> Self {
        Self::CreateEmptyIndex(request)
    }
}

/// A kind of request, as those see it who need not know which.
#[derive(Debug, Clone, Copy)]
pub struct KindRow {
    /// Its name in the API: the last part of the path, and `request_type`.
    pub name: &'static str,
    /// Reads and checks what was sent.
    ///
    /// # Errors
    /// [`Refusal`], for the first fault in the order of the reference.
    pub read: fn(&Payload, &ReadContext<'_>) -> Result<Request, Refusal>,
}

/// All kinds.
pub static KINDS: [KindRow; 2] = [
    KindRow::of::<AddRequest>(),
    KindRow::of::<CreateEmptyIndex>(),
];

impl KindRow {
    const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            read: |payload, context| {
                let read = K::read(payload, context)?;
                check_hosts(read.images(), context.hosts)?;
                Ok(read.into())
            },
        }
    }
}

/// What a kind has to say.
trait Kind: Into<Request> {
    /// Its name in the API.
    const NAME: &'static str;
    /// The reason of a request that is complete.
    const CLOSING: &'static str;

    /// The oldest format of records that has this kind ([`crate::record::format`]).
    const FORMAT: u32;

    /// What it shows besides what all requests show.
    type View<'a>: Serialize
    where
        Self: 'a;

    /// Reads and checks what was sent.
    ///
    /// # Errors
    /// [`Refusal`], for the first fault in the order of the reference.
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal>;

    /// The images that are read for it, each with its parameter.
    fn images(&self) -> Vec<(&'static str, &str)>;

    /// See [`Request::not_built`].
    fn not_built(&self) -> Vec<&'static str>;

    /// What is known of it from the beginning.
    fn first_facts(&self) -> Facts;

    /// What it shows, with what became known on the way.
    fn view<'a>(&'a self, facts: &'a Facts) -> Self::View<'a>;
}

/// Says the same of the request of whichever kind.
macro_rules! of_each {
    ($request:expr, $of:ident => $said:expr) => {
        match $request {
            Request::Add($of) => $said,
            Request::CreateEmptyIndex($of) => $said,
        }
    };
}

fn name<K: Kind>(_: &K) -> &'static str {
    K::NAME
}

fn format<K: Kind>(_: &K) -> u32 {
    K::FORMAT
}

fn closing<K: Kind>(_: &K) -> &'static str {
    K::CLOSING
}

impl Request {
    /// The name the API uses.
    pub fn name(&self) -> &'static str {
        of_each!(self, of => name(of))
    }

    /// The reason of such a request that is complete.
    pub fn closing(&self) -> &'static str {
        of_each!(self, of => closing(of))
    }

    /// The format of records of such requests.
    pub(crate) fn format(&self) -> u32 {
        of_each!(self, of => format(of))
    }

    /// The parameters that ask for work which this version does not do. A request with any of
    /// them ends in `failed`, naming them; none is ever passed over in silence.
    pub fn not_built(&self) -> Vec<&'static str> {
        of_each!(self, of => of.not_built())
    }

    /// What is known of it from the beginning.
    pub(crate) fn first_facts(&self) -> Facts {
        of_each!(self, of => of.first_facts())
    }
}

/// The members that requests of only some kinds show.
#[derive(Debug)]
pub(crate) struct OfKind<'a>(pub(crate) &'a Record);

impl Serialize for OfKind<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let facts = &self.0.facts;
        of_each!(&self.0.request, of => of.view(facts).serialize(serializer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_kind_is_stored_under_the_name_that_it_has_in_the_api() {
        let requests = [
            Request::Add(AddRequest::default()),
            Request::CreateEmptyIndex(CreateEmptyIndex::default()),
        ];
        let names = KINDS.each_ref().map(|kind| kind.name);
        assert_eq!(requests.each_ref().map(Request::name), names);
        for request in requests {
            let stored = serde_json::to_value(&request).unwrap();
            assert_eq!(stored["request_type"], request.name());
            assert!(matches!(stored, Value::Object(_)));
        }
    }
}
