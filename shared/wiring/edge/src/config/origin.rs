//! Where settings come from, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::variables;

/// The settings cannot be used: every fault of file and environment, each with where it comes from and
/// what to do.
#[derive(Debug, thiserror::Error)]
#[error("these settings cannot be used:\n  {}", .faults.join("\n  "))]
pub struct ConfigError {
    faults: Vec<String>,
}

impl From<Vec<String>> for ConfigError {
    fn from(faults: Vec<String>) -> Self {
        Self { faults }
    }
}

/// What has set a setting, if it does not have its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A settings file, as it was named.
    File(String),
    /// A variable.
    Variable(&'static str),
}

/// Faults as they are found, and the origins by which they are told.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Setting → what set it.
    origins: BTreeMap<&'static str, Origin>,
    /// Settings that were set to what cannot be used, and have their defaults instead.
    unusable: BTreeSet<String>,
    texts: Vec<String>,
}

/// A setting with its origin, in front of what is to be said of it.
struct Told<'a>(&'a str, Option<&'a Origin>);

impl Faults {
    /// Keeps what set a setting; whoever comes last has.
    pub(super) fn note_origin(&mut self, place: &'static str, origin: Origin) {
        self.origins.insert(place, origin);
    }

    /// A fault of a file as a whole.
    pub(super) fn of_file(&mut self, path: &Path, text: impl fmt::Display) {
        self.push(&format!("{}: {text}", path.display()));
    }

    /// A fault of a setting where it comes from there. Its value is not looked at any more.
    pub(super) fn of_setting(&mut self, place: &str, origin: &Origin, text: impl fmt::Display) {
        let told = Told(place, Some(origin));
        self.push(&format!("{told}: {text}"));
        self.unusable.insert(place.to_owned());
    }

    /// A fault of the value that a setting has.
    pub(super) fn of_value(&mut self, place: &str, text: impl fmt::Display) {
        if !self.unusable.contains(place) {
            let told = Told(place, self.origins.get(place));
            self.push(&format!("{told}: {text}"));
        }
    }

    /// Faults have a line each, which can be read and given to others.
    fn push(&mut self, text: &str) {
        let mut line = String::with_capacity(text.len());
        for c in text.chars() {
            match c.is_control() {
                true => line.extend(c.escape_default()),
                false => line.push(c),
            }
        }
        let mut line = without_logins(&line);
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
            line.push('…');
        }
        self.texts.push(line);
    }

    /// A fault of a number that is zero, where zero cannot work.
    pub(super) fn of_zero(&mut self, place: &str, value: impl Into<u64>) {
        if value.into() == 0 {
            self.of_value(place, "must be at least 1");
        }
    }

    /// The settings, unless there are faults.
    pub(super) fn or<T>(self, settings: T) -> Result<T, ConfigError> {
        match self.texts.is_empty() {
            true => Ok(settings),
            false => Err(self.texts.into()),
        }
    }
}

/// Longest fault, characters.
const LONGEST: usize = 500;

/// The same text where `…` stands for what is a user and a password in front of a host. People take them over
/// from addresses of other programs.
fn without_logins(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive([' ', '`', '"', ',']) {
        let begin = part.find("://").map_or(0, |scheme| scheme + "://".len());
        let login = part[begin..].rfind('@').map(|at| begin + at);
        match login {
            Some(at) if part[begin..at].contains(':') && !part[at..].starts_with("@sha256:") => {
                shown.push_str(&part[..begin]);
                shown.push('…');
                shown.push_str(&part[at..]);
            }
            _ => shown.push_str(part),
        }
    }
    shown
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(place, origin) = self;
        match (origin, variables::at(place)) {
            (Some(Origin::File(file)), _) => write!(f, "{file}: {place}"),
            (Some(Origin::Variable(name)), _) => write!(f, "{name} ({place})"),
            (None, Some(variable)) => write!(f, "{place} ({})", variable.name),
            (None, None) => f.write_str(place),
        }
    }
}
