//! What a request says that cannot be done.

use iib_bundle::RelatedImagesError;
use iib_fbc::DeprecationsFault;
use iib_oci::{ArchError, PullSpecError};
use iib_ports::Class;
use iib_request::{BinaryImageError, RequestId, ScopeError};

use super::Meaning;

/// What the request says cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A login of `registry_auths` that is none.
    #[error("the login for {0} in \"registry_auths\" is not `user:password` in base64")]
    RegistryAuth(String),
    /// The request starts from the index of another one, which is not there.
    #[error("The request {0} has made no index to start from")]
    NotMade(RequestId),
    /// A bundle without a label that the settings ask for.
    #[error("The bundle {bundle} does not have the label {label}={value}")]
    RequiredLabel {
        /// The bundle, pinned.
        bundle: String,
        /// The label.
        label: String,
        /// What it has to say.
        value: String,
    },
    /// Images that bundles name and that are not there.
    #[error("IIB cannot access the following related images [{}]", quoted(.0))]
    RelatedImages(Vec<String>),
    /// The images that a bundle names cannot be told.
    #[error("the related images of the bundle {bundle} cannot be read")]
    RelatedUnread {
        /// The bundle, pinned.
        bundle: String,
        /// What is wrong with it.
        source: RelatedImagesError,
    },
    /// A text of the request is no pull spec.
    #[error("a pull spec in the request's \"{field}\" cannot be used")]
    PullSpec {
        /// The parameter.
        field: &'static str,
        /// What is wrong.
        source: PullSpecError,
    },
    /// An architecture in `add_arches` that cannot be part of a tag.
    #[error("the architecture in \"add_arches\" cannot be built for")]
    Arch(#[source] ArchError),
    /// Scope rules (worker flows §4.2).
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Binary image rules (worker flows §4.3).
    #[error(transparent)]
    BinaryImage(#[from] BinaryImageError),
    /// Nothing says what to build for (worker flows §4.4).
    #[error("No arches were provided to build the index image")]
    NoArches,
    /// The binary image lacks architectures (worker flows §4.4); the list is sorted.
    #[error("The binary image is not available for the following arches: {0}")]
    MissingArches(String),
    /// A login that came with the request is not kept any more.
    #[error("the \"{0}\" that came with the request is not kept any more: send the request again")]
    TokenGone(&'static str),
    /// A login that came with the request is none.
    #[error("the \"{0}\" is no login: write it as user:password")]
    Token(&'static str),
    /// A login came for an image that names no registry. Text as worker flows §3 has it.
    #[error(
        "Unable to determine the registry from the pull specification '{image}' for Docker authentication"
    )]
    NoRegistry {
        /// The image.
        image: String,
        /// What is wrong.
        source: PullSpecError,
    },
    /// An index that is to be overwritten and is not named by a tag.
    #[error(
        "the index {0} is named by its digest, so it cannot be overwritten: name it by a tag, or send the request without overwriting"
    )]
    NoTag(String),
    /// The tag of the result names something else.
    #[error(
        "{output} names {now} already, which this request did not make: another service seems to push its results to the same repository, and to count alike. Begin with a higher number than it has reached (`requests.first_number`, IIB_REQUESTS_FIRST_NUMBER), and send the request again"
    )]
    OutputTaken {
        /// The pull spec of the result, with the request's number.
        output: String,
        /// What its tag names.
        now: String,
    },
    /// An index names what it is to be put back to.
    #[error(
        "{index} names {now}, which is what it named before the request {request} overwrote it: there is nothing to put back"
    )]
    NothingToPutBack {
        /// The index, with its tag.
        index: String,
        /// The request that was to overwrite it.
        request: RequestId,
        /// What the tag names.
        now: String,
    },
    /// An index that is to be put back names something else than the result that is to go.
    #[error(
        "{index} names {now}, and not {result} any more, the result of the request {request}: nothing is put back"
    )]
    NotTheResult {
        /// The index, with its tag.
        index: String,
        /// The request that overwrote it.
        request: RequestId,
        /// What it made.
        result: String,
        /// What the tag names.
        now: String,
    },
    /// What was sent as deprecations is none.
    #[error("the \"deprecation_schema\" cannot be used")]
    Deprecations(#[source] DeprecationsFault),
    /// The deprecations are of another package.
    #[error(
        "the \"deprecation_schema\" is about the package \"{package}\", and the \"operator_package\" is \"{wanted}\": name the same one in both"
    )]
    DeprecationsOfOther {
        /// That of the schema.
        package: String,
        /// That of the request.
        wanted: String,
    },
    /// More bundle content than one request may hold in memory.
    #[error(
        "the bundles of the request have more than {limit} bytes together, the limit set for a request: add them in several requests"
    )]
    BundlesTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl InputError {
    pub(super) fn means(&self) -> Meaning {
        match self {
            Self::PullSpec { source, .. } => (Class::Reject, for_pull_spec(source)),
            // They say it, or have the reference's text and no other.
            Self::RequiredLabel { .. }
            | Self::RelatedImages(_)
            | Self::RelatedUnread { .. }
            | Self::Arch(_)
            | Self::Scope(_)
            | Self::BinaryImage(_)
            | Self::NoArches
            | Self::MissingArches(_)
            | Self::TokenGone(_)
            | Self::Token(_)
            | Self::NoRegistry { .. }
            | Self::NoTag(_)
            | Self::NotMade(_)
            | Self::NotTheResult { .. }
            | Self::NothingToPutBack { .. }
            | Self::OutputTaken { .. }
            | Self::RegistryAuth(_)
            | Self::Deprecations(_)
            | Self::DeprecationsOfOther { .. }
            | Self::BundlesTooLarge { .. } => (Class::Reject, None),
        }
    }
}

fn for_pull_spec(error: &PullSpecError) -> Option<&'static str> {
    matches!(error, PullSpecError::NoReference(_))
        .then_some("write it as registry/repository:tag or registry/repository@digest")
}

/// A list as the reference prints it, without its brackets.
fn quoted(texts: &[String]) -> String {
    let quoted = texts.iter().take(TOLD).map(|text| format!("'{text}'"));
    let more = texts.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    quoted.chain(more).collect::<Vec<_>>().join(", ")
}

/// How many of a list are told.
const TOLD: usize = 50;
