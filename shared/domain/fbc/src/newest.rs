//! What the newest version of the reference asks of packages, bundles and their versions beyond what
//! 1.26.4 does (newest-opm §4), object by object; the module `check` puts it together.

use std::collections::{BTreeMap, BTreeSet};

use iib_catalog::Version;

use crate::blob::{CatalogBundle, PACKAGE};
use crate::image_reference;
use crate::property::{self, Known, PackageProperty};

/// Most characters of a package's name, which is a label of RFC 1123.
const LABEL_LIMIT: usize = 63;
/// Most characters of a release.
const RELEASE_LIMIT: usize = 20;
/// Version of an entry without a bundle.
const NO_VERSION: &str = "0.0.0";

/// What is wrong with the name of a package.
pub(crate) fn package_name_fault(name: &str) -> Option<String> {
    let mut reasons = Vec::new();
    if name.len() > LABEL_LIMIT {
        reasons.push(format!("must be no more than {LABEL_LIMIT} characters"));
    }
    if !is_label(name) {
        reasons.push(match name.split('.').all(is_label) {
            true => "must not contain dots".to_owned(),
            false => {
                "a lowercase RFC 1123 label must consist of lower case letters, digits or '-', and \
                      begin and end with a letter or digit"
                    .to_owned()
            }
        });
    }
    let reasons = (!reasons.is_empty()).then(|| reasons.join(" "))?;
    Some(format!("invalid package name {name:?}: [{reasons}]"))
}

/// A label of RFC 1123, of whatever length.
fn is_label(name: &str) -> bool {
    let inner = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
    name.chars().all(|sign| inner(sign) || sign == '-')
        && name.starts_with(inner)
        && name.ends_with(inner)
}

/// What is wrong with a bundle by itself, in the order it is looked for.
pub(crate) fn bundle_faults(bundle: &CatalogBundle) -> Vec<String> {
    let (package, name) = (&bundle.package, &bundle.name);
    let stated = match package_property(bundle) {
        Ok(stated) => stated,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let image = [("image".to_owned(), &bundle.image)];
    let related = bundle.related_images.iter().enumerate();
    let related = related.map(|(at, found)| (format!("relatedImages[{at}].image"), &found.image));
    for (place, image) in image.into_iter().chain(related) {
        if let Some(fault) = image_fault(image) {
            faults.push(format!(
                "package {package:?} bundle {name:?} {place}: invalid image pull spec {image:?}: {fault}"
            ));
        }
    }
    let PackageProperty {
        version, release, ..
    } = stated;
    if let Err(fault) = Version::parse(&version) {
        faults.push(format!(
            "error parsing bundle {name:?} version {version:?}: {fault}"
        ));
    }
    if let Some(fault) = release_fault(&release) {
        faults.push(format!(
            "error parsing bundle {name:?} release version {release:?}: invalid release \
             {release:?}: {fault}"
        ));
    }
    faults
}

/// What is wrong with an image, which may be empty.
pub(crate) fn image_fault(image: &str) -> Option<String> {
    match image {
        "" => None,
        image => image_reference::fault(image),
    }
}

fn release_fault(release: &str) -> Option<String> {
    if release.is_empty() {
        return None;
    }
    if release.len() > RELEASE_LIMIT {
        return Some(format!(
            "exceeds maximum length of {RELEASE_LIMIT} characters"
        ));
    }
    let (at, fault) = Version::check_release(release).err()?;
    Some(format!("segment {at}: {fault}"))
}

/// The one property that names package and version, all properties being readable.
fn package_property(bundle: &CatalogBundle) -> Result<PackageProperty, String> {
    let (package, name) = (&bundle.package, &bundle.name);
    let mut stated = Vec::new();
    for (at, found) in bundle.properties.iter().enumerate() {
        match property::known_newest(found) {
            Ok(Known::Package(package)) => stated.push(package),
            Ok(_) => {}
            Err(problem) => {
                return Err(format!(
                    "parse properties for bundle {name:?}: parse property[{at}] of type {:?}: \
                     {problem}",
                    found.kind
                ));
            }
        }
    }
    let count = stated.len();
    let (Some(only), 1) = (stated.pop(), count) else {
        return Err(format!(
            "package {package:?} bundle {name:?} must have exactly 1 \"olm.package\" property, \
             found {count}"
        ));
    };
    match only.package_name == *package {
        true => Ok(only),
        false => Err(format!(
            "package {package:?} does not match \"olm.package\" property {:?}",
            only.package_name
        )),
    }
}

/// The same where it is known that there is one, without a look at the others.
fn stated(bundle: &CatalogBundle) -> Option<PackageProperty> {
    let mut properties = bundle.properties.iter();
    let found = properties.find(|property| property.kind == PACKAGE)?;
    match property::known_newest(found) {
        Ok(Known::Package(package)) => Some(package),
        _ => None,
    }
}

/// What is wrong with the name and version of a bundle that has a release (newest-opm §4 "Tree").
/// Nothing where they cannot be read, which is told elsewhere.
pub(crate) fn release_faults(bundle: &CatalogBundle) -> Vec<String> {
    let Some(PackageProperty {
        version, release, ..
    }) = stated(bundle)
    else {
        return Vec::new();
    };
    let (Ok(version), false) = (Version::parse(&version), release.is_empty()) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    let expected = format!("{}-v{version}-{release}", bundle.package);
    if bundle.name != expected {
        faults.push(format!(
            "name {:?} does not match normalized name {expected:?}",
            bundle.name
        ));
    }
    if !version.build.is_empty() {
        faults.push("cannot use build metadata in version with a release version".to_owned());
    }
    faults
}

/// The version of an entry of a channel, with its release. `None` where the bundle says none that can
/// be read.
pub(crate) fn version_of(bundle: Option<&CatalogBundle>) -> Option<String> {
    let Some(bundle) = bundle else {
        return Some(NO_VERSION.to_owned());
    };
    let PackageProperty {
        version, release, ..
    } = stated(bundle)?;
    let version = Version::parse(&version).ok()?;
    Some(match release.as_str() {
        "" => version.to_string(),
        release => format!("{version}-{release}"),
    })
}

/// That of the entries of a package several have one version.
pub(crate) fn versions_fault<'a>(
    entries: impl Iterator<Item = (&'a str, Option<String>)>,
) -> Option<String> {
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, version) in entries {
        if let Some(version) = version {
            names.entry(version).or_default().insert(name);
        }
    }
    names.retain(|_, names| names.len() > 1);
    let shared = names.iter().map(|(version, names)| {
        let names: Vec<&str> = names.iter().copied().collect();
        format!("{{{version}: [{}]}}", names.join(", "))
    });
    let shared: Vec<String> = shared.collect();
    (!shared.is_empty()).then(|| {
        format!(
            "duplicate versions found in bundles: [{}]",
            shared.join(" ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{bundle_faults, package_name_fault, version_of, versions_fault};
    use crate::{CatalogBundle, Property, RelatedImage};

    #[test]
    fn names_of_packages_are_labels() {
        for name in ["a", "a-1", "3scale", &"x".repeat(63)] {
            assert_eq!(package_name_fault(name), None, "{name}");
        }
        let letters = "a lowercase RFC 1123 label must consist of";
        for (name, reasons) in [
            ("-a", letters),
            ("a-", letters),
            ("A", letters),
            ("ä", letters),
            ("a..b", letters),
            ("a.B", letters),
            ("a.b", "[must not contain dots]"),
            (&"x".repeat(64), "[must be no more than 63 characters]"),
            (
                &format!("{}.y", "x".repeat(63)),
                "[must be no more than 63 characters must not contain dots]",
            ),
        ] {
            let said = package_name_fault(name).unwrap_or_default();
            assert!(said.contains(reasons), "{name}: {said}");
        }
    }

    fn bundle(name: &str, stated: &str) -> CatalogBundle {
        let value = format!(r#"{{"packageName": "p", {stated}}}"#);
        CatalogBundle {
            name: name.to_owned(),
            package: "p".to_owned(),
            image: "r.invalid/p:1".to_owned(),
            properties: vec![Property::new("olm.package", &value).unwrap()],
            ..CatalogBundle::default()
        }
    }

    #[test]
    fn images_come_before_version_and_release() {
        let mut bundle = bundle("p.v1", r#""version": "1.0", "release": "01""#);
        bundle.image = "r.invalid/P:1".to_owned();
        let image = |image: &str| RelatedImage {
            name: String::new(),
            image: image.to_owned(),
        };
        bundle.related_images = vec![image(""), image("r.invalid/a:1"), image("r.invalid/a:")];
        let faults = bundle_faults(&bundle);
        for (fault, words) in faults.iter().zip([
            "package \"p\" bundle \"p.v1\" image: invalid image pull spec \"r.invalid/P:1\": ",
            "bundle \"p.v1\" relatedImages[2].image: invalid image pull spec \"r.invalid/a:\": ",
            "error parsing bundle \"p.v1\" version \"1.0\": No Major",
            "error parsing bundle \"p.v1\" release version \"01\": invalid release \"01\": segment 0: ",
        ]) {
            assert!(fault.contains(words), "{faults:#?}");
        }
        assert_eq!(faults.len(), 4, "{faults:#?}");
    }

    #[test]
    fn properties_come_first() {
        let mut bundle = bundle("p.v1", r#""version": "1.0""#);
        bundle.properties.push(Property {
            kind: "custom".to_owned(),
            value: None,
        });
        let faults = bundle_faults(&bundle);
        let words = "parse properties for bundle \"p.v1\": parse property[1] of type \"custom\": \
                     unexpected end of JSON input";
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].starts_with(words), "{faults:#?}");
        bundle.properties = vec![Property::new("olm.package", r#"{"release": 1}"#).unwrap()];
        let faults = bundle_faults(&bundle);
        assert!(
            faults[0].contains("release, which has to be"),
            "{faults:#?}"
        );
    }

    #[test]
    fn one_version_belongs_to_one_bundle() {
        let bundles = [
            bundle("b", r#""version": "1.0.0""#),
            bundle("a", r#""version": "1.0.0""#),
            bundle("c", r#""version": "1.0.0", "release": "1""#),
            bundle("d", r#""version": "1.0.0-1""#),
            bundle("e", r#""version": "1.0.0+1""#),
            bundle("f", r#""version": "1.0""#),
            bundle("g", r#""version": "1.0""#),
        ];
        let versions = || {
            let entries = bundles.iter().map(Some);
            entries.map(|found| (found.map_or("", |found| &found.name), version_of(found)))
        };
        // Two channels.
        let entries = versions().chain(versions());
        let expected = "duplicate versions found in bundles: [{1.0.0: [a, b]} {1.0.0-1: [c, d]}]";
        assert_eq!(versions_fault(entries).as_deref(), Some(expected));
        let absent = ["x", "y"].map(|name| (name, version_of(None)));
        let expected = "duplicate versions found in bundles: [{0.0.0: [x, y]}]";
        assert_eq!(
            versions_fault(absent.into_iter()).as_deref(),
            Some(expected)
        );
        assert_eq!(versions_fault(versions().skip(1).take(1)), None);
    }
}
