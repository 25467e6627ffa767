//! Where a login was looked for.

use std::fmt;

use iib_oci::Repository;
use serde::Serialize;

use super::lookup::keys;

/// Where a login for a repository was looked for, in order, and what was there. It holds nothing
/// secret. `Display` is a sentence for the reason of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoginSearch {
    /// The keys of entries that cover the repository, the most specific first.
    pub keys: Vec<String>,
    /// The places in the order they are looked at; the last one with a login, if any, decides.
    pub places: Vec<Place>,
}

/// A file, or another place for logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its path or name.
    pub place: String,
    /// What was there.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was found at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "found")]
#[non_exhaustive]
pub enum Outcome {
    /// There is no such file.
    Missing,
    /// Nothing for the repository.
    NoEntry,
    /// An entry with a login.
    Entry {
        /// Its key.
        key: String,
        /// What the login is, such as "user `ann` with a password".
        form: String,
    },
    /// A credential helper that gave a login.
    Helper {
        /// Its name without `docker-credential-`.
        helper: String,
        /// What the login is.
        form: String,
    },
    /// A credential helper that has nothing for the registry.
    HelperHasNone {
        /// Its name.
        helper: String,
    },
    /// A login that the service made by itself.
    Made,
}

impl Outcome {
    /// Whether there was a login.
    pub fn is_login(&self) -> bool {
        match self {
            Self::Missing | Self::NoEntry | Self::HelperHasNone { .. } => false,
            Self::Entry { .. } | Self::Helper { .. } | Self::Made => true,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there"),
            Self::NoEntry => f.write_str("has no entry for it"),
            Self::Entry { key, form } => write!(f, "has {form} in the entry `{key}`"),
            Self::Helper { helper, form } => {
                write!(f, "names docker-credential-{helper}, which gave {form}")
            }
            Self::HelperHasNone { helper } => {
                write!(
                    f,
                    "names docker-credential-{helper}, which has nothing for it"
                )
            }
            Self::Made => f.write_str("gave a login"),
        }
    }
}

impl Place {
    pub(super) fn new(place: impl fmt::Display, outcome: Outcome) -> Self {
        Self {
            place: place.to_string(),
            outcome,
        }
    }
}

impl LoginSearch {
    pub(super) fn new(repository: &Repository, places: Vec<Place>) -> Self {
        Self {
            keys: keys(repository),
            places,
        }
    }

    /// The place whose login is used.
    pub fn used(&self) -> Option<&Place> {
        self.places.iter().find(|place| place.outcome.is_login())
    }
}

impl fmt::Display for LoginSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(used) = self.used() {
            let place = &used.place;
            return match &used.outcome {
                Outcome::Entry { key, .. } => write!(
                    f,
                    "the login in the entry `{key}` of {place} was shown; check that it is still good and has the rights"
                ),
                _ => write!(
                    f,
                    "the login that {place} gave was shown; check that it is still good and has the rights"
                ),
            };
        }
        let list = |missing| {
            let places = self.places.iter();
            let those = places.filter(|place| (place.outcome == Outcome::Missing) == missing);
            those
                .map(|place| place.place.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (there, missing) = (list(false), list(true));
        match (there.is_empty(), missing.is_empty()) {
            (true, true) => f.write_str("no login was shown: the service has no auth file")?,
            (true, false) => write!(
                f,
                "no login was shown: there is no auth file, none of {missing} is there"
            )?,
            (false, _) => write!(f, "no login was shown: there is none for it in {there}")?,
        }
        f.write_str("; log in with podman or docker where the service runs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_the_login_or_where_it_was_looked_for() {
        let repository = Repository::new("r.example", "team/app").unwrap();
        let entry = Outcome::Entry {
            key: "r.example".to_owned(),
            form: "user `ann` with a password".to_owned(),
        };
        for (places, parts) in [
            (vec![], vec!["no auth file"]),
            (
                vec![("/a", Outcome::Missing), ("/b", Outcome::Missing)],
                vec!["no auth file", "/a, /b"],
            ),
            (
                vec![("/a", Outcome::Missing), ("/b", Outcome::NoEntry)],
                vec!["none for it in /b"],
            ),
            (
                vec![("/a", Outcome::NoEntry), ("/b", entry)],
                vec!["`r.example` of /b was shown"],
            ),
        ] {
            let places = places
                .into_iter()
                .map(|(path, found)| Place::new(path, found));
            let text = LoginSearch::new(&repository, places.collect()).to_string();
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn the_keys_are_told_the_most_specific_first() {
        let repository = Repository::new("r.example:5000", "team/app").unwrap();
        let search = LoginSearch::new(&repository, Vec::new());
        assert_eq!(
            search.keys,
            [
                "r.example:5000/team/app",
                "r.example:5000/team",
                "r.example:5000"
            ]
        );
    }
}
