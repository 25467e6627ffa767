//! What differs between two catalogs (`iib catalog diff`, the summary of every change of an index).
//!
//! Ours: the reference has given its diff up. Everything a catalog says is compared, by what it
//! means: how it is written (form, files, order of members, white space, how a number is spelled)
//! and the order of lists that have none (entries, skips, properties, related images) play no part.

mod compare;
mod show;
#[cfg(test)]
mod tests;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blob::Catalog;

pub use compare::package_changes;

/// One difference between two catalogs; `Display` is a line for people.
///
/// Where both sides are there, `before` and `after` are what was and what is; `None` on one side
/// means that it was not there, or is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum CatalogChange {
    /// A package that was not there.
    PackageAdded {
        /// Its name.
        package: String,
    },
    /// A package that is gone.
    PackageRemoved {
        /// Its name.
        package: String,
    },
    /// Another default channel.
    DefaultChannel {
        /// The package.
        package: String,
        /// Before.
        before: Option<String>,
        /// After.
        after: Option<String>,
    },
    /// Another description of a package.
    PackageDescription {
        /// The package.
        package: String,
        /// Before.
        before: Option<String>,
        /// After.
        after: Option<String>,
    },
    /// Another icon of a package.
    PackageIcon {
        /// The package.
        package: String,
        /// Before.
        before: Option<IconMark>,
        /// After.
        after: Option<IconMark>,
    },
    /// A property of a package.
    PackageProperty {
        /// The package.
        package: String,
        /// The property's type.
        #[serde(rename = "type")]
        kind: String,
        /// Its value before.
        before: Option<Value>,
        /// Its value after.
        after: Option<Value>,
    },
    /// A channel that was not there.
    ChannelAdded {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// Its head; `None` if its graph has none, or several.
        head: Option<String>,
        /// Its entries by name.
        entries: BTreeMap<String, EntryLinks>,
    },
    /// A channel that is gone.
    ChannelRemoved {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The head it had.
        head: Option<String>,
        /// The entries it had, by name.
        entries: BTreeMap<String, EntryLinks>,
    },
    /// Another head. What older versions of this program noted says so of new channels
    /// and of those that were gone, too.
    ChannelHead {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// Before; `None` if its graph had none, or several.
        before: Option<String>,
        /// After.
        after: Option<String>,
    },
    /// An entry of a channel.
    ChannelEntry {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The bundle the entry stands for.
        entry: String,
        /// What it said before.
        before: Option<EntryLinks>,
        /// What it says after.
        after: Option<EntryLinks>,
    },
    /// A property of a channel.
    ChannelProperty {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The property's type.
        #[serde(rename = "type")]
        kind: String,
        /// Its value before.
        before: Option<Value>,
        /// Its value after.
        after: Option<Value>,
    },
    /// A bundle that was not there.
    BundleAdded {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// Its image; empty where an older version of this program noted the change.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        image: String,
    },
    /// A bundle that is gone from the package.
    BundleRemoved {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// The image it had.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        image: String,
    },
    /// Another image of a bundle.
    BundleImage {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// Before.
        before: String,
        /// After.
        after: String,
    },
    /// A property of a bundle that is none of its objects.
    BundleProperty {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// The property's type.
        #[serde(rename = "type")]
        kind: String,
        /// Its value before.
        before: Option<Value>,
        /// Its value after.
        after: Option<Value>,
    },
    /// An image that a bundle uses.
    RelatedImage {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// What the bundle calls the image; may be empty.
        name: String,
        /// The image before.
        before: Option<String>,
        /// The image after.
        after: Option<String>,
    },
    /// An object of a bundle (`olm.bundle.object`).
    BundleObject {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
        /// The object's kind; empty if it has none.
        kind: String,
        /// The object's name; empty if it has none.
        name: String,
        /// Before.
        before: Option<ObjectMark>,
        /// After.
        after: Option<ObjectMark>,
        /// Where the two differ, as paths into the object; not all of them if they are many.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<String>,
    },
    /// A word of `olm.deprecations` on a package, a channel or a bundle.
    Deprecation {
        /// The package.
        package: String,
        /// What is deprecated: `olm.package`, `olm.channel` or `olm.bundle`.
        schema: String,
        /// Its name; empty for the package.
        name: String,
        /// The message before.
        before: Option<String>,
        /// The message after.
        after: Option<String>,
    },
    /// An object of another schema.
    Object {
        /// The package; empty for none.
        package: String,
        /// The object's schema.
        schema: String,
        /// Its name; empty for none.
        name: String,
        /// All of it before.
        before: Option<Value>,
        /// All of it after.
        after: Option<Value>,
    },
}

/// Most paths that are told of one object.
pub const MAX_PATHS: usize = 20;

/// What an entry of a channel says of others.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(default)]
pub struct EntryLinks {
    /// The bundle it replaces; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replaces: String,
    /// The bundles it skips.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub skips: BTreeSet<String>,
    /// The versions it skips; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub skip_range: String,
}

/// An icon, told by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IconMark {
    /// Its media type.
    pub mediatype: String,
    /// Its size in bytes.
    pub size: usize,
    /// SHA-256 of its bytes.
    pub digest: String,
}

/// An object, told by size and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectMark {
    /// The size of its text in bytes.
    pub size: usize,
    /// SHA-256 of its text.
    pub digest: String,
}

impl CatalogChange {
    /// The bundle whose contents it is in.
    fn bundle(&self) -> Option<&str> {
        match self {
            Self::BundleAdded { bundle, .. }
            | Self::BundleRemoved { bundle, .. }
            | Self::BundleImage { bundle, .. }
            | Self::BundleProperty { bundle, .. }
            | Self::RelatedImage { bundle, .. }
            | Self::BundleObject { bundle, .. } => Some(bundle),
            _ => None,
        }
    }

    /// The package it is in; empty for objects without one.
    pub fn package(&self) -> &str {
        match self {
            Self::PackageAdded { package }
            | Self::PackageRemoved { package }
            | Self::DefaultChannel { package, .. }
            | Self::PackageDescription { package, .. }
            | Self::PackageIcon { package, .. }
            | Self::PackageProperty { package, .. }
            | Self::ChannelAdded { package, .. }
            | Self::ChannelRemoved { package, .. }
            | Self::ChannelHead { package, .. }
            | Self::ChannelEntry { package, .. }
            | Self::ChannelProperty { package, .. }
            | Self::BundleAdded { package, .. }
            | Self::BundleRemoved { package, .. }
            | Self::BundleImage { package, .. }
            | Self::BundleProperty { package, .. }
            | Self::RelatedImage { package, .. }
            | Self::BundleObject { package, .. }
            | Self::Deprecation { package, .. }
            | Self::Object { package, .. } => package,
        }
    }
}

/// What differs between two catalogs: by package, in it first the package, then channels, bundles,
/// deprecations and other objects, each by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct CatalogDiff {
    /// The differences in order.
    pub changes: Vec<CatalogChange>,
}

impl CatalogDiff {
    /// Compares catalogs that are there by package, as [`Catalog::by_package`] gives them.
    pub fn between(before: &BTreeMap<String, Catalog>, after: &BTreeMap<String, Catalog>) -> Self {
        let nothing = Catalog::default();
        let names = before.keys().chain(after.keys());
        // Objects without a package come last, as in a catalog that is printed.
        let names: BTreeSet<(bool, &String)> = names.map(|name| (name.is_empty(), name)).collect();
        let changes = names.into_iter().flat_map(|(_, name)| {
            let before = before.get(name).unwrap_or(&nothing);
            package_changes(name, before, after.get(name).unwrap_or(&nothing))
        });
        Self {
            changes: changes.collect(),
        }
    }

    /// Notes a property that a changed bundle got after the comparison was made. With a new bundle
    /// it is not told, as nothing is that comes with one. `text` is the value as JSON.
    pub fn note_property(&mut self, name: &str, kind: &str, text: &str) {
        let value = value::value(text);
        let mut is_told = false;
        self.changes.retain_mut(|change| match change {
            CatalogChange::BundleAdded { bundle, .. } if bundle == name => {
                is_told = true;
                true
            }
            // It went with what the bundle was before: now it is there again, or another.
            CatalogChange::BundleProperty {
                bundle,
                kind: found,
                before,
                after,
                ..
            } if bundle == name && found == kind && after.is_none() => {
                is_told = true;
                *after = Some(value.clone());
                before != after
            }
            _ => true,
        });
        let mut changes = self.changes.iter();
        let last = changes.rposition(|change| change.bundle() == Some(name));
        let (false, Some(at)) = (is_told, last) else {
            return;
        };
        let package = self.changes.get(at).map(CatalogChange::package);
        let noted = CatalogChange::BundleProperty {
            package: package.unwrap_or_default().to_owned(),
            bundle: name.to_owned(),
            kind: kind.to_owned(),
            before: None,
            after: Some(value),
        };
        self.changes.insert(at + 1, noted);
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// A heading for each package, its changes below it, a line each.
impl fmt::Display for CatalogDiff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for change in &self.changes {
            show::line(change, &mut last, out)?;
        }
        Ok(())
    }
}
