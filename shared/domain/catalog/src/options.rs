//! Mode and switches of an add.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How new bundles find their place in the upgrade graph (spec index-database §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// By `replaces` and `skips` of the bundles.
    #[default]
    Replaces,
    /// By version.
    Semver,
    /// By version, newest patch of each minor version only.
    SemverSkippatch,
}

/// A mode nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid channel update mode {0} specified")]
pub struct UnknownMode(pub String);

impl Mode {
    /// The name used in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replaces => "replaces",
            Self::Semver => "semver",
            Self::SemverSkippatch => "semver-skippatch",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The reference lowers the case before it looks.
        match text.to_ascii_lowercase().as_str() {
            "replaces" => Ok(Self::Replaces),
            "semver" => Ok(Self::Semver),
            "semver-skippatch" => Ok(Self::SemverSkippatch),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// What happens to a bundle whose name is in the index already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// It is refused.
    #[default]
    Refuse,
    /// It takes the place of the old one, if that is the head of its channels (spec §7).
    Latest,
}

/// Whether `olm.substitutesFor` is honoured (spec §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlphaFeatures {
    /// Honoured; duplicate skips disappear from every added bundle.
    #[default]
    On,
    /// Bundles that carry the annotation are refused.
    Off,
}

/// How to add. The default is what the index image builder uses: replaces mode, no overwriting,
/// alpha features on (spec §16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct AddOptions {
    /// Where bundles go in the graph.
    pub mode: Mode,
    /// What happens to names that are there.
    pub overwrite: Overwrite,
    /// Whether substitutions are honoured.
    pub alpha: AlphaFeatures,
}

#[cfg(test)]
mod tests {
    use super::Mode;

    #[test]
    fn an_unknown_mode_is_named_in_the_message() {
        assert_eq!(
            "bogus".parse::<Mode>().unwrap_err().to_string(),
            "Invalid channel update mode bogus specified"
        );
    }

    #[test]
    fn every_mode_is_read_back_from_its_name() {
        for mode in [Mode::Replaces, Mode::Semver, Mode::SemverSkippatch] {
            assert_eq!(mode.as_str().parse::<Mode>(), Ok(mode));
        }
    }
}
