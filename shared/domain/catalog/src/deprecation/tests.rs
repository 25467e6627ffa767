//! The worked example of spec index-database §18.5, and what decides about packages.

use std::collections::BTreeSet;

use super::{CutsDefaultHead, heads_to_remove, truncate};
use crate::{ChannelRow, Entry, PackageRows, PresentRow, Refusal};

/// 1.5.0 heads `c` (the default) and `d`, 1.3.0 `a`, 1.2.0 `b`; 1.4.0 skips 1.2.5, which is absent.
fn rows() -> PackageRows {
    let chain = ["1.5.0", "1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0"];
    let mut rows = PackageRows {
        name: "p".to_owned(),
        default_channel: Some("c".to_owned()),
        ..PackageRows::default()
    };
    for name in chain {
        let row = PresentRow {
            version: name.to_owned(),
            image: Some(format!("r/{name}")),
        };
        rows.present.insert(name.to_owned(), row);
    }
    for (channel, head) in [
        ("a", "1.3.0"),
        ("b", "1.2.0"),
        ("c", "1.5.0"),
        ("d", "1.5.0"),
    ] {
        let row = ChannelRow {
            head: Some(head.to_owned()),
        };
        rows.channels.insert(channel.to_owned(), row);
        let within = chain.iter().skip_while(|name| **name != head);
        let mut last: Option<i64> = None;
        for name in within {
            let id = push(&mut rows, channel, name);
            if let Some(above) = last {
                link(&mut rows, above, id);
            }
            last = Some(id);
            if *name == "1.4.0" {
                let dummy = push(&mut rows, channel, "1.2.5");
                let again = push(&mut rows, channel, name);
                link(&mut rows, again, dummy);
            }
        }
    }
    rows
}

fn push(rows: &mut PackageRows, channel: &str, bundle: &str) -> i64 {
    let id = i64::try_from(rows.entries.len()).unwrap() + 1;
    rows.entries.push(Entry {
        id,
        channel: channel.to_owned(),
        bundle: bundle.to_owned(),
        replaces: None,
        depth: 0,
    });
    id
}

fn link(rows: &mut PackageRows, from: i64, to: i64) {
    let entry = rows.entries.iter_mut().find(|entry| entry.id == from);
    entry.unwrap().replaces = Some(to);
}

/// Entries with these numbers, as `channel/bundle`.
fn told(rows: &PackageRows, ids: &BTreeSet<i64>) -> BTreeSet<String> {
    let entries = rows.entries.iter().filter(|entry| ids.contains(&entry.id));
    entries
        .map(|entry| format!("{}/{}", entry.channel, entry.bundle))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn what_another_channel_has_lives_on_there() {
    let rows = rows();
    let cut = truncate(&rows, "1.3.0").unwrap();
    assert_eq!(
        told(&rows, &cut.dropped),
        set(&[
            "a/1.0.0", "a/1.1.0", "a/1.2.0", "c/1.0.0", "c/1.1.0", "c/1.2.0", "d/1.0.0", "d/1.1.0",
            "d/1.2.0"
        ])
    );
    assert_eq!(cut.removed, Vec::<String>::new());
    assert_eq!(cut.channels, ["a"]);
    assert!(told(&rows, &cut.unlinked).is_superset(&set(&["a/1.3.0", "c/1.3.0", "d/1.3.0"])));
}

#[test]
fn what_no_other_channel_has_goes() {
    let rows = rows();
    let cut = truncate(&rows, "1.1.0").unwrap();
    assert_eq!(cut.removed, ["1.0.0"]);
    assert!(cut.channels.is_empty());
}

#[test]
fn a_skipped_name_is_part_of_the_tail_and_the_edge_to_it_goes() {
    let rows = rows();
    let cut = truncate(&rows, "1.4.0").unwrap();
    assert!(told(&rows, &cut.dropped).is_superset(&set(&["c/1.2.5", "d/1.2.5"])));
    assert_eq!(cut.removed, ["1.2.5"]);
    assert_eq!(
        told(&rows, &cut.unlinked),
        set(&[
            "c/1.3.0", "c/1.4.0", "d/1.3.0", "d/1.4.0", "c/1.2.0", "c/1.1.0", "d/1.2.0", "d/1.1.0"
        ])
    );
}

#[test]
fn what_something_above_skips_keeps_its_bundle() {
    let mut rows = rows();
    let ids: Vec<(i64, String)> = rows
        .entries
        .iter()
        .filter(|entry| entry.bundle == "1.0.0")
        .map(|entry| (entry.id, entry.channel.clone()))
        .collect();
    for (id, channel) in ids {
        let skip = push(&mut rows, &channel, "1.5.0");
        link(&mut rows, skip, id);
    }
    assert_eq!(
        truncate(&rows, "1.1.0").unwrap().removed,
        Vec::<String>::new()
    );
}

#[test]
fn the_head_of_the_default_channel_stays() {
    assert_eq!(truncate(&rows(), "1.5.0"), Err(CutsDefaultHead));
}

#[test]
fn a_package_goes_when_all_its_heads_do() {
    let rows = rows();
    let heads = |names: &[&str]| {
        let images: Vec<String> = names.iter().map(|name| format!("r/{name}")).collect();
        heads_to_remove(&rows, &images.iter().map(String::as_str).collect())
    };
    assert_eq!(heads(&["1.3.0", "1.2.0"]), Ok(None));
    let all = heads(&["1.5.0", "1.3.0", "1.2.0", "1.0.0"]);
    assert_eq!(all, Ok(Some(set(&["r/1.5.0", "r/1.3.0", "r/1.2.0"]))));
    assert_eq!(
        heads(&["1.5.0"]),
        Err(Refusal::DeprecateOtherHeads {
            package: "p".to_owned(),
            image: "r/1.3.0".to_owned(),
            channel: "a".to_owned()
        })
    );
}
