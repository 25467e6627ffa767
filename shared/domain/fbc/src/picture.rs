//! The upgrade graph of a package as a picture.

mod dot;
mod mermaid;
mod svg;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use iib_catalog::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blob::{Catalog, DEPRECATED, DEPRECATIONS};
use crate::deprecations::{DeprecationEntry, deprecation_entries};
use crate::graph;
use crate::property::{self, Known};

/// The graph of a package: what there is to draw. As JSON, too: nodes and channels are named by
/// their positions in the lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Graph")]
pub struct Picture {
    /// The package.
    pub package: String,
    /// Its channels by name.
    pub channels: Vec<ChannelPicture>,
    /// Its bundles, and names that edges lead to, the highest version first.
    pub nodes: Vec<Node>,
    /// The edges, each once, whatever number of channels it is in.
    pub edges: Vec<Edge>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelPicture {
    /// Its name.
    pub name: String,
    /// Whether it is the default channel.
    pub is_default: bool,
    /// Whether it is deprecated.
    pub is_deprecated: bool,
    /// Its head, by position among the nodes; `None` if it has none, or several.
    pub head: Option<usize>,
    /// The nodes in it, by position.
    pub nodes: BTreeSet<usize>,
}

/// A bundle, or a name that stands for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is.
    pub state: NodeState,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// A bundle that a channel leads to.
    Present,
    /// A bundle that is deprecated.
    Deprecated,
    /// A bundle that no head leads to.
    Unreachable,
    /// A name without a bundle.
    Absent,
}

/// An edge, from the newer bundle to the older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Position of the node it comes from.
    pub from: usize,
    /// Position of the node it leads to.
    pub to: usize,
    /// What it means.
    pub kind: EdgeKind,
    /// The channels it is in, by position.
    pub channels: BTreeSet<usize>,
}

/// What an edge means.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The newer bundle replaces the older.
    Replaces,
    /// The newer bundle skips the older.
    Skips,
}

impl Picture {
    /// The picture of a package; `None` if the catalog does not have it.
    pub fn of(catalog: &Catalog, package: &str) -> Option<Self> {
        let found = catalog
            .packages
            .iter()
            .find(|found| found.name == package)?;
        let mut channels: Vec<_> = catalog
            .channels
            .iter()
            .filter(|channel| channel.package == package)
            .collect();
        channels.sort_by(|low, high| low.name.cmp(&high.name));
        let deprecated = deprecated(catalog, package);

        let mut names: BTreeMap<&str, NodeState> = BTreeMap::new();
        let mut versions: BTreeMap<&str, Version> = BTreeMap::new();
        for channel in &channels {
            for entry in &channel.entries {
                let edges = entry.skips.iter().chain([&entry.name, &entry.replaces]);
                for name in edges.filter(|name| !name.is_empty()) {
                    names.insert(name, NodeState::Absent);
                }
            }
        }
        let reached: BTreeSet<&str> = channels
            .iter()
            .flat_map(|channel| graph::reached(&channel.entries))
            .collect();
        for bundle in catalog
            .bundles
            .iter()
            .filter(|bundle| bundle.package == package)
        {
            let name = bundle.name.as_str();
            let mut properties = bundle.properties.iter();
            let state = if properties.any(|found| found.kind == DEPRECATED)
                || deprecated.bundles.contains(name)
            {
                NodeState::Deprecated
            } else if reached.contains(name) {
                NodeState::Present
            } else {
                NodeState::Unreachable
            };
            names.insert(name, state);
            let properties = bundle.properties.iter().enumerate();
            let found = properties
                .filter_map(|(at, found)| property::known_package(at, found))
                .find_map(|known| match known {
                    Known::Package(found) => Version::parse(&found.version).ok(),
                    _ => None,
                });
            if let Some(version) = found {
                versions.insert(name, version);
            }
        }
        let mut order: Vec<&str> = names.keys().copied().collect();
        let version = |name: &str| versions.get(name).cloned().or_else(|| version_in(name));
        order.sort_by(|one, other| match (version(one), version(other)) {
            (Some(one), Some(other)) => other.build_cmp(&one).unwrap_or(Ordering::Equal),
            (one, other) => other.is_some().cmp(&one.is_some()),
        });
        let at: BTreeMap<&str, usize> = order
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, at))
            .collect();

        let mut edges: BTreeMap<(usize, usize, EdgeKind), BTreeSet<usize>> = BTreeMap::new();
        let mut drawn = Vec::new();
        for (number, channel) in channels.iter().enumerate() {
            let mut nodes = BTreeSet::new();
            for entry in &channel.entries {
                let Some(from) = at.get(entry.name.as_str()) else {
                    continue;
                };
                nodes.insert(*from);
                let skips = entry.skips.iter().map(|name| (name, EdgeKind::Skips));
                for (name, kind) in skips.chain([(&entry.replaces, EdgeKind::Replaces)]) {
                    if let Some(to) = at.get(name.as_str()) {
                        nodes.insert(*to);
                        edges.entry((*from, *to, kind)).or_default().insert(number);
                    }
                }
            }
            let head = graph::head(&channel.entries).ok();
            drawn.push(ChannelPicture {
                name: channel.name.clone(),
                is_default: channel.name == found.default_channel,
                is_deprecated: deprecated.channels.contains(&channel.name),
                head: head.and_then(|head| at.get(head.name.as_str()).copied()),
                nodes,
            });
        }
        Some(Self {
            package: package.to_owned(),
            channels: drawn,
            nodes: order
                .iter()
                .map(|name| Node {
                    name: (*name).to_owned(),
                    state: names.get(name).copied().unwrap_or(NodeState::Absent),
                })
                .collect(),
            edges: edges
                .into_iter()
                .map(|((from, to, kind), channels)| Edge {
                    from,
                    to,
                    kind,
                    channels,
                })
                .collect(),
        })
    }

    /// Names of the channels that a node heads.
    fn headed_by(&self, node: usize) -> Vec<&str> {
        let channels = self.channels.iter();
        let headed = channels.filter(|channel| channel.head == Some(node));
        headed.map(|channel| channel.name.as_str()).collect()
    }

    fn channel_names(&self, edge: &Edge) -> String {
        let channels = edge.channels.iter().filter_map(|at| self.channels.get(*at));
        let names: Vec<&str> = channels.map(|channel| channel.name.as_str()).collect();
        names.join(", ")
    }
}

impl NodeState {
    /// What is said of it beside its name; nothing of an ordinary one.
    fn remark(self) -> &'static str {
        match self {
            Self::Present => "",
            Self::Deprecated => "deprecated",
            Self::Unreachable => "unreachable",
            Self::Absent => "absent",
        }
    }
}

/// The version that a name ends in, as names of bundles mostly do.
fn version_in(name: &str) -> Option<Version> {
    let (_, version) = name.split_once('.')?;
    Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

#[derive(Default)]
struct Deprecated {
    bundles: BTreeSet<String>,
    channels: BTreeSet<String>,
}

/// What objects of schema `olm.deprecations` name.
fn deprecated(catalog: &Catalog, package: &str) -> Deprecated {
    let mut found = Deprecated::default();
    let others = catalog.others.iter();
    for other in others.filter(|other| other.schema == DEPRECATIONS && other.package == package) {
        // What cannot be read deprecates nothing; it is kept all the same.
        for DeprecationEntry { schema, name, .. } in
            deprecation_entries(&other.blob).unwrap_or_default()
        {
            match schema.as_str() {
                "olm.bundle" => found.bundles.insert(name),
                "olm.channel" => found.channels.insert(name),
                _ => false,
            };
        }
    }
    found
}

#[cfg(test)]
mod tests;
