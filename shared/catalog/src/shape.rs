//! A catalog in outline, and what differs between two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A package in outline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackageShape {
    /// Its default channel.
    pub default_channel: Option<String>,
    /// Head of each channel.
    pub channels: BTreeMap<String, Option<String>>,
    /// Names of its bundles.
    pub bundles: BTreeSet<String>,
}

/// A catalog in outline: packages by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatalogShape {
    /// Packages by name.
    pub packages: BTreeMap<String, PackageShape>,
}

/// One difference between two catalogs; `Display` is a line for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Another head, a new channel or one that is gone.
    ChannelHead {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// Before; `None` for a channel that was not there.
        before: Option<String>,
        /// After; `None` for a channel that is gone.
        after: Option<String>,
    },
    /// A bundle that was not there.
    BundleAdded {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
    },
    /// A bundle that is gone from the package.
    BundleRemoved {
        /// The package.
        package: String,
        /// The bundle.
        bundle: String,
    },
}

impl fmt::Display for CatalogChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Self::PackageAdded { package } => write!(out, "+ package {package}"),
            Self::PackageRemoved { package } => write!(out, "- package {package}"),
            Self::DefaultChannel {
                package,
                before,
                after,
            } => {
                write!(
                    out,
                    "~ package {package}: default channel {} -> {}",
                    text(before),
                    text(after)
                )
            }
            Self::ChannelHead {
                package,
                channel,
                before: None,
                after,
            } => {
                write!(out, "+ channel {package}/{channel}: head {}", text(after))
            }
            Self::ChannelHead {
                package,
                channel,
                before,
                after: None,
            } => {
                write!(
                    out,
                    "- channel {package}/{channel}: head was {}",
                    text(before)
                )
            }
            Self::ChannelHead {
                package,
                channel,
                before,
                after,
            } => {
                write!(
                    out,
                    "~ channel {package}/{channel}: head {} -> {}",
                    text(before),
                    text(after)
                )
            }
            Self::BundleAdded { package, bundle } => write!(out, "+ bundle {package}/{bundle}"),
            Self::BundleRemoved { package, bundle } => write!(out, "- bundle {package}/{bundle}"),
        }
    }
}

/// What differs between two catalogs, by package, then channels, then bundles.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CatalogDiff {
    /// The differences in order.
    pub changes: Vec<CatalogChange>,
}

impl CatalogDiff {
    /// Compares two outlines.
    pub fn between(before: &CatalogShape, after: &CatalogShape) -> Self {
        let nothing = PackageShape::default();
        let mut changes = Vec::new();
        for package in keys(&before.packages, &after.packages) {
            let (old, new) = (before.packages.get(package), after.packages.get(package));
            match (old, new) {
                (None, _) => changes.push(CatalogChange::PackageAdded {
                    package: package.clone(),
                }),
                (_, None) => {
                    changes.push(CatalogChange::PackageRemoved {
                        package: package.clone(),
                    });
                }
                (Some(_), Some(_)) => {}
            }
            package_changes(
                package,
                old.unwrap_or(&nothing),
                new.unwrap_or(&nothing),
                &mut changes,
            );
        }
        Self { changes }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for CatalogDiff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(out, "{change}")?;
        }
        Ok(())
    }
}

fn keys<'a, V>(
    low: &'a BTreeMap<String, V>,
    high: &'a BTreeMap<String, V>,
) -> BTreeSet<&'a String> {
    low.keys().chain(high.keys()).collect()
}

fn package_changes(
    package: &str,
    old: &PackageShape,
    new: &PackageShape,
    changes: &mut Vec<CatalogChange>,
) {
    let package = package.to_owned();
    if old.default_channel != new.default_channel {
        changes.push(CatalogChange::DefaultChannel {
            package: package.clone(),
            before: old.default_channel.clone(),
            after: new.default_channel.clone(),
        });
    }
    for channel in keys(&old.channels, &new.channels) {
        let before = old.channels.get(channel).cloned().flatten();
        let after = new.channels.get(channel).cloned().flatten();
        if before != after {
            changes.push(CatalogChange::ChannelHead {
                package: package.clone(),
                channel: channel.clone(),
                before,
                after,
            });
        }
    }
    for bundle in new.bundles.difference(&old.bundles) {
        changes.push(CatalogChange::BundleAdded {
            package: package.clone(),
            bundle: bundle.clone(),
        });
    }
    for bundle in old.bundles.difference(&new.bundles) {
        changes.push(CatalogChange::BundleRemoved {
            package: package.clone(),
            bundle: bundle.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{CatalogDiff, CatalogShape, PackageShape};

    fn shape(default: &str, channels: &[(&str, &str)], bundles: &[&str]) -> CatalogShape {
        let package = PackageShape {
            default_channel: Some(default.to_owned()),
            channels: channels
                .iter()
                .map(|(name, head)| ((*name).to_owned(), Some((*head).to_owned())))
                .collect(),
            bundles: bundles.iter().map(ToString::to_string).collect(),
        };
        CatalogShape {
            packages: [("etcd".to_owned(), package)].into(),
        }
    }

    #[test]
    fn a_diff_reads_as_lines() {
        let before = shape("alpha", &[("alpha", "v1"), ("old", "v0")], &["v0", "v1"]);
        let after = shape("beta", &[("alpha", "v2"), ("beta", "v2")], &["v1", "v2"]);
        assert_eq!(
            CatalogDiff::between(&before, &after).to_string(),
            "~ package etcd: default channel alpha -> beta\n\
             ~ channel etcd/alpha: head v1 -> v2\n\
             + channel etcd/beta: head v2\n\
             - channel etcd/old: head was v0\n\
             + bundle etcd/v2\n\
             - bundle etcd/v0\n"
        );
    }

    #[test]
    fn a_new_package_is_named_before_what_it_holds() {
        let after = shape("a", &[("a", "v1")], &["v1"]);
        let lines = CatalogDiff::between(&CatalogShape::default(), &after).to_string();
        assert_eq!(
            lines,
            "+ package etcd\n~ package etcd: default channel none -> a\n\
             + channel etcd/a: head v1\n+ bundle etcd/v1\n"
        );
        assert!(CatalogDiff::between(&after, &after).is_empty());
    }
}
