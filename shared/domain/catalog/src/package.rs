//! The stored rows of one package, as values.

use std::collections::{BTreeMap, BTreeSet};

/// A row of `channel`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelRow {
    /// The head; `None` while it is being overwritten.
    pub head: Option<String>,
}

/// A row of `channel_entry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, unique in the index.
    pub id: i64,
    /// The channel it belongs to.
    pub channel: String,
    /// The bundle it stands for; a bundle of that name need not exist.
    pub bundle: String,
    /// The entry it replaces.
    pub replaces: Option<i64>,
    /// Distance from the head, skips counted.
    pub depth: i64,
}

/// What the index holds of a bundle, without its contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresentRow {
    /// Version as stored; empty for none.
    pub version: String,
    /// Image reference as stored; `None` for null, which differs from empty in §5.2.
    pub image: Option<String>,
}

/// The rows of one package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageRows {
    /// Its name.
    pub name: String,
    /// Whether `package` has a row for it, and the default channel there.
    pub default_channel: Option<String>,
    /// Rows of `channel`, by name.
    pub channels: BTreeMap<String, ChannelRow>,
    /// Rows of `channel_entry`, by number.
    pub entries: Vec<Entry>,
    /// Bundles that exist among the names of the entries.
    pub present: BTreeMap<String, PresentRow>,
}

impl PackageRows {
    /// Channels a name has entries in.
    pub fn channels_of<'a>(&'a self, bundle: &str) -> BTreeSet<&'a str> {
        self.entries
            .iter()
            .filter(|entry| entry.bundle == bundle)
            .map(|entry| entry.channel.as_str())
            .collect()
    }

    /// The same of all names at once.
    pub(crate) fn channels_by_bundle(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut channels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in &self.entries {
            let of_bundle = channels.entry(&entry.bundle).or_default();
            of_bundle.insert(&entry.channel);
        }
        channels
    }

    /// What each entry stands for, by its number.
    pub(crate) fn names(&self) -> BTreeMap<i64, &str> {
        let entries = self.entries.iter();
        entries
            .map(|entry| (entry.id, entry.bundle.as_str()))
            .collect()
    }

    /// An existing bundle with an edge to `bundle` in `channel`, if there is one: the one whose
    /// entry comes first.
    pub fn replacer_of<'a>(&'a self, bundle: &str, channel: &str) -> Option<&'a str> {
        let targets: BTreeSet<i64> = self
            .entries
            .iter()
            .filter(|entry| entry.bundle == bundle && entry.channel == channel)
            .map(|entry| entry.id)
            .collect();
        self.entries
            .iter()
            .find(|entry| {
                entry
                    .replaces
                    .is_some_and(|target| targets.contains(&target))
                    && self.present.contains_key(&entry.bundle)
            })
            .map(|entry| entry.bundle.as_str())
    }
}
