//! Merging one index into another: what is missing, what does not fit, what is deprecated (worker flows §9,
//! tables `merge_missing` and `bundles_latest_version`).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::{InvalidPlatform, Version, VersionError, fits_platform};

/// A bundle that an index serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBundle {
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its version.
    pub version: String,
}

impl ServedBundle {
    fn digest(&self) -> Option<&str> {
        self.image.split_once("@sha256:").map(|(_, digest)| digest)
    }
}

/// Which of two indexes is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that is merged.
    Source,
    /// The one that it is merged into.
    Target,
}

/// A bundle that is named by a tag: nobody knows what it will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Bundle {image} in the {} index image is not defined via digest", match side {
    Side::Source => "source",
    Side::Target => "target",
})]
pub struct NoDigest {
    /// The bundle.
    pub image: String,
    /// Where it is.
    pub side: Side,
}

/// The bundles of the target that the source has neither by digest nor by name, in the target's order.
///
/// # Errors
/// [`NoDigest`], also for a bundle of the source.
pub fn missing_in<'a>(
    source: &[ServedBundle],
    target: &'a [ServedBundle],
) -> Result<Vec<&'a ServedBundle>, NoDigest> {
    let digest_of = |bundle: &ServedBundle, side| match bundle.digest() {
        Some(digest) => Ok(digest.to_owned()),
        None => Err(NoDigest {
            image: bundle.image.clone(),
            side,
        }),
    };
    let mut digests = BTreeSet::new();
    for bundle in source {
        digests.insert(digest_of(bundle, Side::Source)?);
    }
    let names: BTreeSet<&str> = source.iter().map(|bundle| bundle.name.as_str()).collect();
    let mut missing = Vec::new();
    for bundle in target {
        let digest = digest_of(bundle, Side::Target)?;
        if !digests.contains(&digest) && !names.contains(bundle.name.as_str()) {
            missing.push(bundle);
        }
    }
    Ok(missing)
}

/// Whether bundles that do not say what they are for fit: if that is asked for, and one of the indexes begins
/// like an entry of the list, or the user is one.
pub fn unlabelled_fit(
    asked_for: bool,
    allowed: &[String],
    indexes: &[&str],
    user: Option<&str>,
) -> bool {
    let of_entry = |entry: &String| {
        let of_index = indexes
            .iter()
            .any(|index| index.starts_with(entry.as_str()));
        of_index || user == Some(entry)
    };
    asked_for && allowed.iter().any(of_entry)
}

/// Those of the bundles that are not for this version of the platform, each once, in their order. `label`
/// gives what the image of a bundle says.
///
/// # Errors
/// [`InvalidPlatform`].
pub fn unfit<'a>(
    bundles: impl Iterator<Item = &'a ServedBundle>,
    label: impl Fn(&str) -> Option<&'a str>,
    version: &str,
    unlabelled: bool,
) -> Result<Vec<&'a ServedBundle>, InvalidPlatform> {
    let (mut seen, mut unfit) = (BTreeSet::new(), Vec::new());
    for bundle in bundles {
        let fits = fits_platform(label(&bundle.image), version, unlabelled)?;
        if !fits && seen.insert(bundle.image.as_str()) {
            unfit.push(bundle);
        }
    }
    Ok(unfit)
}

/// Why bundles cannot be reduced to the latest ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLatest {
    /// Some are not among those that are known.
    #[error("Failed to retrieve bundles by semver, missing bundle images: [{}]", quoted(.0))]
    Unknown(Vec<String>),
    /// One has a version that cannot be compared.
    #[error(
        "the bundle {image} has the version \"{version}\", which cannot be compared with others"
    )]
    Version {
        /// The bundle.
        image: String,
        /// Its version.
        version: String,
        /// What is wrong.
        source: VersionError,
    },
}

fn quoted(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
    quoted.join(", ")
}

/// Of these images the one with the highest version of each package, sorted by package; of equal
/// versions the last. Whether a bundle is listed or known twice plays no part.
///
/// # Errors
/// [`NoLatest`].
pub fn latest_of(images: &[String], known: &[ServedBundle]) -> Result<Vec<String>, NoLatest> {
    let known: BTreeMap<&str, &ServedBundle> = known
        .iter()
        .map(|bundle| (bundle.image.as_str(), bundle))
        .collect();
    let is_unknown = |image: &&String| !known.contains_key(image.as_str());
    let unknown: Vec<String> = images.iter().filter(is_unknown).cloned().collect();
    if !unknown.is_empty() {
        return Err(NoLatest::Unknown(unknown));
    }
    let mut latest: BTreeMap<&str, (Version, &str)> = BTreeMap::new();
    for bundle in images.iter().filter_map(|image| known.get(image.as_str())) {
        let version = Version::parse(&bundle.version).map_err(|source| NoLatest::Version {
            image: bundle.image.clone(),
            version: bundle.version.clone(),
            source,
        })?;
        let higher = latest.get(bundle.package.as_str());
        let higher =
            higher.is_some_and(|(other, _)| other.plain_cmp(&version) == Ordering::Greater);
        if !higher {
            latest.insert(&bundle.package, (version, &bundle.image));
        }
    }
    Ok(latest
        .into_values()
        .map(|(_, image)| image.to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(package: &str, version: &str, digest: &str) -> ServedBundle {
        ServedBundle {
            package: package.to_owned(),
            name: format!("{package}.v{version}"),
            image: format!("r.example/{package}@sha256:{digest}"),
            version: version.to_owned(),
        }
    }

    #[test]
    fn what_has_another_digest_and_another_name_is_missing() {
        let source = [bundle("a", "1.0.0", "1"), bundle("b", "1.0.0", "2")];
        let mut moved = bundle("a", "9.9.9", "1");
        moved.image = moved.image.replace("r.example", "q.example");
        let target = [
            moved,
            bundle("b", "1.0.0", "5"),
            bundle("c", "1.0.0", "4"),
            bundle("a", "2.0.0", "3"),
        ];
        let missing = missing_in(&source, &target).unwrap();
        assert_eq!(missing, [&target[2], &target[3]]);
        let tagged = [ServedBundle {
            image: "r.example/a:v1".to_owned(),
            ..bundle("a", "1.0.0", "1")
        }];
        let refused = missing_in(&tagged, &target).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Bundle r.example/a:v1 in the source index image is not defined via digest"
        );
        assert_eq!(missing_in(&source, &tagged).unwrap_err().side, Side::Target);
    }

    #[test]
    fn the_highest_version_of_each_package_is_left() {
        let known = [
            bundle("b", "1.10.0", "1"),
            bundle("b", "1.9.0", "2"),
            bundle("a", "1.0.0-rc.1", "3"),
            bundle("a", "1.0.0+x", "4"),
            bundle("a", "1.0.0", "5"),
            bundle("c", "0.0.0-alpha", "6"),
        ];
        let images: Vec<String> = known.iter().map(|bundle| bundle.image.clone()).collect();
        let latest = latest_of(&images, &known).unwrap();
        let wanted = [4, 0, 5].map(|at: usize| images[at].clone());
        assert_eq!(latest, wanted);
        let twice = [images.clone(), images.clone()].concat();
        assert_eq!(latest_of(&twice, &known).unwrap(), wanted);
        let unknown = latest_of(&["x".to_owned()], &known).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "Failed to retrieve bundles by semver, missing bundle images: ['x']"
        );
        let odd = [bundle("d", "1.0", "7")];
        let refused = latest_of(&[odd[0].image.clone()], &odd).unwrap_err();
        assert!(refused.to_string().contains("\"1.0\""), "{refused}");
    }
}
