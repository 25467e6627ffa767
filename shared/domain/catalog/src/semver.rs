//! Placing a bundle by its version (spec index-database §5.4).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::placed::{NewEntry, PlacedChannel, PlacedPackage};
use crate::{Candidate, Mode, PackageRows, Refusal, Version};

/// The graph of a package with a new bundle in it, each of whose channels it enters between the
/// next lower and the next higher version. `rows` is the package before; what the bundle replaces
/// and skips plays no part.
///
/// # Errors
/// A version that is none or that one of the channels has already, a default channel that is none
/// of the channels, a graph that cannot be read or is no chain of versions.
pub fn place_by_version(
    rows: &PackageRows,
    bundle: &Candidate,
    mode: Mode,
) -> Result<PlacedPackage, Refusal> {
    let version = version_of(&bundle.name, &bundle.version)?;
    // A package without a default channel counts as absent.
    let mut channels = match rows.default_channel {
        Some(_) => Chain::read(rows)?,
        None => BTreeMap::new(),
    };
    let wanted: BTreeSet<&String> = bundle.channels.iter().collect();
    for channel in wanted.iter().filter_map(|name| channels.get(*name)) {
        let mut versions = channel.nodes.values().map(|node| &node.version);
        if versions.any(|other| other.plain_cmp(&version) == Ordering::Equal) {
            return Err(Refusal::SemverVersionTwice {
                name: bundle.name.clone(),
                version: bundle.version.clone(),
            });
        }
    }
    for name in &wanted {
        let channel = channels.entry((*name).clone()).or_default();
        channel.insert(&bundle.name, &version, mode);
    }
    let default_channel = if bundle.default_channel.is_empty() {
        let first = wanted.first().map(|name| (*name).clone());
        rows.default_channel.clone().or(first).unwrap_or_default()
    } else {
        bundle.default_channel.clone()
    };
    if !channels.contains_key(&default_channel) {
        return Err(Refusal::DefaultChannelAbsent {
            package: bundle.package.clone(),
            channel: default_channel,
        });
    }
    let written = |(name, chain): (String, Chain)| {
        let entries = chain.entries().map_err(|walked| Refusal::GraphBroken {
            name: bundle.name.clone(),
            channel: name.clone(),
            nodes: chain.nodes.len(),
            walked,
        })?;
        let placed = PlacedChannel {
            head: chain.head,
            entries,
            properties_for: Vec::new(),
        };
        Ok((name, placed))
    };
    Ok(PlacedPackage {
        default_channel,
        channels: channels
            .into_iter()
            .map(written)
            .collect::<Result<_, _>>()?,
    })
}

fn version_of(name: &str, text: &str) -> Result<Version, Refusal> {
    Version::parse(text).map_err(|_| Refusal::SemverBadVersion {
        name: name.to_owned(),
        version: text.to_owned(),
    })
}

/// A channel: bundles that exist, with edges to them and to names that are passed over.
#[derive(Default)]
struct Chain {
    head: String,
    nodes: BTreeMap<String, Node>,
}

struct Node {
    version: Version,
    edges: BTreeSet<String>,
}

impl Chain {
    fn read(rows: &PackageRows) -> Result<BTreeMap<String, Self>, Refusal> {
        let mut chains = BTreeMap::new();
        for (name, channel) in Graph::read(rows)?.channels {
            let mut chain = Self {
                head: channel.head.to_owned(),
                nodes: BTreeMap::new(),
            };
            for bundle in channel.nodes {
                let row = rows.present.get(bundle);
                let text = row.map_or("", |row| row.version.as_str());
                let below = channel.edges.get(bundle).into_iter().flatten();
                let node = Node {
                    version: version_of(bundle, text)?,
                    edges: below.map(ToString::to_string).collect(),
                };
                chain.nodes.insert(bundle.to_owned(), node);
            }
            chains.insert(name.to_owned(), chain);
        }
        Ok(chains)
    }

    /// Puts a bundle between its neighbours. In skippatch mode lower patches of its minor version
    /// leave the chain; the bundle skips them.
    fn insert(&mut self, name: &str, version: &Version, mode: Mode) {
        let mut above: Option<(&String, &Version)> = None;
        let mut below: Option<(&String, &Version)> = None;
        let mut patches = BTreeSet::new();
        for (other, node) in &self.nodes {
            if node.version.plain_cmp(version) == Ordering::Greater {
                if above.is_none_or(|(_, lowest)| node.version.plain_cmp(lowest).is_lt()) {
                    above = Some((other, &node.version));
                }
                continue;
            }
            if below.is_none_or(|(_, highest)| node.version.plain_cmp(highest).is_gt()) {
                below = Some((other, &node.version));
            }
            let same_minor =
                (node.version.major, node.version.minor) == (version.major, version.minor);
            if mode == Mode::SemverSkippatch && same_minor {
                patches.insert(other.clone());
            }
        }
        let mut edges: BTreeSet<String> = below.map(|(name, _)| name.clone()).into_iter().collect();
        edges.extend(patches.iter().cloned());
        match above.map(|(name, _)| name.clone()) {
            Some(above) => {
                if let Some(node) = self.nodes.get_mut(&above) {
                    node.edges = BTreeSet::from([name.to_owned()]);
                }
            }
            None => name.clone_into(&mut self.head),
        }
        self.nodes.retain(|name, _| !patches.contains(name));
        let version = version.clone();
        self.nodes.insert(name.to_owned(), Node { version, edges });
    }

    /// The entries along the chain, those for skipped names beside them.
    ///
    /// # Errors
    /// How many nodes were walked, if some were not or one came again.
    fn entries(&self) -> Result<Vec<NewEntry>, usize> {
        let mut entries = vec![NewEntry::new(&self.head, 0)];
        let (mut own, mut name, mut depth) = (0, &self.head, 0);
        let mut walked = 1;
        while let Some(node) = self.nodes.get(name) {
            let mut at = depth;
            // Skipped names are no nodes.
            for skipped in self
                .downwards(node)
                .filter(|name| !self.nodes.contains_key(*name))
            {
                at += 1;
                entries.push(NewEntry::new(skipped, at));
                entries.push(NewEntry {
                    replaces: Some(entries.len() - 1),
                    ..NewEntry::new(name, at)
                });
            }
            let mut nodes = self.downwards(node);
            let Some(next) = nodes.find(|name| self.nodes.contains_key(*name)) else {
                break;
            };
            walked += 1;
            if walked > self.nodes.len() {
                break;
            }
            depth += 1;
            entries.push(NewEntry::new(next, depth));
            let last = entries.len() - 1;
            if let Some(entry) = entries.get_mut(own) {
                entry.replaces = Some(last);
            }
            (own, name) = (last, next);
        }
        if walked == self.nodes.len() {
            Ok(entries)
        } else {
            Err(walked)
        }
    }

    /// The names a node has edges to, from the highest version down; those without come last.
    fn downwards<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a String> {
        let mut names: Vec<&String> = node.edges.iter().collect();
        let version = |name: &String| self.nodes.get(name).map(|node| &node.version);
        names.sort_by(|low, high| match (version(low), version(high)) {
            (Some(low), Some(high)) => high.plain_cmp(low),
            (low, high) => high.is_some().cmp(&low.is_some()),
        });
        names.into_iter()
    }
}

#[cfg(test)]
mod tests;
