//! A catalog in outline.

use std::collections::{BTreeMap, BTreeSet};

/// A package in outline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageShape {
    /// Its default channel.
    pub default_channel: Option<String>,
    /// Head of each channel.
    pub channels: BTreeMap<String, Option<String>>,
    /// Names of its bundles.
    pub bundles: BTreeSet<String>,
}

/// A catalog in outline: packages by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogShape {
    /// Packages by name.
    pub packages: BTreeMap<String, PackageShape>,
}
