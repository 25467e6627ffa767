//! A package's graph as it is to be written, whatever mode placed the bundles.

use std::collections::BTreeMap;

/// A package with new bundles in it. It takes the place of all rows the package had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedPackage {
    /// Its default channel, which is one of the channels.
    pub default_channel: String,
    /// Its channels by name.
    pub channels: BTreeMap<String, PlacedChannel>,
}

/// A channel of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedChannel {
    /// Name of the head.
    pub head: String,
    /// Its entries in the order they are written.
    pub entries: Vec<NewEntry>,
    /// Bundles that get one more `olm.package` property, in this order. In replaces mode those of
    /// the chain from the head down, at every add anew; none in the semver modes.
    pub properties_for: Vec<String>,
}

/// An entry to be written. Positions count from the first entry of the same channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The name it stands for.
    pub bundle: String,
    /// Distance from the head, skips counted.
    pub depth: i64,
    /// Position of the entry it replaces.
    pub replaces: Option<usize>,
}

impl NewEntry {
    /// One that replaces nothing yet.
    pub(crate) fn new(bundle: &str, depth: i64) -> Self {
        Self {
            bundle: bundle.to_owned(),
            depth,
            replaces: None,
        }
    }
}
