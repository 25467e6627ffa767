//! Why the API refuses a call.

use iib_oci::{ArchError, TAG_GRAMMAR};

/// A call that is refused, in the words of the reference where it has any (spec rest-api §2, §4,
/// §7). Nothing of a refused call is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An image without tag and digest (§4.1).
    #[error("Image {0} should have a tag or a digest specified.")]
    Image(String),
    /// Names that the endpoint does not know, sorted (§4.2).
    #[error("The following parameters are invalid: {}", .0.join(", "))]
    UnknownParameters(Vec<String>),
    /// A list parameter that is none, or holds something else than texts (§4.4).
    #[error("\"{0}\" should be either an empty array or an array of non-empty strings")]
    NotStrings(&'static str),
    /// Neither bundles nor an index (§4.4).
    #[error("\"from_index\" must be specified if no bundles are specified")]
    NothingToBuild,
    /// There are no bundles whose related images could be checked (§4.4).
    #[error("\"check_related_images\" must be specified only when bundles are specified")]
    NothingToCheck,
    /// A parameter of the endpoint that must be a text (§4.3, §4.4).
    #[error("\"{0}\" must be a string")]
    NotString(&'static str),
    /// A parameter of the endpoint that must be true or false (§4.4).
    #[error("\"{0}\" must be a boolean")]
    NotBoolean(&'static str),
    /// A shared parameter that must be a text (§4.3).
    #[error("The \"{0}\" parameter must be a string")]
    ParameterNotString(&'static str),
    /// A shared parameter that must be true or false (§4.3, §4.4).
    #[error("The \"{0}\" parameter must be a boolean")]
    ParameterNotBoolean(&'static str),
    /// No such way to update the graph; holds the ways there are (§4.12).
    #[error("\"graph_update_mode\" must be set to one of these: {}", quoted(.0))]
    GraphMode(Vec<String>),
    /// The index may not be changed with a graph update mode; holds those that may (§4.12).
    #[error("\"graph_update_mode\" can only be used on the following index image: {}", quoted(.0))]
    GraphModeIndex(Vec<String>),
    /// Nothing says what to build for (§4.3).
    #[error("One of \"from_index\" or \"add_arches\" must be specified")]
    NoArchitectures,
    /// A token for an overwrite that was not asked for (§4.3).
    #[error(
        "The \"overwrite_from_index\" parameter is required when the \"overwrite_from_index_token\" parameter is used"
    )]
    TokenWithoutOverwrite,
    /// A known user may overwrite with a token only (§2).
    #[error("You must set \"overwrite_from_index_token\" to use \"overwrite_from_index\"")]
    OverwriteWithoutToken,
    /// No such scope (§4.3).
    #[error("The \"distribution_scope\" value must be one of \"dev\", \"stage\", or \"prod\"")]
    Scope,
    /// Not a list of texts (§4.3).
    #[error("Architectures should be specified as a non-empty array of strings")]
    Architectures,
    /// A text that no architecture has for a name. The reference finds out when it builds.
    #[error("\"add_arches\" cannot be used: {0}")]
    Architecture(ArchError),
    /// The binary image is no text (§4.3).
    #[error("The \"binary_image\" value must be a string")]
    BinaryImage,
    /// No binary image, neither in the call nor in the settings (§4.3).
    #[error("The \"binary_image\" value must be a non-empty string")]
    NoBinaryImage,
    /// A text no registry takes for a tag. The reference finds out when it pushes.
    #[error("\"build_tags\" cannot hold `{0}`: {grammar}", grammar = TAG_GRAMMAR)]
    Tag(String),
    /// A tag that another request's result has, or will have. The reference takes it, and one result
    /// replaces another.
    #[error(
        "\"build_tags\" cannot hold `{0}`: digits alone, or digits with an architecture, are the tags of requests; put a letter in front, such as `v{0}`"
    )]
    RequestTag(String),
    /// More bundles than fit into a stage's time. The reference has no such limit.
    #[error(
        "\"bundles\" has {given} entries, at most {limit} are taken at once: split the request into several"
    )]
    TooManyBundles {
        /// How many there are, repeats dropped.
        given: usize,
        /// How many there may be.
        limit: u32,
    },
    /// There is no such page (§7).
    #[error("The requested resource was not found")]
    NoSuchPage,
    /// A filter of the reference that this version does not have. To pass over it would show
    /// requests that were not asked for.
    #[error("The filter \"{0}\" is not supported by this version: leave it out")]
    Filter(&'static str),
}

impl Refusal {
    /// The status code of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::GraphModeIndex(_) | Self::OverwriteWithoutToken => 403,
            Self::NoSuchPage => 404,
            Self::Image(_)
            | Self::UnknownParameters(_)
            | Self::NotStrings(_)
            | Self::NothingToBuild
            | Self::NothingToCheck
            | Self::NotString(_)
            | Self::NotBoolean(_)
            | Self::ParameterNotString(_)
            | Self::ParameterNotBoolean(_)
            | Self::GraphMode(_)
            | Self::NoArchitectures
            | Self::TokenWithoutOverwrite
            | Self::Scope
            | Self::Architectures
            | Self::Architecture(_)
            | Self::BinaryImage
            | Self::NoBinaryImage
            | Self::Tag(_)
            | Self::RequestTag(_)
            | Self::TooManyBundles { .. }
            | Self::Filter(_) => 400,
        }
    }
}

/// A list as the reference prints it: `['a', 'b']`.
fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
    format!("[{}]", quoted.join(", "))
}
