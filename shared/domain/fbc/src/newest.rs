//! What the newest version of the reference refuses in a catalog that 1.26.4 takes, as far as an
//! outline tells (newest-opm §4 "Packages", "Tree"). Deprecations tell for themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{Catalog, CatalogBundle, PACKAGE};
use crate::fields::Fields;

/// Most characters of a package's name.
const LABEL: usize = 63;

/// Every such thing, for people.
pub(crate) fn refusals(outline: &Catalog) -> Vec<String> {
    let names = outline.packages.iter().map(|package| package.name.as_str());
    let unfit = names.filter(|name| !is_label(name)).map(|name| {
        format!(
            "package {name:?}: the newest opm takes names of lower-case letters, digits and inner \
             dashes only, up to {LABEL} characters"
        )
    });
    let mut words: Vec<String> = unfit.collect();
    let mut versions: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for bundle in &outline.bundles {
        if let Some(version) = version(bundle) {
            let of_version = versions.entry((&bundle.package, version)).or_default();
            of_version.insert(&bundle.name);
        }
    }
    for ((package, version), bundles) in versions {
        if bundles.len() > 1 {
            let bundles: Vec<&str> = bundles.into_iter().collect();
            words.push(format!(
                "package {package:?}: the newest opm refuses that the bundles {} have one version, \
                 {version}",
                bundles.join(", ")
            ));
        }
    }
    words
}

/// A label of RFC 1123.
fn is_label(name: &str) -> bool {
    let inner = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
    name.len() <= LABEL
        && name.chars().all(|sign| inner(sign) || sign == '-')
        && name.starts_with(inner)
        && name.ends_with(inner)
}

/// The version of a bundle, with its release.
fn version(bundle: &CatalogBundle) -> Option<String> {
    let mut properties = bundle.properties.iter();
    let package = properties.find(|property| property.kind == PACKAGE)?;
    let fields = Fields::of(package.value.as_deref()?).ok()?;
    let version = fields.string("version").ok()?;
    match fields.string("release") {
        Ok(release) if !release.is_empty() => Some(format!("{version}-{release}")),
        _ => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_label, refusals};
    use crate::{Catalog, read_text};

    #[test]
    fn names_of_packages_are_labels() {
        for name in ["a", "a-1", "3scale", &"x".repeat(63)] {
            assert!(is_label(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a.b", "ä", &"x".repeat(64)] {
            assert!(!is_label(name), "{name}");
        }
    }

    #[test]
    fn one_version_belongs_to_one_bundle() {
        let bundle = |name: &str, version: &str| {
            format!(
                r#"{{"schema": "olm.bundle", "package": "P.q", "name": "{name}", "properties":
                [{{"type": "olm.package", "value": {{"packageName": "P.q", {version}}}}}]}}"#
            )
        };
        let text = [
            r#"{"schema": "olm.package", "name": "P.q"}"#.to_owned(),
            bundle("b", r#""version": "1.0.0""#),
            bundle("a", r#""version": "1.0.0""#),
            bundle("c", r#""version": "1.0.0", "release": "1""#),
            bundle("d", r#""version": "1.0.0+1""#),
        ];
        let mut catalog = Catalog::default();
        read_text(&text.concat(), &mut catalog).unwrap();
        let words = refusals(&catalog);
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].starts_with("package \"P.q\""), "{words:?}");
        assert!(
            words[1].contains("the bundles a, b have one version, 1.0.0"),
            "{words:?}"
        );
    }
}
