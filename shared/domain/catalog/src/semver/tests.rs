//! The worked example of spec index-database §18.3, and what is refused.

use std::collections::BTreeSet;

use super::place_by_version;
use crate::{Candidate, Entry, Mode, PackageRows, PlacedPackage, PresentRow};

/// `p.v<version>` in channel `c`.
fn bundle(version: &str) -> Candidate {
    Candidate {
        name: format!("p.v{version}"),
        image: format!("r/p:{version}"),
        package: "p".to_owned(),
        channels: vec!["c".to_owned()],
        default_channel: String::new(),
        version: version.to_owned(),
        replaces: "p.v9.9.9".to_owned(),
        skips: vec!["p.v8.8.8".to_owned()],
        substitutes_for: String::new(),
    }
}

/// Writes a package as the index database does, to read it again.
fn written(before: &PackageRows, new: &Candidate, package: &PlacedPackage) -> PackageRows {
    let mut rows = PackageRows {
        name: "p".to_owned(),
        default_channel: Some(package.default_channel.clone()),
        present: before.present.clone(),
        ..PackageRows::default()
    };
    let row = PresentRow {
        version: new.version.clone(),
        image: Some(new.image.clone()),
    };
    rows.present.insert(new.name.clone(), row);
    for (name, channel) in &package.channels {
        let first = i64::try_from(rows.entries.len()).unwrap();
        let number = |at: usize| first + i64::try_from(at).unwrap();
        for (at, entry) in channel.entries.iter().enumerate() {
            rows.entries.push(Entry {
                id: number(at),
                channel: name.clone(),
                bundle: entry.bundle.clone(),
                replaces: entry.replaces.map(number),
                depth: entry.depth,
            });
        }
    }
    rows
}

fn all(versions: &[&str], mode: Mode) -> Result<PlacedPackage, String> {
    let mut rows = PackageRows::default();
    let mut package = None;
    for version in versions {
        let new = bundle(version);
        let placed = place_by_version(&rows, &new, mode).map_err(|refusal| refusal.to_string())?;
        rows = written(&rows, &new, &placed);
        package = Some(placed);
    }
    Ok(package.unwrap())
}

/// Entries of the channel as `bundle depth` or `bundle depth -> bundle`.
fn told(package: &PlacedPackage) -> Vec<String> {
    let entries = &package.channels["c"].entries;
    let name = |name: &str| name.trim_start_matches("p.v").to_owned();
    let line = |entry: &crate::NewEntry| {
        let below = entry.replaces.map_or(String::new(), |at| {
            format!(" -> {}", name(&entries[at].bundle))
        });
        format!("{} {}{below}", name(&entry.bundle), entry.depth)
    };
    entries.iter().map(line).collect()
}

#[test]
fn a_version_goes_between_its_neighbours() {
    let package = all(&["1.0.0", "1.1.0", "1.0.1"], Mode::Semver).unwrap();
    assert_eq!(package.default_channel, "c");
    assert_eq!(package.channels["c"].head, "p.v1.1.0");
    assert_eq!(
        told(&package),
        ["1.1.0 0 -> 1.0.1", "1.0.1 1 -> 1.0.0", "1.0.0 2"]
    );
}

#[test]
fn the_order_of_additions_does_not_matter() {
    let versions = ["1.0.0", "1.0.1", "1.1.0-rc.1", "1.1.0", "2.0.0"];
    let expected = all(&versions, Mode::Semver).unwrap();
    let mut orders = BTreeSet::new();
    for turn in 0..versions.len() {
        for flip in [false, true] {
            let mut order = versions;
            order.rotate_left(turn);
            if flip {
                order.reverse();
            }
            assert_eq!(all(&order, Mode::Semver).unwrap(), expected, "{order:?}");
            orders.insert(order);
        }
    }
    assert_eq!(orders.len(), 10);
}

#[test]
fn lower_patches_are_skipped_in_skippatch_mode() {
    let package = all(&["1.0.0", "1.0.1", "1.0.2"], Mode::SemverSkippatch).unwrap();
    assert_eq!(
        told(&package),
        [
            "1.0.2 0",
            "1.0.0 1",
            "1.0.2 1 -> 1.0.0",
            "1.0.1 2",
            "1.0.2 2 -> 1.0.1"
        ]
    );
}

#[test]
fn a_minor_version_above_two_skipped_patches_is_refused_as_in_the_reference() {
    let refused = all(&["1.0.0", "1.0.1", "1.0.2", "1.1.0"], Mode::SemverSkippatch);
    assert_eq!(
        refused.unwrap_err(),
        "error loading bundle p.v1.1.0 into db: Invalid graph: some (non-bottom) nodes defined in \
         the graph were not mentioned as replacements of any node (4 != 3)"
    );
}

#[test]
fn builds_do_not_tell_versions_apart() {
    assert_eq!(
        all(&["1.0.0", "1.0.0+1"], Mode::Semver).unwrap_err(),
        "Bundle version 1.0.0+1 already added to index"
    );
    assert_eq!(
        all(&["v1"], Mode::Semver).unwrap_err(),
        "Bundle version v1 is not valid"
    );
}

#[test]
fn the_default_channel_has_to_be_a_channel() {
    let mut new = bundle("1.0.0");
    new.default_channel = "stable".to_owned();
    let refused = place_by_version(&PackageRows::default(), &new, Mode::Semver);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the default channel (stable) does not exist"
    );
}
