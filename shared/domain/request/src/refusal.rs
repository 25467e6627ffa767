//! Why the API refuses a call.

use std::fmt;

use iib_oci::hosts::HostRefusal;

/// A call that is refused, in the words of the reference where it has any (spec rest-api §2, §4,
/// §7). Nothing of a refused call is stored.
///
/// The text stands where the rule is applied; the rule says which kind of answer it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    rule: Rule,
    field: Option<&'static str>,
    text: String,
}

/// The kinds of refusals: each has a status, and a page that says more about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// An image without tag and digest (§4.1).
    Image,
    /// A parameter the endpoint does not know, or does not take (§4.2).
    UnknownParameter,
    /// A parameter that has to be there (§4.2, §4.3).
    Missing,
    /// A value of another type than the parameter has.
    Type,
    /// A value that is none of those there are.
    Choice,
    /// A parameter that is only taken beside another one.
    Needs,
    /// A text no registry takes for a tag, or a tag that belongs to another request.
    Tag,
    /// More than is taken at once.
    TooMany,
    /// An image at a host that this service does not speak to. Ours.
    Host,
    /// What the settings do not allow for this index (§4.12).
    NotAllowed,
    /// A known user may overwrite with a token only (§2).
    TokenNeeded,
    /// A request that has ended stays in its state (§6, §8).
    FinalState,
    /// There is nothing that could be put back. Ours.
    NothingOverwritten,
    /// There is no such page (§7).
    NoSuchPage,
}

impl Rule {
    /// The status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::NotAllowed | Self::TokenNeeded => 403,
            Self::NoSuchPage => 404,
            Self::Image
            | Self::UnknownParameter
            | Self::Missing
            | Self::Type
            | Self::Choice
            | Self::Needs
            | Self::Tag
            | Self::TooMany
            | Self::Host
            | Self::NothingOverwritten
            | Self::FinalState => 400,
        }
    }
}

impl Refusal {
    /// A refusal by this rule, for the value of this parameter, in these words.
    pub(crate) fn new(
        rule: Rule,
        field: impl Into<Option<&'static str>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            field: field.into(),
            text: text.into(),
        }
    }

    /// Which rule it was.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The parameter it is about, where it is about one.
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// The status code of the answer.
    pub fn status(&self) -> u16 {
        self.rule.status()
    }

    /// A parameter of an endpoint that must be a text (§4.3, §4.4).
    pub(crate) fn not_a_string(field: &'static str) -> Self {
        Self::new(Rule::Type, field, format!("\"{field}\" must be a string"))
    }

    /// A list parameter that is none, or holds something else than texts (§4.4).
    pub(crate) fn not_strings(field: &'static str) -> Self {
        let text =
            format!("\"{field}\" should be either an empty array or an array of non-empty strings");
        Self::new(Rule::Type, field, text)
    }

    /// A shared parameter of another type than it has: `a string`, `a boolean` (§4.3).
    pub(crate) fn parameter_is_not(field: &'static str, wanted: &str) -> Self {
        let text = format!("The \"{field}\" parameter must be {wanted}");
        Self::new(Rule::Type, field, text)
    }

    /// A parameter of another type than it has: `a string`, `a boolean` (§4.9).
    pub(crate) fn value_is_not(field: &'static str, wanted: &str) -> Self {
        let text = format!("The \"{field}\" value must be {wanted}");
        Self::new(Rule::Type, field, text)
    }

    /// A parameter that has to be an object (§4.6, §4.8, §4.10).
    pub(crate) fn not_an_object(field: &'static str) -> Self {
        let text = format!("The value of \"{field}\" must be a JSON object");
        Self::new(Rule::Type, field, text)
    }

    /// The same refusal for the build request of a batch with this index; one that is about rights says
    /// it of the whole call (§4.8).
    pub(crate) fn in_batch(self, index: usize) -> Self {
        if self.status() != 400 {
            return self;
        }
        let text = self.text.strip_suffix('.').unwrap_or(&self.text);
        let text = format!("{text}. This occurred on the build request in index {index}.");
        Self { text, ..self }
    }

    /// An image at a host that this service does not speak to.
    pub(crate) fn host(field: &'static str, image: &str, refused: &HostRefusal) -> Self {
        let text = format!("\"{field}\" has the image {image}, but {refused}");
        Self::new(Rule::Host, field, text)
    }

    /// There is no such page (§7).
    pub(crate) fn no_such_page() -> Self {
        let text = "The requested resource was not found";
        Self::new(Rule::NoSuchPage, "page", text)
    }
}

/// A list as the reference prints it: `['a', 'b']`.
pub(crate) struct Quoted<'a>(pub(crate) &'a [String]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().map(|text| format!("'{text}'")).collect();
        write!(f, "[{}]", quoted.join(", "))
    }
}
