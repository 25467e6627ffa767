//! Versions as catalogs use them (spec index-database §1): semver 2.0.0, strictly three numbers.

use std::cmp::Ordering;
use std::fmt;

/// One dot-separated part of a prerelease or of build metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// Compared by value, below every word.
    Number(u64),
    /// Compared bytewise.
    Word(String),
}

impl fmt::Display for Identifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Word(word) => out.write_str(word),
        }
    }
}

/// A version: three numbers, a prerelease and build metadata.
///
/// It has no `Ord` on purpose: there are two orders, [`Version::plain_cmp`] and
/// [`Version::build_cmp`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    /// What follows `-`; empty when there is none.
    pub pre: Vec<Identifier>,
    /// What follows `+`, as written; empty when there is none.
    pub build: Vec<String>,
}

/// Why a text is no version. The words are those of the reference's version library, since they
/// become part of the reason of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Nothing was given.
    #[error("Version string empty")]
    Empty,
    /// Fewer than three parts.
    #[error("No Major.Minor.Patch elements found")]
    Parts,
    /// A character that is no digit.
    #[error("Invalid character(s) found in {place} number {text:?}")]
    NumberCharacters {
        /// `major`, `minor` or `patch`.
        place: &'static str,
        /// The part as written.
        text: String,
    },
    /// `01` and the like.
    #[error("{place} number must not contain leading zeroes {text:?}")]
    LeadingZeroes {
        /// `Major`, `Minor` or `Patch`.
        place: &'static str,
        /// The part as written.
        text: String,
    },
    /// A number with no digits at all.
    #[error("strconv.ParseUint: parsing {text:?}: invalid syntax")]
    NumberEmpty {
        /// The part as written.
        text: String,
    },
    /// More than 64 bits.
    #[error("strconv.ParseUint: parsing {text:?}: value out of range")]
    NumberTooLarge {
        /// The part as written.
        text: String,
    },
    /// An empty prerelease identifier.
    #[error("Prerelease is empty")]
    PrereleaseEmpty,
    /// `-01`.
    #[error("Numeric PreRelease version must not contain leading zeroes {text:?}")]
    PrereleaseLeadingZeroes {
        /// The identifier as written.
        text: String,
    },
    /// A character outside letters, digits and `-`.
    #[error("Invalid character(s) found in prerelease {text:?}")]
    PrereleaseCharacters {
        /// The identifier as written.
        text: String,
    },
    /// An empty build identifier.
    #[error("Build meta data is empty")]
    BuildEmpty,
    /// A character outside letters, digits and `-`.
    #[error("Invalid character(s) found in build meta data {text:?}")]
    BuildCharacters {
        /// The identifier as written.
        text: String,
    },
}

impl Version {
    /// Reads a version.
    ///
    /// # Errors
    /// The first fault, in the order the reference looks for them.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(VersionError::Parts);
        };
        let major = number(major, "major", "Major")?;
        let minor = number(minor, "minor", "Minor")?;
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (patch, pre) = match rest.split_once('-') {
            Some((patch, pre)) => (patch, Some(pre)),
            None => (rest, None),
        };
        let patch = number(patch, "patch", "Patch")?;
        let pre = match pre {
            Some(pre) => pre.split('.').map(identifier).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let build = match build {
            Some(build) => build.split('.').map(build_part).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            major,
            minor,
            patch,
            pre,
            build,
        })
    }

    /// Plain order: build metadata plays no part.
    pub fn plain_cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.pre.cmp(&other.pre),
            })
    }

    /// Checks a release (newest-opm §6): parts between dots as of a prerelease.
    ///
    /// # Errors
    /// The place of the first part that is none, from 0, and why.
    pub fn check_release(text: &str) -> Result<(), (usize, VersionError)> {
        let mut parts = text.split('.').enumerate();
        parts.try_for_each(|(at, part)| match identifier(part) {
            Ok(_) => Ok(()),
            Err(fault) => Err((at, fault)),
        })
    }

    /// Build order: plain order, then the version without build metadata first, then build
    /// identifiers compared like those of a prerelease (spec §1).
    ///
    /// # Errors
    /// The reference reads build identifiers as prerelease identifiers only here, so `+01` is
    /// refused when two versions differ in nothing else.
    pub fn build_cmp(&self, other: &Self) -> Result<Ordering, VersionError> {
        let plain = self.plain_cmp(other);
        if plain != Ordering::Equal {
            return Ok(plain);
        }
        if self.build.is_empty() || other.build.is_empty() {
            return Ok(self.build.len().min(1).cmp(&other.build.len().min(1)));
        }
        let ours = self
            .build
            .iter()
            .map(|part| identifier(part))
            .collect::<Result<Vec<_>, _>>()?;
        let theirs = other
            .build
            .iter()
            .map(|part| identifier(part))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(ours.cmp(&theirs))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)?;
        for (at, part) in self.pre.iter().enumerate() {
            write!(out, "{}{part}", if at == 0 { '-' } else { '.' })?;
        }
        for (at, part) in self.build.iter().enumerate() {
            write!(out, "{}{part}", if at == 0 { '+' } else { '.' })?;
        }
        Ok(())
    }
}

fn digits_only(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn word_only(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn to_u64(text: &str) -> Result<u64, VersionError> {
    if text.is_empty() {
        return Err(VersionError::NumberEmpty {
            text: text.to_owned(),
        });
    }
    text.parse().map_err(|_| VersionError::NumberTooLarge {
        text: text.to_owned(),
    })
}

fn number(text: &str, low: &'static str, high: &'static str) -> Result<u64, VersionError> {
    if !digits_only(text) {
        return Err(VersionError::NumberCharacters {
            place: low,
            text: text.to_owned(),
        });
    }
    if leading_zero(text) {
        return Err(VersionError::LeadingZeroes {
            place: high,
            text: text.to_owned(),
        });
    }
    to_u64(text)
}

fn identifier(text: &str) -> Result<Identifier, VersionError> {
    if text.is_empty() {
        Err(VersionError::PrereleaseEmpty)
    } else if digits_only(text) {
        if leading_zero(text) {
            return Err(VersionError::PrereleaseLeadingZeroes {
                text: text.to_owned(),
            });
        }
        to_u64(text).map(Identifier::Number)
    } else if word_only(text) {
        Ok(Identifier::Word(text.to_owned()))
    } else {
        Err(VersionError::PrereleaseCharacters {
            text: text.to_owned(),
        })
    }
}

fn build_part(text: &str) -> Result<String, VersionError> {
    if text.is_empty() {
        Err(VersionError::BuildEmpty)
    } else if word_only(text) {
        Ok(text.to_owned())
    } else {
        Err(VersionError::BuildCharacters {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
