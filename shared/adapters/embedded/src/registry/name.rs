//! Names in paths: they come from anybody, and some become file names.

use std::fmt;
use std::str::FromStr;

use iib_oci::{Digest, is_tag};

use super::fault::Fault;

/// The longest name distribution takes.
const NAME_LIMIT: usize = 255;

/// A repository on this registry: `team/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.len() > NAME_LIMIT || !text.split('/').all(is_component) {
            return Err(Fault::NameInvalid(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Lower-case words with `.`, `_`, `__` or any number of `-` between them (the grammar of the
/// distribution specification).
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends.iter().all(|end| end.is_some_and(|b| is_word(*b)))
        && separators
            .filter(|separator| !separator.is_empty())
            .all(|it| matches!(it, "." | "_" | "__") || it.bytes().all(|b| b == b'-'))
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManifestName {
    Tag(String),
    Digest(Digest),
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for ManifestName {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.contains(':') {
            return parse_digest(text).map(Self::Digest);
        }
        if !is_tag(text) {
            return Err(Fault::TagInvalid(text.to_owned()));
        }
        Ok(Self::Tag(text.to_owned()))
    }
}

pub(super) fn parse_digest(text: &str) -> Result<Digest, Fault> {
    text.parse().map_err(|source| Fault::DigestInvalid {
        text: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_and_cannot_leave_a_folder() {
        for text in ["a", "a/b/c", "a.b_c__d-e--f/0", &"a".repeat(255)] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "../a",
            "A",
            "a_/b",
            "-a",
            "a..b",
            "a___b",
            "a._b",
            "a\\b",
            "a\0b",
            "a b",
            "ä",
            "_a",
            &"a".repeat(256),
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_manifest_is_asked_for_by_tag_or_digest() {
        let hex = "0".repeat(64);
        for text in ["latest", "V1.0_x-y", &format!("sha256:{hex}")] {
            assert!(text.parse::<ManifestName>().is_ok(), "{text}");
        }
        for text in ["", "..", "a/b", "sha256:00", "md5:00"] {
            assert!(text.parse::<ManifestName>().is_err(), "{text}");
        }
    }
}
