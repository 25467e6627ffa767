//! Channel entries along the `replaces` chain (spec index-database §5.3, "Writing").

use std::collections::{BTreeMap, BTreeSet};

use crate::Refusal;

/// What the walk has to know of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainNode {
    /// The stored `replaces`; empty for none.
    pub replaces: String,
    /// The stored `skips`, in order.
    pub skips: Vec<String>,
    /// Whether the name is in `deprecated`; the chain ends there.
    pub deprecated: bool,
}

/// An entry to be written. Positions count from the first entry of the same walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The name it stands for.
    pub bundle: String,
    /// Distance from the head, skips counted.
    pub depth: i64,
    /// Position of the entry it replaces.
    pub replaces: Option<usize>,
}

/// The entries of one channel, and the bundles on its chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walk {
    /// Entries in the order they are written.
    pub entries: Vec<NewEntry>,
    /// Bundles of the chain from the head down; each gets an `olm.package` property row.
    pub chain: Vec<String>,
}

/// Walks a channel from its head. `nodes` holds every existing bundle the chain can reach.
///
/// # Errors
/// A cycle, or a `replaces` that names no bundle.
pub fn walk_channel(head: &str, nodes: &BTreeMap<String, ChainNode>) -> Result<Walk, Refusal> {
    let mut walk = Walk::default();
    let mut seen = BTreeSet::from([head]);
    let mut name = head;
    let mut own = push(&mut walk, head, 0);
    let mut depth = 1;
    while let Some(node) = nodes.get(name) {
        walk.chain.push(name.to_owned());
        if node.deprecated {
            break;
        }
        for skip in &node.skips {
            let skipped = push(&mut walk, skip, depth);
            let skipping = push(&mut walk, name, depth);
            link(&mut walk, skipping, skipped);
            depth += 1;
        }
        let replaces = node.replaces.as_str();
        if replaces.is_empty() {
            break;
        }
        if !seen.insert(replaces) {
            return Err(Refusal::ReplacesCycle {
                name: name.to_owned(),
                replaces: replaces.to_owned(),
            });
        }
        if !nodes.contains_key(replaces) {
            return Err(Refusal::ReplacesMissing {
                head: head.to_owned(),
                replaces: replaces.to_owned(),
            });
        }
        let next = push(&mut walk, replaces, depth);
        link(&mut walk, own, next);
        own = next;
        name = replaces;
        depth += 1;
    }
    Ok(walk)
}

fn push(walk: &mut Walk, bundle: &str, depth: i64) -> usize {
    walk.entries.push(NewEntry {
        bundle: bundle.to_owned(),
        depth,
        replaces: None,
    });
    walk.entries.len() - 1
}

fn link(walk: &mut Walk, from: usize, to: usize) {
    if let Some(entry) = walk.entries.get_mut(from) {
        entry.replaces = Some(to);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ChainNode, walk_channel};

    fn nodes(rows: &[(&str, &str, &[&str])]) -> BTreeMap<String, ChainNode> {
        rows.iter()
            .map(|(name, replaces, skips)| {
                let skips = skips.iter().map(ToString::to_string).collect();
                let node = ChainNode {
                    replaces: (*replaces).to_owned(),
                    skips,
                    deprecated: false,
                };
                ((*name).to_owned(), node)
            })
            .collect()
    }

    fn lines(head: &str, nodes: &BTreeMap<String, ChainNode>) -> Vec<String> {
        let walk = walk_channel(head, nodes).unwrap();
        walk.entries
            .iter()
            .map(|entry| match entry.replaces {
                Some(at) => {
                    format!(
                        "{} d{} -> {}",
                        entry.bundle, entry.depth, walk.entries[at].bundle
                    )
                }
                None => format!("{} d{}", entry.bundle, entry.depth),
            })
            .collect()
    }

    #[test]
    fn a_skip_makes_a_pair_of_entries_between_head_and_next() {
        // The worked example of spec §18.1, channel `stable`.
        let nodes = nodes(&[
            ("1.3", "1.1", &["1.2"]),
            ("1.1", "1.0", &[]),
            ("1.0", "", &[]),
        ]);
        assert_eq!(
            lines("1.3", &nodes),
            [
                "1.3 d0 -> 1.1",
                "1.2 d1",
                "1.3 d1 -> 1.2",
                "1.1 d2 -> 1.0",
                "1.0 d3"
            ]
        );
    }

    #[test]
    fn a_deprecated_bundle_ends_the_chain() {
        let mut nodes = nodes(&[("c", "b", &[]), ("b", "a", &["x"]), ("a", "", &[])]);
        nodes.get_mut("b").unwrap().deprecated = true;
        assert_eq!(lines("c", &nodes), ["c d0 -> b", "b d1"]);
        assert_eq!(walk_channel("c", &nodes).unwrap().chain, ["c", "b"]);
    }

    #[test]
    fn cycles_and_missing_bundles_are_refused() {
        let cycle = nodes(&[("a", "b", &[]), ("b", "a", &[])]);
        assert_eq!(
            walk_channel("a", &cycle).unwrap_err().to_string(),
            "Cycle detected, b replaces a"
        );
        let missing = nodes(&[("a", "b", &[]), ("b", "c", &[])]);
        assert_eq!(
            walk_channel("a", &missing).unwrap_err().to_string(),
            "Invalid bundle a, replaces nonexistent bundle c"
        );
    }
}
