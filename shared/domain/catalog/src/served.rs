//! Which images an index serves, under whatever names.

use std::collections::{BTreeMap, BTreeSet};

use iib_oci::Digest;

/// The packages in which an index serves bundles, by the bundles' digests: a bundle that is there
/// under another name is not added again (worker flows §7.4, table `missing_bundles`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServedDigests(BTreeMap<Digest, BTreeSet<String>>);

impl ServedDigests {
    /// Those of bundles, each an image and a package. An image that is named by a tag could be any.
    pub fn of<'a>(bundles: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packages: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
        for (image, package) in bundles {
            let digest = image.rsplit_once('@');
            if let Some(digest) = digest.and_then(|(_, digest)| digest.parse().ok()) {
                let served_in = packages.entry(digest).or_default();
                served_in.insert(package.to_owned());
            }
        }
        Self(packages)
    }

    /// The packages that have the image; `None` if it is not there.
    pub fn packages_with(&self, image: &Digest) -> Option<&BTreeSet<String>> {
        self.0.get(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_there_by_its_digest_whatever_it_is_called() {
        let (here, other) = (Digest::of(b"here"), Digest::of(b"other"));
        let (one, two) = (format!("r.example/a@{here}"), format!("q.example/b@{here}"));
        let served = ServedDigests::of([
            (one.as_str(), "lantern"),
            (two.as_str(), "kettle"),
            ("r.example/a:v1", "lantern"),
            ("", "lantern"),
        ]);
        let packages = ["kettle", "lantern"].map(str::to_owned).into();
        assert_eq!(served.packages_with(&here), Some(&packages));
        assert_eq!(served.packages_with(&other), None);
    }
}
