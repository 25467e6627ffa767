//! The reachability check after an add (spec index-database §5.5).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{Candidate, PackageRows, PrunedBundle, Refusal};

/// Checks that each new bundle of the package can be reached from the head of each of its
/// channels, over `replaces` and `skips` edges. `rows` is the package as written.
pub fn check_reachable<'a>(
    rows: &PackageRows,
    new: impl IntoIterator<Item = &'a Candidate>,
) -> Vec<Refusal> {
    let graph = match Graph::read(rows) {
        Ok(graph) => graph,
        Err(refusal) => return vec![refusal],
    };
    let mut found = Vec::new();
    for bundle in new {
        for channel in &bundle.channels {
            if !graph.reaches(channel, &bundle.name) {
                found.push(graph.pruned(bundle, channel));
            }
        }
    }
    found
}

/// The upgrade graph read back from the entries of a package.
struct Graph<'a> {
    channels: BTreeMap<&'a str, Channel<'a>>,
}

struct Channel<'a> {
    head: &'a str,
    edges: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    fn read(rows: &'a PackageRows) -> Result<Self, Refusal> {
        let names: BTreeMap<i64, &str> = rows
            .entries
            .iter()
            .map(|entry| (entry.id, entry.bundle.as_str()))
            .collect();
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
            channels.insert(channel, Channel { head, edges });
        }
        Ok(Self { channels })
    }

    fn reaches(&self, channel: &str, bundle: &str) -> bool {
        let Some(channel) = self.channels.get(channel) else {
            return false;
        };
        let mut seen = BTreeSet::from([channel.head]);
        let mut next = VecDeque::from([channel.head]);
        while let Some(name) = next.pop_front() {
            if name == bundle {
                return true;
            }
            let below = channel.edges.get(name).into_iter().flatten();
            next.extend(below.copied().filter(|name| seen.insert(name)));
        }
        false
    }

    fn pruned(&self, bundle: &Candidate, channel: &str) -> Refusal {
        let found = self.channels.get(channel);
        let head = found.map_or("", |found| found.head);
        let edges = found
            .and_then(|found| found.edges.get(head))
            .into_iter()
            .flatten();
        Refusal::Pruned(Box::new(PrunedBundle {
            name: bundle.name.clone(),
            image: bundle.image.clone(),
            package: bundle.package.clone(),
            channel: channel.to_owned(),
            head: head.to_owned(),
            edges: edges.map(ToString::to_string).collect(),
        }))
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

#[cfg(test)]
mod tests {
    use super::check_reachable;
    use crate::{Candidate, Entry, PackageRows, PresentRow};

    fn rows(present: &[&str], entries: &[(i64, &str, Option<i64>)]) -> PackageRows {
        PackageRows {
            name: "p".to_owned(),
            default_channel: Some("c".to_owned()),
            present: present
                .iter()
                .map(|name| ((*name).to_owned(), PresentRow::default()))
                .collect(),
            entries: entries
                .iter()
                .map(|(id, bundle, replaces)| Entry {
                    id: *id,
                    channel: "c".to_owned(),
                    bundle: (*bundle).to_owned(),
                    replaces: *replaces,
                    depth: 0,
                })
                .collect(),
            ..PackageRows::default()
        }
    }

    fn candidate(name: &str) -> Candidate {
        Candidate {
            name: name.to_owned(),
            image: format!("r/{name}"),
            package: "p".to_owned(),
            channels: vec!["c".to_owned()],
            default_channel: String::new(),
            version: "1.0.0".to_owned(),
            replaces: String::new(),
            skips: Vec::new(),
            substitutes_for: String::new(),
        }
    }

    #[test]
    fn a_skipped_bundle_counts_as_reached() {
        let rows = rows(
            &["b", "a"],
            &[(1, "b", None), (2, "a", None), (3, "b", Some(2))],
        );
        assert_eq!(check_reachable(&rows, [&candidate("a")]), []);
    }

    #[test]
    fn a_bundle_without_an_edge_to_it_is_pruned() {
        let rows = rows(&["b", "z"], &[(1, "b", Some(2)), (2, "z", None)]);
        let found = check_reachable(&rows, [&candidate("a")]);
        assert!(found[0].to_string().starts_with(
            "add prunes bundle a (r/a) from package p, channel c: this may be due to incorrect \
             channel head (b, skips/replaces [z]). Be aware"
        ));
    }

    #[test]
    fn a_bundle_that_skips_itself_leaves_the_channel_without_a_head() {
        let rows = rows(&["a"], &[(1, "a", None), (2, "a", None), (3, "a", Some(2))]);
        assert_eq!(
            check_reachable(&rows, [&candidate("a")])[0].to_string(),
            "unable to verify added bundles for package p: no channel head found for c"
        );
    }

    #[test]
    fn two_tops_are_refused() {
        let rows = rows(&["a", "b"], &[(1, "a", None), (2, "b", None)]);
        assert_eq!(
            check_reachable(&rows, [&candidate("a")])[0].to_string(),
            "unable to verify added bundles for package p: multiple candidate channel heads found \
             for c: map[{  a}:{} {  b}:{}]"
        );
    }
}
