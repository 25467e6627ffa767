//! Heads and default channels, chains (the worked example of spec index-database §18.1).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use super::{ChainNode, making_room, place_by_replaces};
use crate::{Candidate, ChannelRow, Entry, PackageRows, PlacedPackage, PresentRow};

/// A bundle of package `p` that replaces and skips nothing.
fn bundle(name: &str, version: &str, channels: &[&str], default_channel: &str) -> Candidate {
    Candidate {
        name: name.to_owned(),
        image: format!("r/{name}"),
        package: "p".to_owned(),
        channels: channels.iter().map(ToString::to_string).collect(),
        default_channel: default_channel.to_owned(),
        version: version.to_owned(),
        replaces: String::new(),
        skips: Vec::new(),
        substitutes_for: String::new(),
    }
}

fn linked(name: &str, replaces: &str, skips: &[&str], channels: &[&str]) -> Candidate {
    Candidate {
        replaces: replaces.to_owned(),
        skips: skips.iter().map(ToString::to_string).collect(),
        ..bundle(name, &format!("{name}.0"), channels, "")
    }
}

/// An index of one package: the rows it has, its bundles, what is deprecated.
#[derive(Default)]
struct Index {
    rows: PackageRows,
    stored: BTreeMap<String, Candidate>,
    deprecated: BTreeSet<String>,
    asked: RefCell<Vec<String>>,
}

impl Index {
    fn new() -> Self {
        let mut index = Self::default();
        index.rows.name = "p".to_owned();
        index
    }

    fn place(&mut self, new: &[Candidate]) -> Result<PlacedPackage, String> {
        for bundle in new {
            self.stored.insert(bundle.name.clone(), bundle.clone());
        }
        self.asked.borrow_mut().clear();
        let stored = |name: &str| {
            self.asked.borrow_mut().push(name.to_owned());
            let found = self.stored.get(name);
            Ok::<_, Infallible>(found.map(|bundle| {
                if self.deprecated.contains(name) {
                    ChainNode::Deprecated
                } else {
                    ChainNode::Live {
                        replaces: bundle.replaces.clone(),
                        skips: bundle.skips.clone(),
                    }
                }
            }))
        };
        let new: Vec<&Candidate> = new.iter().collect();
        let placed = place_by_replaces(&self.rows, &new, stored).unwrap();
        placed.map_err(|refusals| refusals.to_string())
    }

    /// Places bundles and writes the package as the index database does.
    fn add(&mut self, new: &[Candidate]) -> PlacedPackage {
        let placed = self.place(new).unwrap();
        self.rows.default_channel = Some(placed.default_channel.clone());
        self.rows.channels.clear();
        self.rows.entries.clear();
        for (name, channel) in &placed.channels {
            let head = Some(channel.head.clone());
            let row = ChannelRow { head };
            self.rows.channels.insert(name.clone(), row);
            let first = i64::try_from(self.rows.entries.len()).unwrap();
            let number = |at: usize| first + i64::try_from(at).unwrap();
            for (at, entry) in channel.entries.iter().enumerate() {
                self.rows.entries.push(Entry {
                    id: number(at),
                    channel: name.clone(),
                    bundle: entry.bundle.clone(),
                    replaces: entry.replaces.map(number),
                    depth: entry.depth,
                });
            }
        }
        let names = self.rows.entries.iter().map(|entry| &entry.bundle);
        let present = names.filter_map(|name| {
            let row = PresentRow {
                version: self.stored.get(name)?.version.clone(),
                image: None,
            };
            Some((name.clone(), row))
        });
        self.rows.present = present.collect();
        placed
    }
}

/// Channels with their heads, as `channel=head`; the default one has a star.
fn heads(new: &[Candidate]) -> Result<Vec<String>, String> {
    Ok(told_heads(&Index::new().place(new)?))
}

fn told_heads(placed: &PlacedPackage) -> Vec<String> {
    let told = placed.channels.iter().map(|(channel, placed_channel)| {
        let star = if *channel == placed.default_channel {
            "*"
        } else {
            ""
        };
        format!("{channel}{star}={}", placed_channel.head)
    });
    told.collect()
}

/// Entries of a channel as `bundle depth` or `bundle depth -> bundle`.
fn entries(placed: &PlacedPackage, channel: &str) -> Vec<String> {
    let entries = &placed.channels[channel].entries;
    let line = |entry: &crate::NewEntry| {
        let below = entry
            .replaces
            .map_or(String::new(), |at| format!(" -> {}", entries[at].bundle));
        format!("{} {}{below}", entry.bundle, entry.depth)
    };
    entries.iter().map(line).collect()
}

#[test]
fn the_highest_version_heads_each_channel_and_names_the_default() {
    let new = [
        bundle("a", "1.0.0", &["x", "y"], "x"),
        bundle("b", "1.1.0", &["x"], "x"),
        bundle("c", "2.0.0", &["y"], "y"),
    ];
    assert_eq!(heads(&new).unwrap(), ["x=b", "y*=c"]);
    // In whatever order they come.
    let [a, b, c] = new;
    assert_eq!(heads(&[a, c, b]).unwrap(), ["x=b", "y*=c"]);
}

#[test]
fn build_metadata_decides_between_equal_versions() {
    let new = [
        bundle("a", "1.0.0+2", &["x"], ""),
        bundle("b", "1.0.0+10", &["x"], ""),
    ];
    assert_eq!(heads(&new).unwrap(), ["x*=b"]);
}

#[test]
fn a_single_channel_is_the_default_when_none_is_named() {
    assert_eq!(heads(&[bundle("a", "", &["x"], "")]).unwrap(), ["x*=a"]);
}

#[test]
fn a_default_that_is_no_channel_is_refused_with_the_heads() {
    assert_eq!(
        heads(&[bundle("a.v1", "1.2.3-rc.1+b", &["x"], "stable")]).unwrap_err(),
        "unable to determine default channel among channel heads: map[x:{name:a.v1 \
         version:{Major:1 Minor:2 Patch:3 Pre:[{VersionStr:rc VersionNum:0 IsNum:false} \
         {VersionStr: VersionNum:1 IsNum:true}] Build:[b]} count:1}]"
    );
    let none = heads(&[bundle("a", "1.0.0", &[], "")]).unwrap_err();
    assert!(none.ends_with("heads: map[]"), "{none}");
}

#[test]
fn equal_versions_are_refused() {
    for (new, words) in [
        (
            vec![
                bundle("a", "1.0.0", &["x"], ""),
                bundle("b", "1.0.0", &["y"], ""),
            ],
            "more than one bundle with maximum version 1.0.0",
        ),
        (
            vec![bundle("a", "1.0.0", &["x", "x"], "")],
            "more than one bundle with maximum version 1.0.0",
        ),
        (
            vec![
                bundle("a", "1.0.0", &["x"], "y"),
                bundle("b", "1.0.0", &["x"], "y"),
                bundle("c", "2.0.0", &["y"], "y"),
            ],
            "more than one potential channel head for x",
        ),
    ] {
        assert_eq!(heads(&new).unwrap_err(), words);
    }
}

#[test]
fn only_a_new_highest_version_decides_on_the_default_channel() {
    let mut index = Index::new();
    index.add(&[bundle("b", "2.0.0", &["x", "y"], "x")]);
    let lower = bundle("a", "1.0.0", &["y"], "y");
    assert_eq!(told_heads(&index.add(&[lower])), ["x*=b", "y=b"]);
    let higher = Candidate {
        replaces: "b".to_owned(),
        ..bundle("c", "3.0.0", &["y"], "y")
    };
    assert_eq!(told_heads(&index.add(&[higher])), ["x=b", "y*=c"]);
}

#[test]
fn a_skip_makes_a_pair_of_entries_between_head_and_next() {
    // §18.1, channel `stable`.
    let mut index = Index::new();
    index.add(&[
        linked("1.0", "", &[], &["stable"]),
        linked("1.1", "1.0", &[], &["stable"]),
        linked("1.2", "1.1", &[], &["stable"]),
    ]);
    let placed = index.add(&[linked("1.3", "1.1", &["1.2"], &["stable"])]);
    assert_eq!(
        entries(&placed, "stable"),
        [
            "1.3 0 -> 1.1",
            "1.2 1",
            "1.3 1 -> 1.2",
            "1.1 2 -> 1.0",
            "1.0 3"
        ]
    );
    let chain = &placed.channels["stable"].properties_for;
    assert_eq!(*chain, ["1.3", "1.1", "1.0"]);
}

#[test]
fn a_skipped_bundle_stays_a_member_and_one_no_chain_meets_does_not() {
    let mut index = Index::new();
    index.add(&[linked("1.0", "", &[], &["x"])]);
    // Skips what it leaves out, and nothing is below.
    let placed = index.add(&[linked("1.1", "", &["1.0"], &["x"])]);
    assert_eq!(entries(&placed, "x"), ["1.1 0", "1.0 1", "1.1 1 -> 1.0"]);
    assert!(index.rows.present.contains_key("1.0"));
    let placed = index.add(&[linked("1.2", "", &[], &["x"])]);
    assert_eq!(entries(&placed, "x"), ["1.2 0"]);
    assert!(!index.rows.present.contains_key("1.1"));
}

#[test]
fn edges_are_those_stored_with_the_bundles_whatever_the_entries_say() {
    let mut index = Index::new();
    index.add(&[
        linked("1.0", "", &[], &["x"]),
        linked("1.1", "1.0", &[], &["x"]),
    ]);
    // As adding by version does: 1.1 replaces 1.0 by entries alone.
    index.stored.get_mut("1.1").unwrap().replaces = String::new();
    let placed = index.add(&[linked("1.2", "1.1", &[], &["x"])]);
    assert_eq!(entries(&placed, "x"), ["1.2 0 -> 1.1", "1.1 1"]);
}

#[test]
fn a_deprecated_bundle_ends_the_chain() {
    let mut index = Index::new();
    index.deprecated.insert("1.1".to_owned());
    let placed = index.add(&[
        linked("1.0", "", &[], &["x"]),
        linked("1.1", "1.0", &["gone"], &["x"]),
        linked("1.2", "1.1", &[], &["x"]),
    ]);
    assert_eq!(entries(&placed, "x"), ["1.2 0 -> 1.1", "1.1 1"]);
    assert_eq!(placed.channels["x"].properties_for, ["1.2", "1.1"]);
}

#[test]
fn a_channel_whose_head_is_deprecated_goes_and_must_not_be_the_default() {
    let mut index = Index::new();
    index.deprecated.insert("1.0".to_owned());
    let new = [
        bundle("1.0", "1.0.0", &["x"], "x"),
        bundle("2.0", "2.0.0", &["y"], "y"),
    ];
    assert_eq!(told_heads(&index.place(&new).unwrap()), ["y*=2.0"]);
    let new = [
        bundle("1.0", "1.0.0", &["x"], "x"),
        bundle("2.0", "2.0.0", &["y"], "x"),
    ];
    assert_eq!(
        index.place(&new).unwrap_err(),
        "no default channel specified for p"
    );
}

#[test]
fn cycles_and_missing_bundles_are_refused_all_at_once() {
    let new = [
        linked("1.0", "1.1", &[], &["x"]),
        linked("1.1", "1.0", &[], &["x"]),
        Candidate {
            default_channel: "y".to_owned(),
            ..linked("1.2", "0.9", &[], &["y"])
        },
    ];
    assert_eq!(
        Index::new().place(&new).unwrap_err(),
        "[Cycle detected, 1.0 replaces 1.1, Invalid bundle 1.2, replaces nonexistent bundle 0.9]"
    );
}

#[test]
fn each_bundle_of_a_chain_is_looked_up_once_and_no_other() {
    let mut index = Index::new();
    index.add(&[
        linked("1.0", "", &[], &["x"]),
        linked("1.1", "1.0", &[], &["x"]),
    ]);
    index.stored.insert(
        "0.9".to_owned(),
        linked("0.9", "", &[], &["elsewhere", "x"]),
    );
    let new = Candidate {
        default_channel: "x".to_owned(),
        ..linked("1.2", "1.1", &["0.9", "nothing"], &["x", "y", "z"])
    };
    index.place(&[new]).unwrap();
    assert_eq!(*index.asked.borrow(), ["1.2", "1.1", "1.0"]);
}

#[test]
fn a_failing_look_up_ends_the_work() {
    let new = bundle("a", "1.0.0", &["x"], "");
    let rows = PackageRows::default();
    assert_eq!(
        place_by_replaces(&rows, &[&new], |_| Err("no disk")),
        Err("no disk")
    );
}

#[test]
fn of_each_package_the_first_bundle_noted_makes_room() {
    let of = |package: &str, name: &str| Candidate {
        package: package.to_owned(),
        ..bundle(name, "1.0.0", &["x"], "")
    };
    let new = [of("p", "new"), of("p", "a"), of("p", "b"), of("q", "c")];
    let noted = ["a", "b", "c"].map(str::to_owned).into();
    let names: Vec<&str> = making_room(&new, &noted)
        .map(|bundle| bundle.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
}
