//! The name that is meant where one is not there.

use std::cmp::Ordering;

use crate::Version;

/// How alike two names have to be, from 0 to 1. Names of bundles of one package have most in common, so
/// that any of them is nearer than this; names of packages have to be one or two letters apart.
const ALIKE: f64 = 0.7;

/// The one of `names` that is most like `sought`, if any is like it at all; of several that are equally
/// so, the one with the highest version that is not above the one sought. Case plays no part, nor does
/// what is in front of the version where `sought` is nothing but a version.
pub fn nearest<'n>(sought: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
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
    let alike = names.into_iter().map(|name| (name, likeness(name)));
    let best = alike
        .filter(|(_, alike)| *alike > ALIKE)
        .max_by(|(a, low), (b, high)| {
            let by_likeness = low.total_cmp(high);
            by_likeness.then_with(|| by_version(a, b, limit.as_ref()))
        });
    best.map(|(name, _)| name)
}

/// What to say of a name that is not there: which one may be meant, or that it is to be checked.
pub fn meant<'n>(sought: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    match nearest(sought, names) {
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
            assert_eq!(nearest(sought, bundles), meant, "{sought}");
        }
    }

    #[test]
    fn packages_are_a_letter_or_two_apart() {
        let packages = ["etcd", "jaeger", "prometheus"];
        assert_eq!(nearest("etdc", packages), Some("etcd"));
        assert_eq!(nearest("promethius", packages), Some("prometheus"));
        assert_eq!(nearest("kafka", packages), None);
        assert_eq!(nearest("etcd", []), None);
        assert_eq!(meant("etdc", packages), "is etcd meant?");
        assert_eq!(meant("kafka", packages), "check its spelling");
    }

    #[test]
    fn any_text_is_a_name() {
        for sought in [".", "v", "..v", "ö.vö", "1", &"x.".repeat(1000)] {
            nearest(sought, ["a.v1", "v", ".", "ö.v2"]);
        }
    }
}
