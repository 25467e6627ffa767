//! The upgrade graph of a package, read back from its entries (spec index-database §5.4 step 1).

use std::collections::{BTreeMap, BTreeSet};

use crate::{PackageRows, Refusal};

/// The graph by channel.
pub(crate) struct Graph<'a> {
    pub(crate) channels: BTreeMap<&'a str, Channel<'a>>,
}

/// One channel: entries whose bundles exist, and edges from them to those and to dummies.
pub(crate) struct Channel<'a> {
    /// The only node without an incoming edge.
    pub(crate) head: &'a str,
    pub(crate) nodes: BTreeSet<&'a str>,
    pub(crate) edges: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    /// # Errors
    /// A channel without a head, or with several.
    pub(crate) fn read(rows: &'a PackageRows) -> Result<Self, Refusal> {
        let names = rows.names();
        let mut nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut edges: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        for entry in &rows.entries {
            let channel = entry.channel.as_str();
            if rows.present.contains_key(&entry.bundle) {
                nodes.entry(channel).or_default().insert(&entry.bundle);
            }
            if let Some(target) = entry.replaces.and_then(|target| names.get(&target)) {
                let from = edges.entry(channel).or_default();
                from.entry(&entry.bundle).or_default().insert(target);
            }
        }
        let mut channels = BTreeMap::new();
        for (channel, nodes) in nodes {
            let edges = edges.remove(channel).unwrap_or_default();
            let below: BTreeSet<&str> = edges.values().flatten().copied().collect();
            let tops: Vec<&str> = nodes.difference(&below).copied().collect();
            let head = match tops.as_slice() {
                [head] => *head,
                [] => {
                    return Err(Refusal::NoHead {
                        package: rows.name.clone(),
                        channel: channel.to_owned(),
                    });
                }
                several => {
                    return Err(Refusal::SeveralHeads {
                        package: rows.name.clone(),
                        channel: channel.to_owned(),
                        heads: print_keys(rows, several),
                    });
                }
            };
            let found = Channel { head, nodes, edges };
            channels.insert(channel, found);
        }
        Ok(Self { channels })
    }
}

/// Prints bundles like the `%v` of the reference's set: image, version, name, sorted.
fn print_keys(rows: &PackageRows, names: &[&str]) -> String {
    let mut keys: Vec<String> = names
        .iter()
        .map(|name| {
            let row = rows.present.get(*name).cloned().unwrap_or_default();
            format!(
                "{{{} {} {name}}}:{{}}",
                row.image.unwrap_or_default(),
                row.version
            )
        })
        .collect();
    keys.sort();
    format!("map[{}]", keys.join(" "))
}
