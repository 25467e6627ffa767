//! Versions of the platform that an index is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version of the platform, such as `v4.17`. What is behind the second number plays no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PlatformVersion {
    major: u32,
    minor: u32,
}

/// A text that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of OpenShift: write it like v4.17")]
pub struct NoPlatformVersion(String);

impl PlatformVersion {
    /// The version of these numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether an index with this label is for it or a later one. A label that is no version counts as the
    /// latest.
    pub fn is_reached_by(self, label: &str) -> bool {
        label.parse().map_or(true, |version: Self| version >= self)
    }
}

impl FromStr for PlatformVersion {
    type Err = NoPlatformVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || numbers.next()?.parse().ok();
        match (number(), number()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(NoPlatformVersion(text.to_owned())),
        }
    }
}

impl TryFrom<String> for PlatformVersion {
    type Error = NoPlatformVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PlatformVersion> for String {
    fn from(version: PlatformVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for PlatformVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "v{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::PlatformVersion;

    #[test]
    fn labels_reach_a_version_or_do_not() {
        let from = PlatformVersion::new(4, 16);
        for (label, is_reached) in [
            ("v4.5", false),
            ("v4.15", false),
            ("4.15.7", false),
            ("v4.16", true),
            ("4.16", true),
            ("v4.16.3", true),
            ("v5.0", true),
            ("latest", true),
            ("", true),
        ] {
            assert_eq!(from.is_reached_by(label), is_reached, "{label}");
        }
    }

    #[test]
    fn a_version_is_a_text_of_two_numbers() {
        let version: PlatformVersion = "4.17".parse().unwrap();
        assert_eq!(version.to_string(), "v4.17");
        for text in [
            "",
            "latest",
            "v4",
            "vv4.17",
            "4.x",
            "v4.99999999999",
            "v4.-1",
        ] {
            text.parse::<PlatformVersion>().unwrap_err();
        }
    }
}
