//! The name that is meant where one is not there.

use std::cmp::Ordering;

use crate::Version;

/// How alike names of bundles of one package have to be, from 0 to 1: they have most in common.
const ALIKE: f64 = 0.7;
/// By how many letters a name of a package may be another. With two, names of other products are.
const SLIPS: usize = 1;
/// Longest name that is compared, bytes. Names are strangers' texts, and comparing two takes room for
/// each letter of one with each of the other; no name of a resource is longer than this.
const LONGEST: usize = 253;

/// The one of these names of bundles of a package that is most like `sought`, if any is like it at all; of
/// several that are equally so, the one with the highest version that is not above the one sought. Case plays
/// no part, nor does what is in front of the version where `sought` is nothing but a version.
pub fn nearest_bundle<'n>(
    sought: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if sought.len() > LONGEST {
        return None;
    }
    let sought = sought.to_lowercase();
    let version = version_in(&sought);
    let is_bare = version.is_some_and(|version| sought.trim_start_matches('v') == version);
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let compared = match (is_bare, version, version_in(&name)) {
            (true, Some(version), Some(other)) => (version, other),
            _ => (&*sought, &*name),
        };
        strsim::normalized_damerau_levenshtein(compared.0, compared.1)
    };
    let limit = version.and_then(|version| Version::parse(version).ok());
    let names = names.into_iter().filter(|name| name.len() <= LONGEST);
    let alike = names.map(|name| (name, likeness(name)));
    let best = alike
        .filter(|(_, alike)| *alike > ALIKE)
        .max_by(|(a, low), (b, high)| {
            let by_likeness = low.total_cmp(high);
            by_likeness.then_with(|| by_version(a, b, limit.as_ref()))
        });
    best.map(|(name, _)| name)
}

/// The one of these names of packages that is a slip away from `sought`, if one is; it is not `sought` itself.
pub fn nearest_package<'n>(
    sought: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if sought.len() > LONGEST {
        return None;
    }
    let lower = sought.to_lowercase();
    let slips = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let names = names.into_iter();
    let names = names.filter(|name| *name != sought && name.len().abs_diff(sought.len()) <= SLIPS);
    let near = names.map(|name| (slips(name), name));
    // Of a name of three letters each is most of it.
    let near = near.filter(|(slips, _)| *slips <= SLIPS && slips * 3 < sought.len());
    near.min().map(|(_, name)| name)
}

/// What to say of a package that is not there: which one may be meant, or that it is to be checked.
pub fn meant<'n>(sought: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    match nearest_package(sought, names) {
        Some(near) => format!("is {near} meant?"),
        None => "check its spelling".to_owned(),
    }
}

/// Those that are not above the limit come last, the highest of them last of all; of the others the lowest.
fn by_version(a: &str, b: &str, limit: Option<&Version>) -> Ordering {
    let read = |name: &str| version_in(name).and_then(|version| Version::parse(version).ok());
    let (Some(low), Some(high)) = (read(a), read(b)) else {
        return b.cmp(a);
    };
    let is_above = |version: &Version| limit.is_some_and(|limit| version.plain_cmp(limit).is_gt());
    match (is_above(&low), is_above(&high)) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => low.plain_cmp(&high),
        (true, true) => high.plain_cmp(&low),
    }
}

/// The version that a name is or ends with, without a leading `v`: bundles are called
/// `<package>.v<version>` by custom.
fn version_in(name: &str) -> Option<&str> {
    let of = |part: &'_ str| part.strip_prefix('v').unwrap_or(part).len();
    let parts = name.match_indices('.').map(|(at, _)| at + 1);
    std::iter::once(0)
        .chain(parts)
        .filter_map(|at| name.get(at..))
        .map(|part| &part[part.len() - of(part)..])
        .find(|part| part.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_is_meant() {
        let bundles = [
            "lantern.v1.0.0",
            "lantern.v1.0.1",
            "lantern.v1.1.0",
            "lantern.v1.1.1-rc.1",
        ];
        for (sought, meant) in [
            // A version where a name belongs (style.md §5: `1.0.1` for `….v1.0.1`).
            ("1.0.1", Some("lantern.v1.0.1")),
            ("v1.0.1", Some("lantern.v1.0.1")),
            ("lantern.1.0.1", Some("lantern.v1.0.1")),
            ("Lantern.v1.0.1", Some("lantern.v1.0.1")),
            ("lanten.v1.1.0", Some("lantern.v1.1.0")),
            // Not there: the highest below it.
            ("lantern.v1.0.2", Some("lantern.v1.0.1")),
            ("lantern.v0.0.0", Some("lantern.v1.0.0")),
            ("1.1.1", Some("lantern.v1.1.0")),
            ("beacon.v3.0.0", None),
            ("", None),
        ] {
            assert_eq!(nearest_bundle(sought, bundles), meant, "{sought}");
        }
    }

    #[test]
    fn packages_are_a_slip_apart() {
        let packages = [
            "etcd",
            "jaeger",
            "prometheus",
            "openshift-gitops-operator",
            "redhat-odf-operator",
        ];
        for (sought, near) in [
            ("etdc", Some("etcd")),
            ("ETCD", Some("etcd")),
            ("promethius", Some("prometheus")),
            ("kafka", None),
            ("et", None),
            ("abcd", None),
            // Other products.
            ("openshift-pipelines-operator", None),
            ("redhat-oadp-operator", None),
            // What is there is not what is meant in its place.
            ("etcd", None),
        ] {
            assert_eq!(nearest_package(sought, packages), near, "{sought}");
        }
        assert_eq!(nearest_package("etcd", []), None);
        assert_eq!(meant("etdc", packages), "is etcd meant?");
        assert_eq!(meant("kafka", packages), "check its spelling");
    }

    #[test]
    fn any_text_is_a_name() {
        let long = "x.".repeat(1_000_000);
        for sought in [".", "v", "..v", "ö.vö", "1", &long] {
            let names = ["a.v1", "v", ".", "ö.v2", &long];
            assert_ne!(nearest_bundle(sought, names), Some(&*long));
            assert_ne!(nearest_package(sought, names), Some(&*long));
        }
    }
}
