//! The reachability check after an add (spec index-database §5.5).

use std::collections::{BTreeSet, VecDeque};

use crate::graph::Graph;
use crate::{Candidate, PackageRows, PrunedBundle, Refusal};

/// Checks that each new bundle of the package can be reached from the head of each of its
/// channels, over `replaces` and `skips` edges. `rows` is the package as written.
pub fn check_reachable<'a>(
    rows: &PackageRows,
    new: impl IntoIterator<Item = &'a Candidate>,
) -> Vec<Refusal> {
    let graph = match Graph::read(rows) {
        Ok(graph) => graph,
        Err(fault) => {
            return vec![Refusal::NotVerified {
                package: rows.name.clone(),
                fault: Box::new(fault),
            }];
        }
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

impl Graph<'_> {
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
