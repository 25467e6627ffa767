use proptest::prelude::*;

use super::*;
use crate::{Rules, check, read_text};

/// An entry: name, what it replaces, what it skips.
type Row<'a> = (&'a str, &'a str, &'a [&'a str]);

/// A package `p`; the version of a bundle is its name behind `v`.
fn package(default_channel: &str, channels: &[(&str, &[Row<'_>])]) -> Catalog {
    let mut text = format!(
        r#"{{"schema": "olm.package", "name": "p", "defaultChannel": "{default_channel}"}}"#
    );
    let mut bundles = BTreeSet::new();
    for (channel, rows) in channels {
        let entries: Vec<String> = rows
            .iter()
            .map(|(name, replaces, skips)| {
                bundles.insert(*name);
                format!(r#"{{"name": "{name}", "replaces": "{replaces}", "skips": {skips:?}}}"#)
            })
            .collect();
        text += &format!(
            r#"{{"schema": "olm.channel", "package": "p", "name": "{channel}", "entries": [{}]}}"#,
            entries.join(",")
        );
    }
    for name in bundles {
        let version = name.trim_start_matches('v');
        text += &format!(
            r#"{{"schema": "olm.bundle", "package": "p", "name": "{name}",
                "image": "r.example/p@sha256:{digest:0>64}", "properties": [{{"type": "olm.package",
                "value": {{"packageName": "p", "version": "{version}"}}}}]}}"#,
            digest = ""
        );
    }
    let mut catalog = Catalog::default();
    read_text(&text, &mut catalog).unwrap();
    catalog
}

fn range(text: &str) -> PackageFilter {
    PackageFilter {
        versions: Some(text.parse().unwrap()),
        ..PackageFilter::default()
    }
}

/// The entries of the first channel that is left, as `name<replaces[skips]`, and what was said.
fn left(rows: &[Row<'_>], versions: &str) -> (Vec<String>, Vec<String>) {
    let mut catalog = package("c", &[("c", rows)]);
    let words = range(versions).apply("p", &mut catalog).unwrap();
    for rules in [Rules::Opm126, Rules::OpmNewest] {
        let report = check(&catalog, rules);
        assert!(report.is_clean(), "{report}");
    }
    let mut bundles: Vec<&str> = catalog.bundles.iter().map(|bundle| &*bundle.name).collect();
    let mut names: Vec<&str> = catalog.channels[0]
        .entries
        .iter()
        .map(|entry| &*entry.name)
        .collect();
    bundles.sort_unstable();
    names.sort_unstable();
    assert_eq!(bundles, names);
    let entries = catalog.channels[0].entries.iter().map(|entry| {
        format!(
            "{}<{}[{}]",
            entry.name,
            entry.replaces,
            entry.skips.join(" ")
        )
    });
    (entries.collect(), words)
}

const LINE: [Row<'_>; 4] = [
    ("v4.0.0", "v3.0.0", &[]),
    ("v3.0.0", "v2.0.0", &[]),
    ("v2.0.0", "v1.0.0", &[]),
    ("v1.0.0", "", &[]),
];

#[test]
fn what_is_below_and_above_goes_and_upgrades_from_below_stay() {
    let (entries, words) = left(&LINE, ">=2.0.0 <4.0.0");
    assert_eq!(entries, ["v3.0.0<v2.0.0[]", "v2.0.0<v1.0.0[]"]);
    assert_eq!(words, Vec::<String>::new());
    assert_eq!(left(&LINE, ">=1.0.0").0.len(), 4);
    assert_eq!(left(&LINE, "3.0.0").0, ["v3.0.0<v2.0.0[]"]);
}

#[test]
fn what_is_between_in_the_graph_stays_and_is_told() {
    // A version that was brought out late for an older line.
    let rows: [Row<'_>; 3] = [
        ("v2.1.0", "v1.9.9", &[]),
        ("v1.9.9", "v2.0.0", &[]),
        ("v2.0.0", "", &[]),
    ];
    let (entries, words) = left(&rows, ">=2.0.0");
    assert_eq!(entries.len(), 3);
    assert_eq!(
        words,
        ["v1.9.9 is not >=2.0.0 and stays in the channel c: it is between others there"]
    );
}

#[test]
fn who_has_a_version_that_was_skipped_can_go_on() {
    let rows: [Row<'_>; 4] = [
        ("v3.0.0", "v1.0.0", &["v2.0.0", "v2.1.0"]),
        ("v2.1.0", "v1.0.0", &["v2.0.0"]),
        ("v2.0.0", "v1.0.0", &[]),
        ("v1.0.0", "", &[]),
    ];
    assert_eq!(left(&rows, ">=3.0.0").0, ["v3.0.0<v1.0.0[v2.0.0 v2.1.0]"]);
    assert_eq!(
        left(&rows, "<3.0.0").0,
        ["v2.1.0<v1.0.0[v2.0.0]", "v2.0.0<v1.0.0[]", "v1.0.0<[]"]
    );
    // What is outside of the range stays where it skips what is in it.
    let rows: [Row<'_>; 4] = [
        ("v5.0.0", "v1.9.0", &[]),
        ("v1.9.0", "v1.0.0", &["v2.0.0"]),
        ("v2.0.0", "", &[]),
        ("v1.0.0", "", &[]),
    ];
    let (entries, words) = left(&rows, ">=2.0.0");
    assert_eq!(
        entries,
        ["v5.0.0<v1.9.0[]", "v1.9.0<v1.0.0[v2.0.0]", "v2.0.0<[]"]
    );
    assert_eq!(words.len(), 1, "{words:?}");
}

#[test]
fn several_heads_become_one() {
    let rows: [Row<'_>; 4] = [
        ("v3.0.0", "v1.0.0", &["v2.0.0", "v2.1.0"]),
        ("v2.1.0", "v1.0.0", &[]),
        ("v2.0.0", "v1.0.0", &[]),
        ("v1.0.0", "", &[]),
    ];
    let (entries, words) = left(&rows, "<3.0.0");
    assert_eq!(
        entries,
        ["v2.1.0<v1.0.0[v2.0.0]", "v2.0.0<v1.0.0[]", "v1.0.0<[]"]
    );
    assert_eq!(
        words,
        ["v2.1.0 skips v2.0.0 in the channel c: what skipped both is not <3.0.0"]
    );
}

#[test]
fn channels_are_kept_as_asked_and_the_default_one_has_to_be() {
    let old: &[Row<'_>] = &[("v1.0.0", "", &[])];
    let all = package("stable", &[("old", old), ("stable", &LINE)]);
    let only = |channel: &str| PackageFilter {
        channels: BTreeSet::from([channel.to_owned()]),
        ..PackageFilter::default()
    };
    let mut catalog = all.clone();
    let fault = only("old").apply("p", &mut catalog).unwrap_err();
    let text = fault.to_string();
    assert!(
        text.contains("name another one with --default-channel p:CHANNEL, of old"),
        "{text}"
    );
    assert_eq!(catalog, all);
    let filter = PackageFilter {
        default_channel: Some("old".to_owned()),
        ..only("old")
    };
    filter.apply("p", &mut catalog).unwrap();
    assert_eq!(catalog.packages[0].default_channel, "old");
    assert_eq!((catalog.channels.len(), catalog.bundles.len()), (1, 1));
    let filter = PackageFilter {
        default_channel: Some("old".to_owned()),
        ..only("stable")
    };
    let text = filter.apply("p", &mut all.clone()).unwrap_err().to_string();
    assert!(text.contains("of which these are kept: stable"), "{text}");
    let text = only("fast")
        .apply("p", &mut all.clone())
        .unwrap_err()
        .to_string();
    assert_eq!(text, "the package p has no channel fast, but old, stable");
    // A channel without any of the versions goes, unless it was asked for.
    let mut catalog = all.clone();
    let words = range(">=2.0.0").apply("p", &mut catalog).unwrap();
    assert_eq!(
        words,
        ["the channel old of the package p has no version >=2.0.0 and goes"]
    );
    let filter = PackageFilter {
        versions: range(">=2.0.0").versions,
        ..only("old")
    };
    let text = filter.apply("p", &mut all.clone()).unwrap_err().to_string();
    assert_eq!(
        text,
        "the package p has no version >=2.0.0 in its channel old: there are 1.0.0"
    );
    let text = range(">4.0.0")
        .apply("p", &mut all.clone())
        .unwrap_err()
        .to_string();
    assert!(
        text.ends_with("its channels: there are 1.0.0, 2.0.0, 3.0.0, 4.0.0"),
        "{text}"
    );
}

#[test]
fn packages_are_kept_by_name_with_what_others_say_of_them() {
    let mut catalog = package("c", &[("c", &LINE)]);
    let others = r#"{"schema": "my.own"} {"schema": "my.own", "package": "p", "name": "x"}
        {"schema": "my.own", "package": "q"}
        {"schema": "olm.deprecations", "package": "p", "entries": [
            {"reference": {"schema": "olm.bundle", "name": "v1.0.0"}, "message": "a"},
            {"reference": {"schema": "olm.bundle", "name": "v4.0.0"}, "message": "b"}]}"#;
    read_text(others, &mut catalog).unwrap();
    let of = |name: &str, filter| Filter {
        packages: BTreeMap::from([(name.to_owned(), filter)]),
    };
    let text = of("z", range("1.0.0"))
        .apply(&mut catalog.clone())
        .unwrap_err();
    assert_eq!(
        text.to_string(),
        "there is no package z: check its spelling"
    );
    let words = of("p", range(">=3.0.0")).apply(&mut catalog).unwrap();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].contains("v1.0.0"), "{words:?}");
    let others: Vec<&str> = catalog
        .others
        .iter()
        .map(|other| other.blob.get())
        .collect();
    assert_eq!(others.len(), 3);
    assert!(
        !others
            .iter()
            .any(|text| text.contains("\"q\"") || text.contains("v1.0.0"))
    );
}

#[test]
fn ranges_are_comparisons_that_all_have_to_hold() {
    let has = |range: &str, version: &str| {
        let range: VersionRange = range.parse().unwrap();
        range.has(&Version::parse(version).unwrap())
    };
    for (range, version, is_in) in [
        ("1.2.3", "1.2.3+build", true),
        ("=1.2.3", "1.2.4", false),
        (">=1.0.0 <2.0.0", "1.9.9", true),
        (">=1.0.0,<2.0.0", "2.0.0", false),
        ("<=2.0.0", "2.0.0-rc1", true),
        (">1.0.0", "1.0.0", false),
        (">=1.0.0", "1.0.0-rc1", false),
    ] {
        assert_eq!(has(range, version), is_in, "{range} {version}");
    }
    for (range, word) in [
        ("", "such as `>=1.2.0 <2.0.0`"),
        (" ", "such as"),
        ("1.x", "`1.x` compares with no version"),
        (">= 1.0.0", "`>=` compares with no version"),
        ("~1.0.0", "`~1.0.0`"),
        ("1.0.0 || 2.0.0", "`||`"),
    ] {
        let text = range.parse::<VersionRange>().unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    }
}

/// A channel of ours: a way down from the head, and beside it what some of that skips.
fn channels() -> impl Strategy<Value = Vec<(String, String, Vec<String>)>> {
    let name = |number: usize| format!("v{number}.0.0");
    // For each version: whether it is on the way, and which one skips it if not.
    prop::collection::vec(
        (any::<bool>(), any::<prop::sample::Index>(), any::<bool>()),
        1..12,
    )
    .prop_map(move |bits| {
        let count = bits.len();
        let on_way: Vec<usize> = (0..count)
            .filter(|at| bits[*at].0 || at + 1 == count)
            .collect();
        let mut rows: Vec<(String, String, Vec<String>)> = (0..count)
            .map(|at| {
                let below = on_way.iter().rev().find(|other| **other < at);
                let replaces = below.map(|at| name(*at)).unwrap_or_default();
                (name(at), replaces, Vec::new())
            })
            .collect();
        for at in (0..count).filter(|at| !on_way.contains(at)) {
            let above: Vec<usize> = on_way.iter().copied().filter(|up| *up > at).collect();
            let by = above[bits[at].1.index(above.len())];
            rows[by].2.push(name(at));
            // Others may skip it, too.
            if bits[at].2 && at + 1 < count {
                rows[at + 1].2.push(name(at));
            }
        }
        rows
    })
}

proptest! {
    #[test]
    fn what_is_left_is_a_channel_with_all_that_was_asked_for(
        rows in channels(),
        (low, high) in (0_u64..12, 0_u64..12),
    ) {
        let skips: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| row.2.iter().map(String::as_str).collect())
            .collect();
        let borrowed: Vec<Row<'_>> = rows
            .iter()
            .zip(&skips)
            .map(|(row, skips)| (&*row.0, &*row.1, &**skips))
            .collect();
        let before = package("c", &[("c", &borrowed)]);
        prop_assert!(check(&before, Rules::Opm126).is_clean());
        let filter = range(&format!(">={low}.0.0 <={high}.0.0"));
        let asked: BTreeSet<&str> = (before.bundles.iter())
            .map(|bundle| bundle.name.as_str())
            .filter(|name| {
                let number: u64 = name[1..].split('.').next().unwrap().parse().unwrap();
                (low..=high).contains(&number)
            })
            .collect();
        let mut after = before.clone();
        let done = filter.apply("p", &mut after);
        if asked.is_empty() {
            prop_assert!(done.is_err());
            prop_assert_eq!(after, before);
            return Ok(());
        }
        prop_assert!(done.is_ok(), "{done:?}");
        for rules in [Rules::Opm126, Rules::OpmNewest] {
            let report = check(&after, rules);
            prop_assert!(report.is_clean(), "{report}");
        }
        // All that was asked for is there, and the highest of it is the head.
        let kept: BTreeSet<&str> = after.bundles.iter().map(|found| &*found.name).collect();
        prop_assert!(asked.is_subset(&kept));
        let shape = after.shape();
        let head = shape.packages["p"].channels["c"].clone().unwrap();
        prop_assert!(asked.contains(head.as_str()));
        // No upgrade within what is kept is lost, and none from what is below it: the graph is one, and all
        // that was said of what an entry replaces and skips is said still.
        let entries = |catalog: &Catalog| -> BTreeMap<String, ChannelEntry> {
            let entries = catalog.channels[0].entries.iter();
            entries.map(|entry| (entry.name.clone(), entry.clone())).collect()
        };
        let (old, new) = (entries(&before), entries(&after));
        for (name, entry) in &new {
            prop_assert_eq!(&entry.replaces, &old[name].replaces);
            prop_assert!(old[name].skips.iter().all(|skip| entry.skips.contains(skip)));
        }
        let mut again = after.clone();
        prop_assert!(filter.apply("p", &mut again).is_ok());
        prop_assert_eq!(again, after);
    }
}
