//! The kinds of requests: one file for each says what is asked for, how a call is read and how such
//! a request is shown. A new kind is its file, a variant of [`Request`] and a row of [`KINDS`].

mod add;
mod add_deprecations;
mod batch;
mod create_empty_index;
mod fbc_operations;
mod merge_index_image;
mod recursive_related_bundles;
mod regenerate_bundle;
mod rm;
mod rollback;

use std::borrow::Cow;

use iib_oci::ImageFormat;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::chain::request_named;
use crate::payload::{Parameters, Payload, ReadContext, check_form, check_hosts};
use crate::record::format;
use crate::refusal::Rule;
use crate::view::{Members, Shown};
use crate::{Facts, Refusal};

pub use add::AddRequest;
pub use add_deprecations::AddDeprecations;
pub use batch::{Annotations, BATCHES, BatchRow};
pub use create_empty_index::CreateEmptyIndex;
pub use fbc_operations::FbcOperations;
pub use merge_index_image::MergeIndexImage;
pub use recursive_related_bundles::RecursiveRelatedBundles;
pub use regenerate_bundle::RegenerateBundle;
pub use rm::RmRequest;
pub use rollback::Rollback;

/// What a request asks for. As it is stored: images are kept as the texts that were sent, because
/// that is how they are shown; tokens are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request_type", rename_all = "kebab-case")]
pub enum Request {
    /// Add bundles to an index.
    Add(AddRequest),
    /// Take operators out of an index.
    Rm(RmRequest),
    /// Make a bundle anew.
    RegenerateBundle(RegenerateBundle),
    /// Put one index into another.
    MergeIndexImage(MergeIndexImage),
    /// Make an index without operators.
    CreateEmptyIndex(CreateEmptyIndex),
    /// Find the bundles behind a bundle.
    RecursiveRelatedBundles(RecursiveRelatedBundles),
    /// Put fragments of a catalog into an index.
    FbcOperations(FbcOperations),
    /// Say what of an operator is deprecated.
    AddDeprecations(AddDeprecations),
    /// Put back what an index named before a request overwrote it.
    Rollback(Rollback),
}

/// A kind of request that is sent to a path of its own, as those see it who need not know which.
#[derive(Debug, Clone, Copy)]
pub struct KindRow {
    /// Its name in the API: the last part of the path, and `request_type`.
    pub name: &'static str,
    /// What such a request does, as users read it.
    pub about: &'static str,
    /// Reads and checks what was sent.
    ///
    /// # Errors
    /// [`Refusal`], for the first fault in the order of the reference.
    pub read: fn(&Payload, &ReadContext<'_>) -> Result<Request, Refusal>,
    /// What a call has in its body.
    pub parameters: Parameters,
    /// Such a body, as an example: JSON.
    pub example: &'static str,
    /// The schema of such a request as it is shown.
    shown: fn(&mut SchemaGenerator) -> Schema,
}

/// All such kinds, in the order in which the API lists them. The one besides is [`Rollback`], which is
/// sent to the request it is about.
pub static KINDS: [KindRow; 8] = [
    KindRow::of::<AddRequest>(),
    KindRow::of::<RmRequest>(),
    KindRow::of::<RegenerateBundle>(),
    KindRow::of::<MergeIndexImage>(),
    KindRow::of::<CreateEmptyIndex>(),
    KindRow::of::<RecursiveRelatedBundles>(),
    KindRow::of::<FbcOperations>(),
    KindRow::of::<AddDeprecations>(),
];

impl KindRow {
    const fn of<K: Asked>() -> Self {
        Self {
            name: K::NAME,
            about: K::ABOUT,
            read: |payload, context| {
                let read = K::read(payload, context)?;
                for (field, image) in read.images() {
                    check_form(field, image)?;
                    check_named(field, image, read.start())?;
                }
                check_hosts(read.images(), context.hosts)?;
                check_overwriting(&read)?;
                Ok(read.into())
            },
            parameters: K::PARAMETERS,
            example: K::EXAMPLE,
            shown: shown::<K>,
        }
    }
}

/// The schemas of requests as they are shown (JSON Schema 2020-12), by the name of the kind, in the order in which the
/// API lists kinds.
pub fn shown_requests(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    let kinds = KINDS.iter().map(|kind| (kind.name, kind.shown));
    let kinds = kinds.chain([(Rollback::NAME, shown::<Rollback> as fn(&mut _) -> _)]);
    kinds
        .map(|(name, shown)| (name, shown(generator)))
        .collect()
}

fn shown<K: Kind>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Members::<K::View<'static>>::json_schema(generator);
    if let Some(kind) = schema.pointer_mut("/properties/request_type") {
        *kind = json!({"type": "string", "const": K::NAME});
    }
    schema.insert("description".to_owned(), format!("{}.", K::ABOUT).into());
    schema.remove("title");
    schema
}

/// Refuses what looks like the number of a request where there can be none. Ours.
fn check_named(field: &'static str, image: &str, start: Option<&str>) -> Result<(), Refusal> {
    let looks_so = image
        .get(.."request:".len())
        .is_some_and(|begins| begins.eq_ignore_ascii_case("request:"));
    if !looks_so || (start == Some(image) && request_named(image).is_some()) {
        return Ok(());
    }
    let text = format!(
        "\"{field}\" is \"{image}\": the result of a request is named as \"request:<number>\", in \"from_index\" and \"source_from_index\" only; anything else is a pull spec with its registry"
    );
    Err(Refusal::new(Rule::Image, field, text))
}

/// What a tag is to name in the place of the result of a request has to be a tag. Ours.
fn check_overwriting<K: Kind>(read: &K) -> Result<(), Refusal> {
    match read
        .overwritten()
        .filter(|index| request_named(index).is_some())
    {
        None => Ok(()),
        Some(index) => {
            let text = format!(
                "\"{index}\" is the result of a request and has no tag to overwrite: name the index itself, or do not ask to overwrite it"
            );
            Err(Refusal::new(Rule::Choice, None, text))
        }
    }
}

/// What a kind has to say.
trait Kind: Into<Request> + 'static {
    /// Its name in the API.
    const NAME: &'static str;
    /// What such a request does, as users read it: a line, without its full stop.
    const ABOUT: &'static str;
    /// The oldest format of records that has this kind ([`crate::record::format`]).
    const FORMAT: u32;
    /// The oldest format of records that can say what is asked for.
    fn format(&self) -> u32 {
        match self.overwrites() {
            true => format::WITH_CATALOGS,
            false => Self::FORMAT,
        }
    }
    /// Whether a listing finds it by its result (spec rest-api §7).
    const FOUND_BY_RESULT: bool = false;

    /// What it shows besides what all requests show.
    type View<'a>: Serialize + JsonSchema
    where
        Self: 'a;

    /// The reason of a request that is complete.
    fn closing(&self) -> Cow<'static, str>;

    /// The images that are read for it, each with its parameter.
    fn images(&self) -> Vec<(&'static str, &str)>;

    /// What is known of it from the beginning.
    fn first_facts(&self) -> Facts {
        Facts::default()
    }

    /// The index by which a listing finds it, if it is of a kind that is found so (spec rest-api §7).
    fn listed_index(&self) -> Option<&str> {
        None
    }

    /// The index by which a queue may be chosen for it ([`crate::queue_of`]).
    fn queued_by(&self) -> Option<&str> {
        None
    }

    /// The index that it starts from, if requests of its kind start from one.
    fn start(&self) -> Option<&str> {
        None
    }

    /// Lets it start from this one.
    fn start_from(&mut self, _index: String) {}

    /// The index whose place its result takes.
    fn overwritten(&self) -> Option<&str> {
        None
    }

    /// Which documents its result is to have, if it says so.
    fn output_format(&self) -> Option<ImageFormat> {
        None
    }

    /// Whether that was asked for.
    fn overwrites(&self) -> bool {
        self.overwritten().is_some()
    }

    /// The bundles that it shows by their operators.
    fn bundles(&self) -> &[String] {
        &[]
    }

    /// Whose customizations are applied, for messages about batches.
    fn organization(&self) -> Option<&str> {
        None
    }

    /// What it shows.
    fn view<'a>(&'a self, shown: &Shown<'a>) -> Self::View<'a>;
}

/// A kind that is asked for by what is sent, and by nothing else.
trait Asked: Kind {
    /// The body of such a call, as an example: JSON.
    const EXAMPLE: &'static str;

    /// What a call has in its body.
    const PARAMETERS: Parameters;

    /// Reads and checks what was sent.
    ///
    /// # Errors
    /// [`Refusal`], for the first fault in the order of the reference.
    fn read(payload: &Payload, context: &ReadContext<'_>) -> Result<Self, Refusal>;
}

/// Says the same of the request of whichever kind.
macro_rules! of_each {
    ($request:expr, $of:ident => $said:expr) => {
        match $request {
            Request::Add($of) => $said,
            Request::Rm($of) => $said,
            Request::RegenerateBundle($of) => $said,
            Request::MergeIndexImage($of) => $said,
            Request::CreateEmptyIndex($of) => $said,
            Request::RecursiveRelatedBundles($of) => $said,
            Request::FbcOperations($of) => $said,
            Request::AddDeprecations($of) => $said,
            Request::Rollback($of) => $said,
        }
    };
}

/// A request of each kind is one of them.
macro_rules! from_each {
    ($($variant:ident($kind:ident)),*) => {
        $(impl From<$kind> for Request {
            fn from(request: $kind) -> Self {
                Self::$variant(request)
            }
        })*
    };
}

from_each!(
    Add(AddRequest),
    Rm(RmRequest),
    RegenerateBundle(RegenerateBundle),
    MergeIndexImage(MergeIndexImage),
    CreateEmptyIndex(CreateEmptyIndex),
    RecursiveRelatedBundles(RecursiveRelatedBundles),
    FbcOperations(FbcOperations),
    AddDeprecations(AddDeprecations),
    Rollback(Rollback)
);

fn name<K: Kind>(_: &K) -> &'static str {
    K::NAME
}

fn is_found_by_result<K: Kind>(_: &K) -> bool {
    K::FOUND_BY_RESULT
}

/// The names of all kinds, in the order in which the API lists them.
pub fn kind_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name).chain([Rollback::NAME])
}

impl Request {
    /// The name the API uses.
    pub fn name(&self) -> &'static str {
        of_each!(self, of => name(of))
    }

    /// The reason of such a request that is complete.
    pub fn closing(&self) -> Cow<'static, str> {
        of_each!(self, of => of.closing())
    }

    /// The format of records of such requests.
    pub(crate) fn format(&self) -> u32 {
        let format = of_each!(self, of => of.format());
        let format = match self.output_format() {
            Some(ImageFormat::Oci) => format.max(format::WITH_OUTPUT_FORMATS),
            Some(ImageFormat::Docker) | None => format,
        };
        match self.starts_after() {
            Some(_) => format.max(format::WITH_CHAINS),
            None => format,
        }
    }

    /// What is known of it from the beginning.
    pub(crate) fn first_facts(&self) -> Facts {
        of_each!(self, of => of.first_facts())
    }

    /// The images that it names, by parameter.
    pub fn images(&self) -> Vec<(&'static str, &str)> {
        of_each!(self, of => of.images())
    }

    /// The index by which a listing finds it, if it is of a kind that is found so.
    pub fn listed_index(&self) -> Option<&str> {
        of_each!(self, of => of.listed_index())
    }

    /// Whether a listing finds it by its result.
    pub(crate) fn is_found_by_result(&self) -> bool {
        of_each!(self, of => is_found_by_result(of))
    }

    /// The index by which a queue may be chosen for it.
    pub(crate) fn queued_by(&self) -> Option<&str> {
        of_each!(self, of => of.queued_by())
    }

    /// The index that it starts from, as it was named.
    pub(crate) fn start(&self) -> Option<&str> {
        of_each!(self, of => of.start())
    }

    /// The same that starts from this index.
    #[must_use]
    pub fn started_from(mut self, index: &str) -> Self {
        of_each!(&mut self, of => of.start_from(index.to_owned()));
        self
    }

    /// Whether it changes a catalog, or files.
    pub(crate) fn has_diff(&self) -> bool {
        !matches!(self, Self::Rollback(_) | Self::RecursiveRelatedBundles(_))
    }

    /// Whether its result is an index.
    pub(crate) fn makes_index(&self) -> bool {
        !matches!(
            self,
            Self::RegenerateBundle(_) | Self::RecursiveRelatedBundles(_)
        )
    }

    /// Whether its result takes the place of an index.
    pub fn overwrites(&self) -> bool {
        of_each!(self, of => of.overwrites())
    }

    /// The index whose place its result takes, as it was named.
    pub fn overwritten(&self) -> Option<&str> {
        of_each!(self, of => of.overwritten())
    }

    /// Which documents its result is to have, if it says so.
    pub fn output_format(&self) -> Option<ImageFormat> {
        of_each!(self, of => of.output_format())
    }

    /// The bundles that it shows by their operators.
    pub fn bundles(&self) -> &[String] {
        of_each!(self, of => of.bundles())
    }

    /// Whose customizations are applied, for messages about batches.
    pub fn organization(&self) -> Option<&str> {
        of_each!(self, of => of.organization())
    }
}

/// The members that requests of only some kinds show.
pub(crate) struct OfKind<'a>(pub(crate) Shown<'a>);

impl Serialize for OfKind<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        of_each!(&self.0.record.request, of => of.view(&self.0).serialize(serializer))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod names {
    use iib_oci::Digest;
    use serde_json::Value;

    use super::*;
    use crate::{RequestId, Unknown};

    #[test]
    fn every_kind_is_stored_under_the_name_that_it_has_in_the_api() {
        let requests: [Request; 8] = [
            AddRequest::default().into(),
            RmRequest::default().into(),
            RegenerateBundle::default().into(),
            MergeIndexImage::default().into(),
            CreateEmptyIndex::default().into(),
            RecursiveRelatedBundles::default().into(),
            FbcOperations::default().into(),
            AddDeprecations::default().into(),
        ];
        let names = KINDS.each_ref().map(|kind| kind.name);
        assert_eq!(requests.each_ref().map(Request::name), names);
        let rollback = Rollback {
            rolled_back: RequestId(1),
            from_index: String::new(),
            result: Digest::of(b""),
            replaced: Digest::of(b""),
            unknown: Unknown::default(),
        };
        for request in requests.into_iter().chain([rollback.into()]) {
            let stored = serde_json::to_value(&request).unwrap();
            assert_eq!(stored["request_type"], request.name());
            assert!(matches!(stored, Value::Object(_)));
        }
    }
}
