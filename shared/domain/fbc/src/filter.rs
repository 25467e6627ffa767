//! Part of a package: some of its channels, a range of versions, and an upgrade graph that is still whole.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use iib_catalog::{Version, VersionError, meant};

use crate::blob::{Catalog, CatalogBundle, Channel, ChannelEntry};
use crate::deprecations::Deprecations;

/// What is kept of a catalog: packages by name, and of each what its filter says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The packages. All others go.
    pub packages: BTreeMap<String, PackageFilter>,
}

/// What is kept of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageFilter {
    /// Its channels; none: all that have a bundle of the versions.
    pub channels: BTreeSet<String>,
    /// Its versions; `None`: all.
    pub versions: Option<VersionRange>,
    /// The channel that becomes the default; `None`: the one that is.
    pub default_channel: Option<String>,
}

/// Versions: comparisons that all have to hold, such as `>=1.2.0 <2.0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    comparisons: Vec<(Comparison, Version)>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Exactly,
    AtLeast,
    Above,
}

/// A text that is no range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// There is no comparison in it.
    #[error("a range of versions is comparisons that all have to hold, such as `>=1.2.0 <2.0.0`")]
    Empty,
    /// A comparison names no version.
    #[error(
        "`{word}` compares with no version: {source}; write comparisons that all have to hold, such as `>=1.2.0 <2.0.0`"
    )]
    Version {
        /// The comparison.
        word: String,
        /// What is wrong.
        source: VersionError,
    },
}

/// Why a catalog cannot be filtered so. It names what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterFault {
    /// The catalog has no such package.
    #[error("there is no package {package}: {meant}")]
    NoPackage {
        /// The name.
        package: String,
        /// Which one may be meant ([`iib_catalog::meant`]).
        meant: String,
    },
    /// The package has no such channel.
    #[error("the package {package} has no channel {channel}, but {}", .there.join(", "))]
    NoChannel {
        /// The package.
        package: String,
        /// The name.
        channel: String,
        /// Its channels.
        there: Vec<String>,
    },
    /// Nothing is in the range.
    #[error("the package {package} has no version {range} in {}: there are {}", place(.channel.as_deref()), .there.join(", "))]
    NoVersion {
        /// The package.
        package: String,
        /// The channel that was asked for, if one was.
        channel: Option<String>,
        /// The range.
        range: String,
        /// The versions, from low to high.
        there: Vec<String>,
    },
    /// The default channel is not among what is kept.
    #[error(
        "{channel} is the default channel of the package {package} and not kept: name another one with --default-channel {package}:CHANNEL, of {}", .kept.join(", ")
    )]
    DefaultGone {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The channels that are kept.
        kept: Vec<String>,
    },
    /// The channel that shall become the default is not among what is kept.
    #[error(
        "{channel} cannot be the default channel of the package {package}, of which these are kept: {}", .kept.join(", ")
    )]
    DefaultNotKept {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
        /// The channels that are kept.
        kept: Vec<String>,
    },
    /// The deprecations of the package cannot be read.
    #[error("the deprecations of the package {package} cannot be read: {text}")]
    Deprecations {
        /// The package.
        package: String,
        /// What is wrong.
        text: String,
    },
}

fn place(channel: Option<&str>) -> String {
    channel.map_or("its channels".to_owned(), |name| {
        format!("its channel {name}")
    })
}

impl VersionRange {
    /// Whether a version is in it. Build metadata plays no part.
    pub fn has(&self, version: &Version) -> bool {
        self.comparisons.iter().all(|(comparison, with)| {
            let order = version.plain_cmp(with);
            match comparison {
                Comparison::Below => order == Ordering::Less,
                Comparison::AtMost => order != Ordering::Greater,
                Comparison::Exactly => order == Ordering::Equal,
                Comparison::AtLeast => order != Ordering::Less,
                Comparison::Above => order == Ordering::Greater,
            }
        })
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut comparisons = Vec::new();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let signs = [
                ("<=", Comparison::AtMost),
                (">=", Comparison::AtLeast),
                ("<", Comparison::Below),
                (">", Comparison::Above),
                ("=", Comparison::Exactly),
                ("", Comparison::Exactly),
            ];
            let mut read = signs
                .into_iter()
                .filter_map(|(sign, comparison)| Some((comparison, word.strip_prefix(sign)?)));
            let Some((comparison, version)) = read.next() else {
                continue;
            };
            let version = Version::parse(version).map_err(|source| RangeError::Version {
                word: word.to_owned(),
                source,
            })?;
            comparisons.push((comparison, version));
        }
        match comparisons.is_empty() {
            true => Err(RangeError::Empty),
            false => Ok(Self {
                comparisons,
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Filter {
    /// Keeps of a catalog what the filter says, and what belongs to no package. Gives a line for each thing
    /// that is otherwise than one may expect.
    ///
    /// # Errors
    /// [`FilterFault`]; the catalog is then changed in part.
    pub fn apply(&self, catalog: &mut Catalog) -> Result<Vec<String>, FilterFault> {
        let known = catalog.package_names();
        if let Some(package) = self.packages.keys().find(|name| !known.contains(*name)) {
            return Err(FilterFault::NoPackage {
                package: package.clone(),
                meant: meant(package, known.iter().map(String::as_str)),
            });
        }
        let mut words = Vec::new();
        let parts = std::mem::take(catalog).by_package();
        for (name, mut part) in parts {
            if let Some(filter) = self.packages.get(&name) {
                words.extend(filter.apply(&name, &mut part)?);
            } else if !name.is_empty() {
                continue;
            }
            catalog.extend(part);
        }
        Ok(words)
    }
}

impl PackageFilter {
    /// Keeps of a package what the filter says; `part` is all of it, an outline will do.
    ///
    /// A channel that is kept keeps the bundles of the versions, and what is between them in its upgrade
    /// graph: from the highest one down to the lowest one no upgrade is lost. Who has a version below can upgrade as
    /// before, because entries go on naming what they replace and skip. Where what skipped some of the versions
    /// is above all of them, the one on top skips them.
    ///
    /// Bundles that no channel has any more go, and so does what deprecations say of them. Objects of other schemas
    /// stay.
    ///
    /// # Errors
    /// [`FilterFault`]; the package is then as it was.
    pub fn apply(&self, package: &str, part: &mut Catalog) -> Result<Vec<String>, FilterFault> {
        let own = || package.to_owned();
        let known: Vec<&Channel> = part.channels.iter().collect();
        if let Some(channel) =
            (self.channels.iter()).find(|name| !known.iter().any(|channel| channel.name == **name))
        {
            return Err(FilterFault::NoChannel {
                package: own(),
                channel: channel.clone(),
                there: known.iter().map(|channel| channel.name.clone()).collect(),
            });
        }
        let versions = Versions::of(&part.bundles);
        let (mut kept, mut words) = (Vec::new(), Vec::new());
        for channel in &part.channels {
            let is_named = self.channels.contains(&channel.name);
            if !is_named && !self.channels.is_empty() {
                continue;
            }
            let Some(range) = &self.versions else {
                kept.push(channel.clone());
                continue;
            };
            match section(channel, range, &versions) {
                Some((section, said)) => {
                    kept.push(section);
                    words.extend(said);
                }
                None if is_named => {
                    return Err(self.no_version(package, Some(channel), &versions, part));
                }
                None => words.push(format!(
                    "the channel {} of the package {package} has no version {range} and goes",
                    channel.name
                )),
            }
        }
        if kept.is_empty() && self.versions.is_some() {
            return Err(self.no_version(package, None, &versions, part));
        }
        let names = || kept.iter().map(|channel| channel.name.clone()).collect();
        let has = |name: &String| kept.iter().any(|channel| channel.name == *name);
        if let Some(channel) = &self.default_channel {
            if !has(channel) {
                return Err(FilterFault::DefaultNotKept {
                    package: own(),
                    channel: channel.clone(),
                    kept: names(),
                });
            }
        } else if let Some(gone) = (part.packages.iter())
            .map(|found| &found.default_channel)
            .find(|channel| !has(channel))
        {
            return Err(FilterFault::DefaultGone {
                package: own(),
                channel: gone.clone(),
                kept: names(),
            });
        }
        let mut after = part.clone();
        if self.limits() {
            let entries = kept.iter().flat_map(|channel| &channel.entries);
            let entries: BTreeSet<&str> = entries.map(|entry| entry.name.as_str()).collect();
            after
                .bundles
                .retain(|bundle| entries.contains(bundle.name.as_str()));
        }
        after.channels = kept;
        if let Some(channel) = &self.default_channel {
            for found in &mut after.packages {
                found.default_channel.clone_from(channel);
            }
        }
        let fault = |text: String| FilterFault::Deprecations {
            package: own(),
            text,
        };
        let left = Deprecations::without_gone(&after, package);
        if let Some((left, said)) = left.map_err(|error| fault(error.to_string()))? {
            left.put_into(&mut after);
            words.extend(said);
        }
        *part = after;
        Ok(words)
    }

    /// Whether it takes anything away.
    fn limits(&self) -> bool {
        !self.channels.is_empty() || self.versions.is_some()
    }

    fn no_version(
        &self,
        package: &str,
        channel: Option<&Channel>,
        versions: &Versions<'_>,
        part: &Catalog,
    ) -> FilterFault {
        let channels = part.channels.iter();
        let channels = channels.filter(|other| channel.is_none_or(|only| only.name == other.name));
        let entries = channels.flat_map(|channel| &channel.entries);
        let mut there: Vec<&Version> = entries
            .filter_map(|entry| versions.0.get(entry.name.as_str()))
            .collect();
        there.sort_by(|low, high| low.plain_cmp(high));
        there.dedup();
        FilterFault::NoVersion {
            package: package.to_owned(),
            channel: channel.map(|channel| channel.name.clone()),
            range: self
                .versions
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            there: there.into_iter().map(ToString::to_string).collect(),
        }
    }
}

/// Versions by bundle.
struct Versions<'a>(BTreeMap<&'a str, Version>);

impl<'a> Versions<'a> {
    fn of(bundles: &'a [CatalogBundle]) -> Self {
        let read = |bundle: &'a CatalogBundle| {
            let version = Version::parse(&bundle.version()?).ok()?;
            Some((bundle.name.as_str(), version))
        };
        Self(bundles.iter().filter_map(read).collect())
    }

    /// From low to high; what has no version is lowest.
    fn order(&self, one: &str, other: &str) -> Ordering {
        let by_version = match (self.0.get(one), self.0.get(other)) {
            (Some(one), Some(other)) => one.plain_cmp(other),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        by_version.then_with(|| one.cmp(other))
    }
}

/// The part of a channel's graph that has the versions of a range, and lines about it; nothing if there are none.
fn section(
    channel: &Channel,
    range: &VersionRange,
    versions: &Versions<'_>,
) -> Option<(Channel, Vec<String>)> {
    let entries: BTreeMap<&str, &ChannelEntry> = (channel.entries.iter())
        .map(|entry| (entry.name.as_str(), entry))
        .collect();
    let is_wanted = |name: &str| versions.0.get(name).is_some_and(|found| range.has(found));
    let wanted: BTreeSet<&str> = entries
        .keys()
        .copied()
        .filter(|name| is_wanted(name))
        .collect();
    let head = head(&entries, &wanted, versions)?;
    let chain = chain(&entries, head);
    // Down to the last one that is wanted, or skips what is.
    let needed = |name: &&str| {
        wanted.contains(name)
            || entries.get(name).is_some_and(|entry| {
                let mut skips = entry.skips.iter();
                skips.any(|skip| wanted.contains(skip.as_str()))
            })
    };
    let depth = chain.iter().rposition(needed).unwrap_or(0);
    let chain: BTreeSet<&str> = chain.into_iter().take(depth + 1).collect();
    let kept: BTreeSet<&str> = chain.union(&wanted).copied().collect();
    let mut words: Vec<String> = (kept.difference(&wanted))
        .map(|name| {
            format!(
                "{name} is not {range} and stays in the channel {}: it is between others there",
                channel.name
            )
        })
        .collect();
    let skipped = (kept.iter())
        .filter_map(|name| entries.get(name))
        .flat_map(|entry| entry.skips.iter().map(String::as_str));
    let skipped: BTreeSet<&str> = skipped.collect();
    let reached = unskipped(&entries, head, &skipped);
    let stranded = kept
        .iter()
        .filter(|name| !reached.contains(*name) && !skipped.contains(**name));
    let stranded: Vec<String> = stranded.map(ToString::to_string).collect();
    words.extend(stranded.iter().map(|name| {
        format!(
            "{head} skips {name} in the channel {}: what skipped both is not {range}",
            channel.name
        )
    }));
    let mut section = channel.clone();
    section
        .entries
        .retain(|entry| kept.contains(entry.name.as_str()));
    for entry in &mut section.entries {
        if entry.name == head {
            entry.skips.extend(stranded.iter().cloned());
            continue;
        }
        // Nothing is above the head any more.
        entry.skips.retain(|skip| skip != head);
        if entry.replaces == head {
            entry.replaces.clear();
        }
    }
    Some((section, words))
}

/// The highest of the wanted versions that no other one of them can become by upgrades.
fn head<'a>(
    entries: &BTreeMap<&'a str, &'a ChannelEntry>,
    wanted: &BTreeSet<&'a str>,
    versions: &Versions<'_>,
) -> Option<&'a str> {
    let mut below = BTreeSet::new();
    for name in wanted {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = lower(entries, name);
        while let Some(next) = open.pop() {
            // Around a circle everything is below everything.
            if next != *name && seen.insert(next) {
                open.extend(lower(entries, next));
            }
        }
        below.extend(seen);
    }
    let tops = wanted.iter().filter(|name| !below.contains(*name));
    let highest = |names: Vec<&'a str>| names.into_iter().max_by(|a, b| versions.order(a, b));
    let top = highest(tops.copied().collect());
    top.or_else(|| highest(wanted.iter().copied().collect()))
}

/// What an entry replaces and skips.
fn lower<'a>(entries: &BTreeMap<&'a str, &'a ChannelEntry>, name: &str) -> Vec<&'a str> {
    entries.get(name).map_or_else(Vec::new, |entry| {
        let skips = entry.skips.iter().map(String::as_str);
        skips.chain([entry.replaces.as_str()]).collect()
    })
}

/// The way down from an entry by what is replaced.
fn chain<'a>(entries: &BTreeMap<&'a str, &'a ChannelEntry>, head: &'a str) -> Vec<&'a str> {
    let mut chain = vec![head];
    let mut at = entries.get(head);
    while let Some(entry) = at {
        at = entries.get(entry.replaces.as_str());
        if let Some(next) = at {
            if chain.contains(&next.name.as_str()) {
                break;
            }
            chain.push(&next.name);
        }
    }
    chain
}

/// The same as far as the newest rules go: to above what is skipped (newest-opm §4 "Tree").
fn unskipped<'a>(
    entries: &BTreeMap<&'a str, &'a ChannelEntry>,
    head: &'a str,
    skipped: &BTreeSet<&str>,
) -> Vec<&'a str> {
    let chain = chain(entries, head).into_iter();
    let mut above = true;
    let reached = chain.enumerate().take_while(|(at, name)| {
        above &= *at == 0 || !skipped.contains(name);
        above
    });
    reached.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests;
